"""Says at the end of a launch what is left of the sweep, and the command to type next."""

from __future__ import annotations

from collections.abc import Collection

from ..base.wording import counted
from ..records.alive import launches_text, other_launchers
from ..records.folder import SweepPaths, TrialRecord
from ..records.progress import Progress, unretried
from .plan.plan import Plan
from .resuming import Resuming
from .workers.sweep_state import Outcome

Step = tuple[str, str]  # a line for the user, and the command behind it; no command: empty


def work_left(settled: int, plan: Plan, records: Collection[TrialRecord]) -> tuple[int, int]:
    """Returns the number of trials that are to be started of what was asked for, and of those that run in other launches.

    Args:
        settled: trials that are done.
        records: all trials of the sweep, of which none runs in this launch any more.
    """
    running = sum(record.state == "running" for record in records)
    return max(0, Progress(settled, plan.launch.target).left - running), running


def running_elsewhere(paths: SweepPaths, running: int) -> str:
    """Says how many trials run in which other launches; empty where no other launch is known to run any."""
    others = other_launchers(paths) if running else []
    which = "another launch" if len(others) == 1 else "other launches"
    return f"{running} run in {which} ({launches_text(others)})" if others else ""


def resume_steps(
    outcome: Outcome, resuming: Resuming, paths: SweepPaths, left: int, running: int, *, complete: bool
) -> list[Step]:
    """Lists what is said of a launch that has ended before the sweep: why, what is left, how to resume it.

    Args:
        left: trials to be started.
        running: trials that run in other launches, which need nobody to resume them.
        complete: whether nothing is left to do.
    """
    if complete and not outcome.message:
        return []
    elsewhere, found = running_elsewhere(paths, running), list[Step]()
    if not outcome.message and outcome.ended_by is not None and not outcome.interrupted:
        parts = [f"{counted(left, 'trial')} to be done of what was asked for"] if left or not elsewhere else []
        found.append((f"{outcome.ended_by}: {', '.join([*parts, *([elsewhere] if elsewhere else [])])}", ""))
    elif elsewhere:
        found.append((elsewhere, ""))
    return found if elsewhere and not left else [*found, ("resume with", resuming.line)]


def retry_steps(outcome: Outcome, resuming: Resuming, plan: Plan, records: Collection[TrialRecord]) -> list[Step]:
    """Lists how failed trials are tried again; empty where none has failed, or they are owed already."""
    failed = any(record.state == "failed" and record.id not in plan.launch.retry for record in unretried(records))
    if outcome.interrupted or not failed:
        return []
    return [("fix the cause of the failures, then retry with", resuming.retry_line)]


def rename_steps(metric: str | None, place: str, new_line: str, resuming: Resuming) -> list[Step]:
    """Lists what to do where no trial has logged the metric: a sweep's metric is fixed, so that a retry fails once more.

    Args:
        place: where the user has named the metric.
        new_line: what starts such a sweep once more; empty: not known.
    """
    first = (f"no trial has logged {metric}: correct {place} in a new sweep", "")
    if new_line:
        first = (f"no trial has logged {metric}: correct {place}, then start a new sweep with", new_line)
    return [first, (f"if it is the trainer that has to log {metric}, mend it, then retry with", resuming.retry_line)]
