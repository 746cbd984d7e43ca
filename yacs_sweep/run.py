"""Carries a plan out: creates or reopens the sweep, supervises its agents, writes and shows the results."""

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
import shutil
import socket
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import yaml

from . import display, environment
from .agents import Job
from .command import CommandProfile
from .controllers.wandb_sweep import WandbUnavailable
from .controllers.wandb_sweep import create as create_remote
from .engines import Engine
from .engines.follow import hand_over
from .errors import ConfigError, SweepError, printable
from .functions import FunctionProfile
from .keeping import Keep, Keeper
from .launch import BATCH, remember, save_spec
from .locks import one_machine
from .machine import Machine
from .options import COMMAND, make_parser
from .plan import Plan, new_paths
from .presence import present
from .progress import FailureLimit, Outcome, Search
from .recorder import unsent
from .results import ENDED_WELL, SweepPaths, TrialRecord, write_atomically
from .storage_url import shared
from .streams import is_terminal, show
from .summary import Summary
from .view.board import Sweep
from .view.screen import tell
from .view.view import View, opened
from .warm_start import write_warm

# Options that launch.json does not keep: they are each launch's own.
NOT_KEPT = (
    *("workers", "gpus", "gpus_per_trial", "trials_per_gpu"),
    *("timeout", "stall_timeout", "grace", "retries", "max_failures", "on_oom", "gpu_wait"),
)


def say(text: str) -> None:
    """One message of the launcher, told apart from the trainer's lines. It may hold what a server says."""
    tell(f"[sweep] {printable(text)}")


def create(plan: Plan, paths: SweepPaths) -> None:
    """Writes the sweep's folder: what it searches and how it is launched."""
    try:
        paths.agents.mkdir(parents=True, exist_ok=True)
        save_spec(paths, plan.spec)
        environment.save(paths)
        plan.launch.save(paths)
        plan.profile.install(paths.dir)
        if plan.storage is not None and shared(plan.storage):
            from .joining import SharedSweep

            write_warm(paths, SharedSweep(plan.storage, paths.sweep_id).describe(plan.spec, plan.launch, plan.warm))
        elif plan.warm:
            plan.warm.save(paths)
    except OSError as error:
        kind = ConfigError if plan.remote is None else SweepError  # nothing has been created
        raise kind(f"cannot write results to {paths.dir}: {error.strerror}") from error
    remember(paths)


def place(plan: Plan) -> tuple[Plan, SweepPaths]:
    """The sweep's folder; a new sweep of the wandb controller is created on the server first, which names it."""
    if plan.launch.controller != "wandb":
        return plan, plan.paths or new_paths(plan)
    remote = plan.remote
    if remote is None:
        try:
            remote = create_remote(plan.spec, plan.launch.project, plan.launch.entity)
        except WandbUnavailable as error:
            if not plan.fall_back:
                raise
            say(f"warning: {error}; going on with the embedded controller (--controller wandb insists)")
            return place(replace(plan, launch=replace(plan.launch, controller="local"), notes=()))
    say(f"sweep on the W&B server: {remote.url or remote.id}")
    if remote.note:
        say(f"warning: {remote.note}")
    for line in plan.spec.wandb_limits():
        say(f"warning: {line}")
    plan = replace(plan, remote=remote, launch=replace(plan.launch, project=remote.project, entity=remote.entity))
    return plan, plan.paths or new_paths(plan, remote.id)


def make_job(results: Results, options: argparse.Namespace, preload: str, label: str | None) -> Job:
    """What the agents of this launch are told."""
    plan, paths = results.plan, results.paths
    return Job(
        sweep_dir_base=str(paths.base),
        sweep_id=paths.sweep_id,
        echo=options.verbose,
        label=label,
        shared=plan.layout.shared,
        timeout=options.timeout,
        stall_timeout=options.stall_timeout,
        grace=options.grace,
        retries=int(options.retries),
        on_oom=options.on_oom,
        gpu_wait=options.gpu_wait,
        preload=preload,
        wandb_off=options.wandb_off,
        # What several launchers of one sweep have to do together; --count is each one's own.
        target=None if options.count and plan.resumed else plan.launch.target,
        storage=plan.storage,
    )


def go_on_with(sweep_id: str, config_file: str | None, options: argparse.Namespace) -> list[str]:
    """The command that goes on with a sweep, or a batch, on the same workers and within the same limits."""
    words = [*COMMAND]
    if config_file:
        words += ["--config_file", os.path.relpath(config_file)]
    words += ["--sweep_id", sweep_id]
    usual = make_parser()
    for name in NOT_KEPT:
        if (value := getattr(options, name)) != usual.get_default(name):
            words += [f"--{name.replace('_', '-')}", f"{value:g}" if isinstance(value, float) else str(value)]
    return [*words, *(["--parallel-sweeps"] if options.parallel_sweeps and sweep_id.startswith(BATCH) else [])]


