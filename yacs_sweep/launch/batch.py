"""Runs several sweeps of one command line: one after another, or at the same time on the same workers.

All of them are checked, then created, before the first trial. The batch is a folder beside the sweeps' own,
``{results_dir_base}/sweep/{batch_id}/``, with a summary.json of its own:

    {"batch_id", "counts": {trial state: n}, "exit_status": null while it runs,
     "sweeps": [{"sweep_id", "name", "state", "message", "counts", "metric", "best", "dir"}, …]}

A sweep's state is waiting, running, done, ended (`message` says why before its end) or interrupted; its counts, metric
and best are those of its own summary.json. ``--sweep_id {batch_id}`` resumes those that are not done, with
``--count N`` all of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from ..base.command_line import COMMAND
from ..base.errors import ConfigError, Problems, SweepError
from ..base.files import write_atomically
from ..base.streams import output_width, print_error, print_lines
from ..base.values import to_json
from ..base.wording import counted
from ..records.folder import SweepPaths
from ..records.known_sweeps import BATCH, batch_rows, find_bases, new_sweep_id, remember, result_bases
from ..show.lines import batch_table, command_text
from ..show.live.terminal import say
from .accessories import Accessories
from .check.resumes import remark, with_answer
from .machine import Machine, shared_machine
from .notify.events import END
from .notify.moments import notifying
from .options.entry import ALL_FAILED
from .options.table import Options
from .plan.controller import agent_modules
from .plan.make import make_plan
from .plan.plan import Plan, new_paths
from .project.defaults import sweep_file_wins
from .resuming import Resuming
from .run import open_sweep, run_sweeps
from .sweep_run import Results
from .workers.agent_starter import AgentStarter

DONE = "done"


def is_batch(name: str | None) -> bool:
    """Whether --sweep_id names a batch."""
    return name is not None and name.startswith(BATCH)


def make_plans(options: Options) -> list[Plan]:
    """Makes a plan for each of the sweep files.

    Raises:
        ConfigError: with every mistake in any of them.
    """
    problems = Problems()
    if options.sweep_name:
        problems.found.append(
            f"--sweep_name {options.sweep_name}: names one sweep, and several are given; leave it out"
        )
    each = [sweep_file_wins(replace(options, sweep_config=[file])) for file in options.sweep_config or ()]
    made = [problems.attempt(partial(make_plan, settings)) for settings in each]
    problems.end()
    return [plan for plan in made if plan is not None]


def resume_plans(options: Options) -> tuple[SweepPaths, list[dict[str, Any]], list[Plan]]:
    """Finds the batch `options.sweep_id`; returns its folder, the rows of sweeps that are done, plans to resume the others.

    With --count, which adds trials to each, all sweeps are resumed.

    Raises:
        ConfigError: there is no such batch, or a sweep of it cannot be resumed.
    """
    batch_id = str(options.sweep_id)
    for base in find_bases(batch_id, result_bases(options.results_dir), remembered=not options.results_dir):
        paths = SweepPaths(base, batch_id)
        if paths.summary.is_file():
            break
    else:
        looked = ", ".join(str(base / "sweep") for base in result_bases(options.results_dir))
        raise ConfigError(
            f"--sweep_id {batch_id}: no such batch (looked in {looked}; --results_dir names another folder)"
        )
    sweeps = batch_rows(paths)
    if options.retry_failed not in (None, ALL_FAILED):
        raise ConfigError(
            f"--retry-failed={options.retry_failed}: {batch_id} has several sweeps; give the id of the trials' sweep"
        )
    done = [row for row in sweeps if row["state"] == DONE and not (options.count or options.retry_failed)]
    problems = Problems()
    open_ = [replace(options, sweep_id=row["sweep_id"], results_dir=row["base"]) for row in sweeps if row not in done]
    made = [problems.attempt(partial(make_plan, settings)) for settings in open_]
    problems.end()
    return paths, done, [plan for plan in made if plan is not None]


class Batch:
    """Writes the batch's summary; its sweeps are in the order they were given."""

    def __init__(self, paths: SweepPaths, sweeps: Sequence[Results], earlier: Sequence[dict[str, Any]] = ()) -> None:
        """Makes the batch's folder and its summary.

        Args:
            earlier: rows of sweeps that were done before this launch.
        """
        self.paths, self.sweeps, self._earlier = paths, sweeps, earlier
        self.started: set[str] = set()  # ids of sweeps that have been
        self.status: int | None = None
        self._accessories = Accessories()
        paths.dir.mkdir(parents=True, exist_ok=True)
        remember(paths)
        self._write()  # before the first trial a mistake is a mistake

    def _row(self, results: Results) -> dict[str, Any]:
        """Returns the row of a sweep in the batch\'s summary."""
        outcome, summary = results.outcome, results.summary
        state = "waiting" if results.paths.sweep_id not in self.started else "running"
        if outcome is not None:
            open_ = not results.complete
            ended = outcome.message or (open_ and outcome.ended_by)
            state = "interrupted" if outcome.interrupted and open_ else "ended" if ended else DONE
        return {
            "sweep_id": results.paths.sweep_id,
            "name": results.plan.spec.name,
            "state": state,
            "message": (outcome.message or outcome.ended_by) if outcome is not None else None,
            "counts": summary.counts(),
            "retried": summary.retried(),
            **summary.result(),
            "dir": str(results.paths.dir),
            "base": str(results.paths.base),
        }

    def write(self) -> None:
        """Writes the batch's summary, as far as that is possible."""
        self._accessories.attempt("the batch's summary.json is not written", self._write)

    def _write(self) -> None:
        """Writes the batch's summary."""
        rows = [*self._earlier, *map(self._row, self.sweeps)]
        counts: Counter[str] = Counter()
        for row in rows:
            counts.update(row["counts"])
        content = {"batch_id": self.paths.sweep_id, "exit_status": self.status, "counts": counts, "sweeps": rows}
        write_atomically(self.paths.summary, to_json(content, indent=1) + "\n")

    def start(self, sweeps: Sequence[Results]) -> None:
        """Notes that these sweeps run now."""
        self.started.update(results.paths.sweep_id for results in sweeps)
        self.write()

    def end(self, status: int, options: Options) -> int:
        """Writes and shows how the batch ended; returns the exit status."""
        self.status = status
        self.write()
        rows = [*self._earlier, *map(self._row, self.sweeps)]
        print_lines(f"\n{batch_table(rows, output_width())}\n")
        say(f"{counted(len(rows), 'sweep')}; summary in {self.paths.summary}")
        if any(row["state"] != DONE for row in rows):
            say("resume with", self._resuming(options).line)
        return status

    def _resuming(self, options: Options) -> Resuming:
        """Returns how the batch is resumed: as its sweeps that are not done."""
        open_ = [results.resuming for results in self.sweeps if not results.complete]
        found = Resuming(self.paths.sweep_id, open_[-1].options if open_ else options)
        found.of_files = tuple(budget for each in open_ for budget in each.of_files)
        found.reached = {field for each in open_ for field in each.reached}
        return found


