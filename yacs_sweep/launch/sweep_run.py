"""Keeps the results of one sweep in a launch: best.yml, the final table, the exit status."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
from pathlib import Path

import yaml

from ..base.errors import ConfigError, SweepError
from ..base.files import write_atomically
from ..base.streams import is_terminal, print_lines
from ..records.checkpoints import Keep, Keeper
from ..records.folder import ENDED_WELL, SweepPaths, TrialRecord
from ..records.summary import Summary
from ..show.lines import MOST_SHOWN, command_text, params_line, trial_ended_line, trial_started_line, trial_table
from ..show.live.board import Sweep
from ..show.live.terminal import say
from ..trainers.function import FunctionProfile
from ..trainers.own_command import CommandProfile
from .plan.plan import Plan
from .workers.sweep_state import Outcome


class Results:
    """Holds one sweep of a launch: keeps best.yml up to date, shows the results at the end."""

    def __init__(self, plan: Plan, paths: SweepPaths, summary: Summary, resume_line: str) -> None:
        """Reads what the sweep's folder has.

        Args:
            resume_line: resumes the sweep, as one would type it.
        """
        self.plan, self.paths, self.summary, self.resume_line = plan, paths, summary, resume_line
        self.outcome: Outcome | None = None  # once it has ended
        self.log_model = False  # whether the best goes to W&B as an artifact, at the end
        self.best_id: str | None = None
        self.metric = plan.spec.metric.name if plan.spec.metric else None
        about = {"sweep_id": paths.sweep_id, "metric": self.metric, "goal": summary.goal}
        keep = Keep.parse(plan.launch.keep)
        self.keeper = Keeper(paths, plan.profile.checkpoints, keep, summary.goal, about, say)

    def on_trial(self, record: TrialRecord) -> None:
        """Updates best.yml and the checkpoints after the end of a trial."""
        if record.state != "running":
            self.update_best()

    def show_trial(self, record: TrialRecord) -> None:
        """Shows the start or end of a trial in a line, and updates best.yml."""
        running = record.state == "running"
        say(trial_started_line(record) if running else trial_ended_line(record, self.metric))
        self.on_trial(record)

    def shown_sweep(self) -> Sweep:
        """Returns the sweep as the live view shows it."""
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

    def target_line(self, record: TrialRecord) -> str | None:
        """Returns a line when this trial has reached the metric's target; None otherwise."""
        metric = self.plan.spec.metric
        if metric is None or record.state != "finished" or record.value is None or not metric.reached(record.value):
            return None
        return f"{record.name} reached the target: {metric.name} {record.value:.6g} (target {metric.target:g})"

    @property
    def complete(self) -> bool:
        """Whether every trial is done that the sweep was asked for, however the launch has ended."""
        records = self.summary.records.values()
        settled = sum(record.settled for record in records)
        return settled >= self.plan.launch.target and all(record.state != "running" for record in records)

    def update_best(self) -> None:
        """Rewrites best.yml and best/ when another trial is the best; deletes checkpoints that are not to be kept."""
        best = self.summary.best()
        if best is not None and best.id != self.best_id:
            self.best_id = best.id
            with contextlib.suppress(ConfigError):  # a configuration that is no mapping has no best.yml
                self._write_best(best)
        self.keeper.update(best, self.summary.records.values())

    def _write_best(self, best: TrialRecord) -> None:
        """Writes best.yml: the base configuration merged with the trial\'s parameters."""
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
        """Writes the final results, shows the trials, best first, and what to do next; returns the exit status."""
        outcome = self.outcome = self.outcome or Outcome()
        for record in self.paths.records():
            if self.summary.others is None or record.id not in self.summary.records:  # the database knows better
                self.summary.records[record.id] = record
        if self.summary.others is not None and not self.summary.others.read_last():
            say("warning: the storage does not answer; other machines' trials may be missing from the summary")
        try:
            self.summary.write(final=True)
            self.update_best()
        except OSError as error:
            outcome.message = outcome.message or f"cannot write results to {self.paths.dir}: {error.strerror}"
        width = shutil.get_terminal_size((120, 24)).columns if is_terminal() else 160
        print_lines(
            f"\n{trial_table(self.summary.ranked(), self.metric, width, most=MOST_SHOWN, file=self.paths.summary)}\n"
        )
        if outcome.message:
            say(outcome.message)
        counts = ", ".join(f"{count} {state}" for state, count in self.summary.counts().items())
        say(f"{counts or 'no trials'}; results in {self.paths.dir}")
        if best := self.summary.best():
            say(f"best: {best.name}, {self.metric} {best.value:.6g} with {params_line(best.params)}")
            if not isinstance(self.plan.profile, FunctionProfile):
                say(f"train with it: {self._as_typed(self.retrain_command())}")
        if outcome.message or (outcome.interrupted and not self.complete):
            say(f"go on with: {self.resume_line}")
        status = self.status(outcome)
        return status if outcome.interrupted or not self.log_model else self._log_model(status)

    def _log_model(self, status: int) -> int:
        """Logs the best trial as a W&B artifact; returns the exit status, 1 in place of 0 when that fails."""
        from ..wandb.artifact import log_best

        try:
            say(log_best(self.paths, self.plan.launch, self.plan.spec.name or self.paths.sweep_id))
        except SweepError as error:
            say(f"warning: {error}")
            return status or 1
        return status

    def retrain_command(self) -> list[str]:
        """Returns the command that trains with the best configuration."""
        profile = self.plan.profile
        if profile.needs_config_file:
            return profile.command_line(python=self.plan.launch.python, config_file=self.paths.best)
        found = self.summary.best()
        assert found is not None
        own = isinstance(profile, CommandProfile)  # takes no folder, but the file of its parameters is in one
        folder = self.paths.dir / (found.name if own else f"train-{found.name}")
        return self.plan.trial_command(found.params, folder)

    def _as_typed(self, words: list[str]) -> str:
        """Returns a command as one would type it in this folder: with `cd` where the trainer has another one."""
        cwd = self.plan.profile.cwd
        if cwd.resolve() != Path.cwd().resolve():
            return f"cd {shlex.quote(str(cwd))} && {command_text(words)}"
        here = f"{Path.cwd()}{os.sep}"
        return command_text([word.replace(here, "") for word in words])

    def status(self, outcome: Outcome) -> int:
        """Returns the exit status: 130 interrupted, 1 a trial failed or a message ended the sweep, else 0."""
        if outcome.interrupted:
            return 130
        records = self.summary.records.values()
        retried = {record.retry_of for record in records}
        # One that runs is another launcher's.
        well = all(record.state in (*ENDED_WELL, "running") or record.id in retried for record in records)
        return 0 if well and outcome.message is None else 1
