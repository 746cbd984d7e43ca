"""Leaves limits that are reached out of the words that resume a sweep, so that the command can run."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from .budget import NONE, Budget

FLAGS = {"until": "--until", "run_for": "--for", "max_gpu_hours": "--max-gpu-hours"}  # by the options' fields


def without_reached(
    words: Sequence[str], of_files: Sequence[Budget | None], reached: Collection[str] = (), now: datetime | None = None
) -> list[str]:
    """Returns the words without limits that are reached; one of a sweep's file is set to `none` instead.

    A deadline that has passed is reached, however the launch has ended.

    Args:
        words: options and values that hold for one launch, such as `--until 2026-11-30T08:00:00+01:00`.
        of_files: the budgets of the files of the sweeps that the words resume.
        reached: fields of the options whose limits have ended a sweep.
        now: the present time; default: that of the clock.
    """
    found, lifted = list(words), set(reached)
    if _has_passed(_value_of(found, FLAGS["until"]), of_files, now or datetime.now().astimezone()):
        lifted.add("until")
    for field, flag in FLAGS.items():
        if field not in lifted:
            continue
        in_file = any(_of_file(budget, field) is not None for budget in of_files)
        place = found.index(flag) if flag in found else len(found)
        found[place : place + 2] = [flag, NONE] if in_file else []
    return found


def _has_passed(given: str | None, of_files: Sequence[Budget | None], now: datetime) -> bool:
    """Tells whether the deadline has passed that holds for a launch: the option's, else any of the files'."""
    if given is not None:
        return given != NONE and datetime.fromisoformat(given) <= now
    return any(budget is not None and budget.until is not None and budget.until <= now for budget in of_files)


def budget_of_words(words: Sequence[str], of_file: Budget | None) -> Budget:
    """Returns the budget that holds for a launch with these words."""
    run_for, until, gpu_hours = (_value_of(words, FLAGS[field]) for field in ("run_for", "until", "max_gpu_hours"))
    return (of_file or Budget()).with_options(run_for, until, gpu_hours)


def _value_of(words: Sequence[str], flag: str) -> str | None:
    """Returns the word after an option; None where it is not given."""
    return words[words.index(flag) + 1] if flag in words else None


def _of_file(budget: Budget | None, field: str) -> object:
    """Returns a limit of a sweep's file by the option that replaces it."""
    if budget is None:
        return None
    return {"until": budget.until, "run_for": budget.seconds, "max_gpu_hours": budget.gpu_hours}[field]