def run_batch(options: Options, starter: AgentStarter | None = None) -> int:
    """Runs `--sweep-config A B C`, or the batch that `--sweep_id` names; returns the exit status over all its sweeps.

    `starter`: forks the agents; default: they are executed.
    """
    if options.engine != "local":
        raise ConfigError(f"--engine {options.engine}: takes one sweep at a time; name one --sweep-config")
    earlier: list[dict[str, Any]] = []
    if is_batch(options.sweep_id):
        paths, earlier, plans = resume_plans(options)
        if not plans:
            say(f"every sweep of {paths.sweep_id} is done; --count N adds more to each")
            return 0
    else:
        plans = make_plans(options)
        paths = new_paths(plans[0].spec, f"{BATCH}{new_sweep_id()}")
    for warning in dict.fromkeys(warning for plan in plans for warning in plan.spec.warnings):
        print_error(f"warning: {warning}")
    if options.dry_run:
        from .plan.dry_run import describe

        seeded = options.seed is not None
        print_lines("\n\n".join(describe(plan, seeded=seeded, remark=remark(plan, options)) for plan in plans))
        return 0
    plans = [with_answer(plan, options) for plan in plans]
    if starter is not None:
        for plan in plans:
            starter.prepare(agent_modules(plan.launch.controller, plan.storage))
    with notifying(options.notify, (options.notify_on or END).split(","), say) as ending:
        shown: set[str] = set()
        sweeps = ending.sweeps = [open_sweep(plan, options, shown, starter) for plan in plans]
        try:
            batch = Batch(paths, sweeps, earlier)
        except OSError as error:
            raise SweepError(f"cannot write results to {paths.dir}: {error.strerror}") from error
        pause = command_text([*COMMAND, "--pause", paths.sweep_id])
        say(
            f"batch {paths.sweep_id}: {counted(len(earlier) + len(sweeps), 'sweep')}; it takes orders to all, such as {pause}"
        )
        groups = [sweeps] if options.parallel_sweeps else [[results] for results in sweeps]
        with shared_machine(plans[0].layout, preload=not options.no_preload, say=say, starter=starter) as machine:
            statuses = _run_groups(batch, groups, machine, options)
        interrupted = 130 in statuses
        waiting = any(results.outcome is None for results in sweeps)
        ending.status = batch.end(130 if interrupted else int(waiting or any(statuses)), options)
    return ending.status


def _run_groups(batch: Batch, groups: Sequence[list[Results]], machine: Machine, options: Options) -> list[int]:
    """Runs the groups one after another; returns the exit status of each sweep that was started."""
    statuses: list[int] = []
    try:
        for place, group in enumerate(groups, start=1):
            batch.start(group)
            of = f", sweep {place} of {len(groups)}" if len(groups) > 1 else f": {counted(len(group), 'sweep')}"
            run_sweeps(group, machine, options, f"{batch.paths.sweep_id}{of}")
            statuses += [results.finish() for results in group]
            batch.write()
            outcomes = [results.outcome for results in group if results.outcome is not None]
            if any(outcome.everywhere for outcome in outcomes):
                break
    except KeyboardInterrupt:  # between two sweeps
        statuses.append(130)
    return statuses
