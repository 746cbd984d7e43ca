"""Declares the options that show or check something, and start no trial."""
# ruff: noqa: RUF009 - the calls in the dataclass make its fields

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...base.command_line import positive
from .entry import group

_look = group("show and check; no trial is started")
_COMMAND: dict[str, Any] = {"keyword": False, "starts_agents": False}  # of the command line alone
_LISTING: dict[str, Any] = {"with_status": True, "not_empty": True, "keyword": False}  # what --status lists


@dataclass(frozen=True, kw_only=True)
class LookOptions:
    """Holds what is shown or checked; no trial is started."""

    status: bool = _look(
        "show the progress of --sweep_id, or of all recent sweeps; start nothing",
        default=False,
        with_status=True,
        **_COMMAND,
    )
    watch: bool = _look(
        "with --status: repeat until the sweep has ended", default=False, with_status=True, keyword=False
    )
    where: str | None = _look(
        'with --status: list the trials that satisfy this, such as "val/mAP > 30 and base_lr < 1e-3"',
        "EXPRESSION",
        **_LISTING,
    )
    sort: str | None = _look(
        "with --status: list trials in this order; -NAME: the largest first, +NAME: the smallest",
        "NAMES",
        **_LISTING,
    )
    columns: str | None = _look(
        "with --status: list trials with these columns: metrics, parameters, state, duration, …",
        "NAMES",
        **_LISTING,
    )
    compare: list[str] | None = _look(
        "compare two sweeps: their best, and how sure; start nothing",
        "ID",
        nargs=2,
        **_COMMAND,
    )
    diff: list[str] | None = _look(
        "show how two trials differ: parameters, command, code, metrics; NAME of --sweep_id, or ID/NAME; start nothing",
        "NAME",
        nargs=2,
        **_COMMAND,
    )
    logs: str | None = _look(
        "print what a trial's trainer has printed; NAME, or its beginning or number, of --sweep_id, or ID/NAME",
        "NAME",
        not_empty=True,
        **_COMMAND,
    )
    follow: bool = _look("with --logs: go on until the trial has ended", default=False, keyword=False)
    test_patterns: str | None = _look(
        "show what the trainer's patterns find in a log file; start nothing",
        "LOGFILE",
        not_empty=True,
        **_COMMAND,
    )
    init: list[str] | None = _look(
        "write a profile and a sweep file for the trainer in this folder, from what its code and logs say; run nothing",
        "SCRIPT|CONFIG|LOG",
        nargs="*",
        **_COMMAND,
    )
    force: bool = _look("with --init: replace files that exist", default=False, keyword=False)
    try_run: float | None = _look(
        "with --init: run the trainer for at most this long, to see what it prints",
        "SECONDS",
        positive(float),
        keyword=False,
    )
    check: bool = _look(
        "check interpreter, trainer, GPUs, disk and W&B, and say what to mend; start and create nothing",
        default=False,
        **_COMMAND,
    )
    json: bool = _look(
        "with --status, --compare, --diff or --check: print JSON", default=False, with_status=True, keyword=False
    )
    dry_run: bool = _look(
        "show the search and the commands of the first trials; create nothing",
        default=False,
        **_COMMAND,
    )