class Results:
    """Follows the trials of one sweep in a launch: keeps best.yml up to date, shows the results at the end."""

    def __init__(self, plan: Plan, paths: SweepPaths, summary: Summary, go_on: str) -> None:
        """`go_on`: what goes on with the sweep, as one would type it."""
        self.plan, self.paths, self.summary, self.go_on = plan, paths, summary, go_on
        self.outcome: Outcome | None = None  # once it has ended
        self.log_model = False  # whether the best goes to W&B as an artifact, at the end
        self.best_id: str | None = None
        self.metric = plan.spec.metric.name if plan.spec.metric else None
        about = {"sweep_id": paths.sweep_id, "metric": self.metric, "goal": summary.goal}
        keep = Keep.parse(plan.launch.keep)
        self.keeper = Keeper(paths, plan.profile.checkpoints, keep, summary.goal, about)

    def on_trial(self, record: TrialRecord) -> None:
        """A trial has started or ended."""
        if record.state != "running":
            self.update_best()

    def on_told_trial(self, record: TrialRecord) -> None:
        """The same, with a line for the user."""
        running = record.state == "running"
        say(display.trial_started(record) if running else display.trial_ended(record, self.metric))
        self.on_trial(record)

    def shown(self) -> Sweep:
        """The sweep as it is shown while it runs."""
        plan, summary = self.plan, self.summary
        url = plan.remote.url if plan.remote is not None else None
        return Sweep(
            self.paths.sweep_id,
            plan.spec.name or self.paths.sweep_id,
            plan.spec.method,
            plan.launch.controller,
            url or os.path.relpath(self.paths.dir),
            self.metric,
            summary.goal,
            total=sum(record.settled for record in summary.records.values()) + plan.count,
            left=plan.count,
            counts=summary.counts(),
            best=summary.best(),
        )

    def enough(self, record: TrialRecord) -> str | None:
        """Why the sweep has what it was looking for, after this trial."""
        metric = self.plan.spec.metric
        if metric is None or record.state != "finished" or record.value is None or not metric.reached(record.value):
            return None
        return f"{record.name} reached the target: {metric.name} {record.value:.6g} (target {metric.target:g})"

    @property
    def complete(self) -> bool:
        """Whether every trial it was asked for is done, however the launch has ended."""
        records = self.summary.records.values()
        settled = sum(record.settled for record in records)
        return settled >= self.plan.launch.target and all(record.state != "running" for record in records)

    def update_best(self) -> None:
        """Rewrites best.yml and best/ when another trial is the best; deletes checkpoints that are not to be kept."""
        best = self.summary.best()
        if best is not None and best.id != self.best_id:
            self.best_id = best.id
            self._write_best(best)
        self.keeper.update(best, self.summary.records.values())

    def _write_best(self, best: TrialRecord) -> None:
        plan = self.plan
        config = plan.overrides.config_with(plan.launch.config_file, {**plan.trailing, **best.params})
        if key := plan.profile.output_dir_key:
            # A folder of its own: a trainer that resumes by itself must not meet another training's checkpoints.
            node = config
            *sections, leaf = key.split(".")
            for section in sections:
                node = node.setdefault(section, {})
            node[leaf] = str(self.paths.dir / f"train-{best.name}")
        head = f"# Best of sweep {self.paths.sweep_id}: {best.name}, {self.metric} {best.value}\n"
        write_atomically(self.paths.best, head + yaml.safe_dump(config, sort_keys=False, allow_unicode=True))

    def finish(self) -> int:
        """Shows the trials, best first, and what to do next; returns the exit status."""
        outcome = self.outcome = self.outcome or Outcome()
        for record in self.paths.records():
            if self.summary.elsewhere is None or record.id not in self.summary.records:  # the database knows better
                self.summary.records[record.id] = record
        if self.summary.elsewhere is not None and not self.summary.elsewhere.last():
            say("warning: the storage does not answer; other machines' trials may be missing from the summary")
        try:
            self.summary.write(final=True)
            self.update_best()
        except OSError as error:
            outcome.message = outcome.message or f"cannot write results to {self.paths.dir}: {error.strerror}"
        width = shutil.get_terminal_size((120, 24)).columns if is_terminal() else 160
        show(f"\n{display.table(self.summary.ranked(), self.metric, width)}\n")
        if outcome.message:
            say(outcome.message)
        counts = ", ".join(f"{count} {state}" for state, count in self.summary.counts().items())
        say(f"{counts or 'no trials'}; results in {self.paths.dir}")
        if best := self.summary.best():
            say(f"best: {best.name}, {self.metric} {best.value:.6g} with {display.params_line(best.params)}")
            if not isinstance(self.plan.profile, FunctionProfile):
                say(f"train with it: {self._typed(self.retrain_command())}")
        if outcome.message or (outcome.interrupted and not self.complete):
            say(f"go on with: {self.go_on}")
        status = self.status(outcome)
        return status if outcome.interrupted or not self.log_model else self._log_model(status)

    def _log_model(self, status: int) -> int:
        from .log_model import log_best

        try:
            say(log_best(self.paths, self.plan.launch, self.plan.spec.name or self.paths.sweep_id))
        except SweepError as error:
            say(f"warning: {error}")
            return status or 1
        return status

    def retrain_command(self) -> list[str]:
        """The command that trains with the best configuration."""
        profile = self.plan.profile
        if profile.needs_config_file:
            return profile.command_line(python=self.plan.launch.python, config_file=self.paths.best)
        found = self.summary.best()
        assert found is not None
        own = isinstance(profile, CommandProfile)  # takes no folder, but the file of its parameters is in one
        folder = self.paths.dir / (found.name if own else f"train-{found.name}")
        return self.plan.trial_command(found.params, folder)

    def _typed(self, words: list[str]) -> str:
        """As one would type it here: in the trainer's folder where that is another one, paths short where it is not."""
        cwd = self.plan.profile.cwd
        if cwd.resolve() != Path.cwd().resolve():
            return f"cd {shlex.quote(str(cwd))} && {display.command(words)}"
        here = f"{Path.cwd()}{os.sep}"
        return display.command([word.replace(here, "") for word in words])

    def status(self, outcome: Outcome) -> int:
        """The exit status of the contract."""
        if outcome.interrupted:
            return 130
        records = self.summary.records.values()
        retried = {record.retry_of for record in records}
        # One that runs is another launcher's.
        well = all(record.state in (*ENDED_WELL, "running") or record.id in retried for record in records)
        return 0 if well and outcome.message is None else 1


