"""Declares the options that say when trials, and the sweep, are ended."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from ...base.command_line import not_negative, positive, whole
from .entry import EACH_LAUNCH, OF_LAUNCH, group

_Value = TypeVar("_Value")


def moment(text: str) -> str:
    """Converts a moment to a date with its time and zone, so that the command that resumes the sweep names the same one."""
    from ...spec.budget.budget import NONE
    from ...spec.budget.moments import moment_text, read_moment

    now = datetime.now().astimezone()
    if text == NONE:
        return text
    found = _converted(lambda: read_moment(text, now))
    if found <= now:
        raise argparse.ArgumentTypeError(f"{moment_text(found)} has passed")
    return found.isoformat()


def duration(text: str) -> str:
    """Checks a duration; an argparse type."""
    from ...spec.budget.budget import NONE
    from ...spec.budget.moments import duration_words, read_duration

    return text if text == NONE else duration_words(_converted(lambda: read_duration(text)))


def gpu_hours(text: str) -> str:
    """Checks a number of hours; an argparse type."""
    return text if text == "none" else f"{positive(float)(text):g}"


def _converted(convert: Callable[[], _Value]) -> _Value:
    """Returns what a function returns; its ValueError is the mistake that argparse shows."""
    try:
        return convert()
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


_end = group("how trials end")


@dataclass(frozen=True, kw_only=True)
class LimitOptions:
    """Holds when trials, and the sweep, are ended."""

    timeout: float | None = _end("time limit of a trial", "SECONDS", positive(float), **OF_LAUNCH, **EACH_LAUNCH)
    stall_timeout: float | None = _end(
        "end a trial that prints nothing for this long", "SECONDS", positive(float), **OF_LAUNCH, **EACH_LAUNCH
    )
    until: str | None = _end(
        "moment at which the sweep is to have ended, such as 'Mon 08:00': no trial starts that would end later, running ones "
        "are stopped and resume later; `none` takes the sweep file's away",
        "MOMENT",
        moment,
        **EACH_LAUNCH,
    )
    run_for: str | None = _end(
        "time for which the whole sweep may run, over all its launches, such as 8h or 1h30m",
        "DURATION",
        duration,
        flags=("for", "run_for"),
        **EACH_LAUNCH,
    )
    max_gpu_hours: str | None = _end(
        "GPU hours that the trials of the whole sweep may use",
        "X",
        gpu_hours,
        keyword="float | str",
        **EACH_LAUNCH,
    )
    grace: float = _end(
        "time between SIGTERM and SIGKILL (default: 15)",
        "SECONDS",
        not_negative,
        default=15.0,
        **OF_LAUNCH,
        **EACH_LAUNCH,
    )
    max_failures: int | None = _end(
        "end the sweep after N failures in a row", "N", positive(int), **OF_LAUNCH, **EACH_LAUNCH
    )
    retries: int = _end(
        "attempts more for a trial that failed because of the machine (default: 0)",
        "N",
        whole,
        default=0,
        **OF_LAUNCH,
        **EACH_LAUNCH,
    )
    on_oom: str = _end(
        "whether --retries also applies to running out of memory (default: skip)",
        choices=("skip", "retry"),
        default="skip",
        **OF_LAUNCH,
        **EACH_LAUNCH,
    )
    gpu_wait: float = _end(
        "time to wait for a trial's GPU memory to be free (default: 30)",
        "SECONDS",
        not_negative,
        default=30.0,
        **OF_LAUNCH,
        **EACH_LAUNCH,
    )
    assume_resume: bool = _end(
        "do not try whether the trainer resumes, before a sweep that pauses trials: it does", default=False
    )
