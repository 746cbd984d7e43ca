"""Reads from a trainer's log which metrics the launcher finds in it, and along which axis."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

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
    early: frozenset[str] = frozenset()  # found once, before the axis is printed: perhaps of a configuration


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


def _rows(parser: LogParser, lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """Yields the rows that a parser finds in lines."""
    for line in lines:
        yield from parser.feed(line)
    yield from parser.close()


def read_lines(lines: Iterable[bytes], log_format: LogFormat | None = None) -> LogMetrics:
    """Reads lines of a log; see `read_log`."""
    parser = LogParser(log_format or LogFormat((), generic=True))
    counts: Counter[str] = Counter()
    before: set[str] = set()
    begun = False
    for row in _rows(parser, lines):
        begun = begun or not row.keys().isdisjoint(_AXES)
        before |= set() if begun else row.keys()
        counts.update(row.keys())
    axis = next((name for name in _AXES if name in counts), None)
    return LogMetrics(dict(counts), axis, early=frozenset(name for name in before if counts[name] == 1))


# -- files that a run has written -------------------------------------------------------------------------------------
_MODELS = (".pth.tar", ".pth", ".pt", ".ckpt", ".pyth", ".safetensors")


def written_metrics(folder: Path) -> tuple[list[tuple[str, str]], list[str]]:
    """Finds the files of a run's folder that hold metrics.

    Returns:
        Each file, below `{output_dir}`, with its format; and the names in them.
    """
    files: list[tuple[str, str]] = []
    names: dict[str, None] = {}
    for path in sorted(folder.rglob("*"))[:2000]:
        place = "{output_dir}/" + path.relative_to(folder).as_posix()
        if path.name.startswith("events.out.tfevents"):
            files.append((place.rpartition("/")[0], "tensorboard"))
        elif path.suffix in (".csv", ".jsonl", ".json") and path.is_file():
            found = _columns(path) if path.suffix == ".csv" else _json_names(path)
            if found:
                files.append((place, "csv" if path.suffix == ".csv" else "jsonl"))
                names |= dict.fromkeys(found)
    return list(dict.fromkeys(files)), list(names)


def written_models(folder: Path) -> list[str]:
    """Returns patterns of the files in a run's folder that are called as models are."""
    ends = [
        next((end for end in _MODELS if path.name.endswith(end)), None) for path in sorted(folder.rglob("*"))[:2000]
    ]
    return [f"*{end}" for end in dict.fromkeys(end for end in ends if end)]


def _head(path: Path) -> list[str]:
    """Returns the first lines of a file."""
    with open(path, encoding="utf-8", errors="replace") as file:
        return [line.strip() for line in islice(file, 3)]


def _columns(path: Path) -> list[str]:
    """Returns the columns of a CSV file whose values are numbers; [] of one that begins otherwise."""
    rows = list(csv.reader(_head(path)))
    if len(rows) < 2 or len(rows[0]) != len(rows[1]) or any(_is_number(cell) for cell in rows[0]):
        return []
    return [name.strip() for name, cell in zip(rows[0], rows[1], strict=True) if _is_number(cell)]


def _json_names(path: Path) -> list[str]:
    """Returns the numbers' names of a file with a JSON object a line."""
    try:
        rows = [json.loads(line) for line in _head(path) if line]
    except ValueError:
        return []
    if not rows or not all(isinstance(row, dict) for row in rows):
        return []
    return [key for row in rows for key, value in row.items() if isinstance(value, int | float)]


def _is_number(text: str) -> bool:
    """Tells whether a text is a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True
