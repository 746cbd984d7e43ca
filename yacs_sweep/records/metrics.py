"""Reads and writes `metrics.jsonl`, one logged row a line, and finds a trial's value in it."""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..base.files import GrowingFile, append
from ..base.values import number, to_json
from .folder import TrialPaths, better


def last_values(trial: TrialPaths) -> dict[str, Any]:
    """The last value of each metric of a trial."""
    values: dict[str, Any] = {}
    for row in read_metrics(trial.metrics):
        values.update(row)
    values.pop("step", None)
    return values


FOREIGN_ROWS = (
    "warning: the trainer writes a metrics.jsonl of its own into the launcher's; say so in its profile, "
    "files: [{path: '{output_dir}/metrics.jsonl'}], and they are kept apart and read"
)
OUR_ROW = b'{"step": '  # how every row of a metrics.jsonl of the launcher's begins


def foreign_rows(ours: Path) -> int:
    """Lines in the launcher's own metrics.jsonl that the launcher has not written."""
    try:
        with open(ours, "rb") as file:
            return sum(not line.startswith(OUR_ROW) for line in file)
    except OSError:
        return 0


class Objective:
    """Follows one metric over a trial: its last and its best value."""

    def __init__(self, metric: str | None, goal: str, optimize: str) -> None:
        self.metric, self.goal, self.optimize = metric, goal, optimize
        self.last: float | None = None
        self.best: float | None = None

    def see(self, row: Mapping[str, Any]) -> None:
        value = row.get(self.metric) if self.metric is not None else None
        if isinstance(value, int | float):
            self.last = float(value)
            if self.best is None or better(self.goal, self.last, self.best):
                self.best = self.last

    @property
    def value(self) -> float | None:
        return self.best if self.optimize == "best" else self.last


def finite(value: float | None) -> bool:
    """Whether a trial's value can be compared with others."""
    return value is not None and math.isfinite(value)


class MetricsFile:
    """metrics.jsonl: one JSON object a row with a step that only grows; readable up to the last line at any moment."""

    def __init__(self, path: Path, first_step: int = 0) -> None:
        """`first_step` is the first row's step in a new file."""
        step = _repair(path) if path.exists() else -1
        self.step = first_step - 1 if step < 0 else step
        self.file = GrowingFile(path)

    def append(self, row: Mapping[str, Any]) -> int:
        """Writes the row; returns its step."""
        self.step += 1
        append(self.file.descriptor, (to_json({"step": self.step, **row}) + "\n").encode())
        return self.step

    def close(self) -> None:
        self.file.close()


def _repair(path: Path) -> int:
    """Cuts off what follows the last whole row; returns that row's step, -1 if there is none."""
    data = path.read_bytes()
    end = len(data)
    while end:
        end = data.rfind(b"\n", 0, end) + 1
        start = data.rfind(b"\n", 0, max(0, end - 1)) + 1
        with contextlib.suppress(ValueError, TypeError, KeyError):
            step = int(json.loads(data[start:end])["step"])
            break
        end = start
    else:
        step = -1
    if end != len(data):
        os.truncate(path, end)
    return step


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The rows of a metrics.jsonl, lines that are none left out."""
    rows = []
    with contextlib.suppress(FileNotFoundError):
        for line in path.read_bytes().split(b"\n")[:-1]:
            with contextlib.suppress(ValueError, AttributeError):
                rows.append({key: number(value) for key, value in json.loads(line).items()})
    return rows


MOST = 1 << 18  # bytes that are read at once; of more, the last


def new_rows(path: Path, offset: int = 0) -> tuple[list[dict[str, Any]], int]:
    """The whole rows after byte `offset`, and where they end. Of many only the last are read."""
    rows: list[dict[str, Any]] = []
    with contextlib.suppress(OSError), path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size < offset:  # written anew
            offset = 0
        start = max(offset, size - MOST)
        file.seek(start)
        whole, newline, _ = file.read(MOST).rpartition(b"\n")
        if not newline:
            return [], offset
        offset = start + len(whole) + 1
        for line in whole.split(b"\n")[1 if start > 0 and start == size - MOST else 0 :]:
            with contextlib.suppress(ValueError, AttributeError):
                rows.append({key: number(value) for key, value in json.loads(line).items()})
    return rows, offset
