"""Reads from a trainer's log which metrics the launcher finds in it, and along which axis."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ...base.errors import ConfigError
from ...logs.parser import LogParser
from ...logs.patterns import LogFormat

LOG_LIMIT = 20_000_000  # bytes that are read, from the beginning
_AXES = ("epoch", "iter", "iteration", "step", "global_step", "train_iter/iter")


@dataclass(frozen=True)
class LogMetrics:
    """Holds the metrics of a log with how often each was found; `axis` is what their x-axis is called."""

    counts: dict[str, int]
    axis: str | None = None
    wandb: bool = False


def read_log(path: Path, log_format: LogFormat | None = None) -> LogMetrics:
    """Reads a log with the patterns of a profile, else with the generic reader.

    Raises:
        ConfigError: the file cannot be read.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(LOG_LIMIT)
    except OSError as error:
        raise ConfigError(f"--init {path}: cannot be read: {error.strerror}") from None
    return read_lines(data.splitlines(keepends=True), log_format)


def read_lines(lines: Iterable[bytes], log_format: LogFormat | None = None) -> LogMetrics:
    """Reads lines of a log; see `read_log`."""
    parser = LogParser(log_format or LogFormat((), generic=True))
    counts: Counter[str] = Counter()
    for line in lines:
        for row in parser.feed(line):
            counts.update(row.keys())
    for row in parser.close():
        counts.update(row.keys())
    axis = next((name for name in _AXES if name in counts), None)
    return LogMetrics(dict(counts), axis)
