"""Declares the options that say when trials, and the sweep, are ended."""

from __future__ import annotations

from dataclasses import dataclass

from ...base.command_line import not_negative, positive, whole
from .entry import EACH_LAUNCH, group

_end = group("how trials end")


@dataclass(frozen=True, kw_only=True)
class LimitOptions:
    """Holds when trials, and the sweep, are ended."""

    timeout: float | None = _end("time limit of a trial", "SECONDS", positive(float), **EACH_LAUNCH)
    stall_timeout: float | None = _end(
        "end a trial that prints nothing for this long", "SECONDS", positive(float), **EACH_LAUNCH
    )
    grace: float = _end(
        "time between SIGTERM and SIGKILL (default: 15)", "SECONDS", not_negative, default=15.0, **EACH_LAUNCH
    )
    max_failures: int | None = _end("end the sweep after N failures in a row", "N", positive(int), **EACH_LAUNCH)
    retries: int = _end(
        "attempts more for a trial that failed because of the machine (default: 0)",
        "N",
        whole,
        default=0,
        **EACH_LAUNCH,
    )
    on_oom: str = _end(
        "whether --retries also applies to running out of memory (default: skip)",
        choices=("skip", "retry"),
        default="skip",
        **EACH_LAUNCH,
    )
    gpu_wait: float = _end(
        "time to wait for a trial's GPU memory to be free (default: 30)",
        "SECONDS",
        not_negative,
        default=30.0,
        **EACH_LAUNCH,
    )
    assume_resume: bool = _end(
        "do not try whether the trainer resumes, before a sweep that pauses trials: it does", default=False
    )