def prepare(plan: Plan, options: argparse.Namespace, told: set[str] | None = None) -> Results:
    """Creates the sweep, or opens it again. `told`: notes the user has had already; those of this plan are added."""
    plan, paths = place(plan)  # a sweep on the W&B server says first where it is
    told = set() if told is None else told
    for note in plan.notes:
        if note not in told:
            say(note)
    told.update(plan.notes)
    create(plan, paths)
    spec = plan.spec
    say(f"sweep {paths.sweep_id} ({spec.name}): {spec.method}, {plan.count} trials, results in {paths.dir}")
    summary = Summary(
        paths,
        name=spec.name or paths.sweep_id,
        controller=plan.launch.controller,
        method=spec.method,
        metric=spec.metric.name if spec.metric else "",
        goal=spec.metric.goal if spec.metric else "minimize",
    )
    if plan.storage is not None and shared(plan.storage):
        from .joining import Elsewhere

        summary.elsewhere = Elsewhere(plan.storage, paths.sweep_id)
    elif plan.launch.controller == "local" and plan.paths is not None:
        one_machine(paths.agents, socket.gethostname())
    go_on = display.command(go_on_with(paths.sweep_id, plan.launch.config_file, options))
    results = Results(plan, paths, summary, go_on)
    results.log_model = bool(options.log_model)
    return results


def carry_out(sweeps: Sequence[Results], here: Machine, options: argparse.Namespace, title: str = "") -> None:
    """Runs the sweeps, at the same time, to their end; how each ended is in its `outcome`. `title`: of all of them."""
    with contextlib.ExitStack() as stack:
        for results in sweeps:
            stack.enter_context(present(results.paths, here.layout.workers))
        _carry_out(sweeps, here, options, stack.enter_context(opened(options, here.layout.workers, title)))


def _carry_out(sweeps: Sequence[Results], here: Machine, options: argparse.Namespace, view: View) -> None:
    limit = FailureLimit(int(options.max_failures) if options.max_failures else None, here.layout.workers)
    started, searches = time.monotonic(), []
    for results in sweeps:
        plan, paths = results.plan, results.paths
        if plan.count == 0 and not unsent(paths):
            say("every trial of this sweep is done; --count N adds more")
            continue
        label = f"{paths.sweep_id}/" if len(sweeps) > 1 else "" if here.layout.workers > 1 else None
        job = make_job(results, options, here.preload(plan, paths.agents / "preload.log"), label)
        results.outcome = Outcome()
        search = Search(
            job,
            plan.count,
            results.summary,
            limit,
            on_trial=results.on_trial,
            enough=results.enough,
            outcome=results.outcome,
        )
        view.follow(results.shown(), search, f"{paths.sweep_id} " if len(sweeps) > 1 else "")
        searches.append(search)
    if searches:
        here.supervise(searches, output=view.output)
        ended = sum(len(search.outcome.ended) for search in searches)
        say(f"{ended} trials in {display.duration(time.monotonic() - started)}")


def run_on_engine(engine: Engine, results: Results, options: argparse.Namespace, signals: list[int]) -> None:
    """The same on the machines of an engine."""
    plan, paths, summary = results.plan, results.paths, results.summary
    defaults = make_parser().parse_args([])
    results.outcome = hand_over(engine, plan, options, defaults, paths, summary, results.on_told_trial, say, signals)
