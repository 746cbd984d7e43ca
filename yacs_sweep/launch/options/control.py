"""Declares the options that give orders to a running sweep, and start no trial."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Any

from ...base.command_line import positive
from .entry import group

_control = group("control a running sweep; nothing is started")
_ORDER: dict[str, Any] = {"keyword": False, "starts_agents": False}  # `Sweep` has methods for these

NAMING = ("pause", "resume", "stop", "cancel")  # orders that name the sweep themselves
WITH_ID = ("stop_trial", "set_workers", "set_gpus", "add_points", "set_count")  # and those that --sweep_id goes with


def workers_wanted(text: str) -> int:
    """Parses the number of workers that a sweep is to have (an argparse type)."""
    if text.strip() == "0":
        raise argparse.ArgumentTypeError("0 workers would run nothing; --pause ID starts no further trial")
    return int(positive(int)(text))


@dataclass(frozen=True, kw_only=True)
class ControlOptions:
    """Holds what a running sweep is ordered to do."""

    pause: str | None = _control(
        "start no further trial of this sweep until it is resumed; running trials finish",
        "ID",
        not_empty=True,
        **_ORDER,
    )
    resume: str | None = _control("start trials of this paused sweep again", "ID", not_empty=True, **_ORDER)
    stop: str | None = _control("end this sweep when its running trials have finished", "ID", not_empty=True, **_ORDER)
    cancel: str | None = _control("end this sweep and its running trials now", "ID", not_empty=True, **_ORDER)
    stop_trial: str | None = _control(
        "end this running trial of --sweep_id; it counts as stopped", "NAME", not_empty=True, **_ORDER
    )
    set_workers: int | None = _control(
        "trials that each launch of --sweep_id on this machine runs at the same time, from now on",
        "N",
        workers_wanted,
        **_ORDER,
    )
    set_gpus: str | None = _control("GPUs for the trials of --sweep_id, from now on", "0,1,…", not_empty=True, **_ORDER)
    now: bool = _control(
        "with --set-workers or --set-gpus: end trials that are too many, and try their points again later",
        default=False,
        keyword=False,
    )
    add_points: str | None = _control(
        "points to try next in --sweep_id: a YAML or JSON list, or CSV; - is standard input (local controller)",
        "FILE",
        not_empty=True,
        **_ORDER,
    )
    set_count: int | None = _control(
        "number of trials of the whole sweep --sweep_id, those before included", "N", positive(int), **_ORDER
    )
