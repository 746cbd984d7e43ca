"""Shows what a trial's trainer has printed (`--logs`), and, with `--follow`, what it prints until the trial ends."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

from ...base.errors import ConfigError
from ...base.files import open_regular
from ...base.growing_files import GrowingLines
from ...base.streams import output_error, print_lines
from ...records.alive import agent_lives
from ...records.folder import SweepPaths, TrialRecord
from ..cells import output_lines
from .sweeps import find_trial_of

PERIOD = 0.5  # seconds between two looks
AT_ONCE = 1000  # lines printed together


def show_log(given: str, sweep_id: str | None, results_dir: str | None, *, follow: bool) -> int:
    """Prints a trial's stdout.log, a progress bar that overwrites itself in its last state; returns the exit status.

    Args:
        given: names the trial, as `find_trial_of` has it.
        follow: goes on until the trial has ended, or nobody reads.

    Raises:
        ConfigError: no such trial, or its log is not on this machine.
    """
    paths, record = find_trial_of(given, sweep_id, results_dir, "--logs")
    log, lines = paths.trial(record.name).stdout, GrowingLines()
    if not log.is_file() and not (follow and _runs(paths, record.name)):
        where = f"; it ran on {record.host}, where its folder may be" if record.host else ""
        raise ConfigError(f"--logs {given}: there is no {log}{where}")
    while True:
        runs = follow and _runs(paths, record.name)  # before reading: what it has printed at its end counts
        _print_new(log, lines)
        if not runs or output_error():
            if rest := lines.unfinished():
                print_lines("\n".join(output_lines(rest)))
            return 0
        time.sleep(PERIOD)


def _runs(paths: SweepPaths, name: str) -> bool:
    """Tells whether a trial is being trained: its record says so, and its agent is alive."""
    record: TrialRecord | None = paths.record(name)
    return record is not None and record.state == "running" and agent_lives(paths.agents, record.agent)


def _print_new(log: Path, lines: GrowingLines) -> None:
    """Prints the whole lines that a log has gained; a log that was begun again from its beginning."""
    with contextlib.suppress(OSError), open_regular(log) as file:
        if file.seek(0, 2) < lines.position:
            lines.restart()
        waiting: list[str] = []
        for line in lines.read(file):
            waiting += output_lines(line)
            if len(waiting) >= AT_ONCE:
                if output_error():
                    return
                print_lines("\n".join(waiting))
                waiting = []
        if waiting:
            print_lines("\n".join(waiting))
