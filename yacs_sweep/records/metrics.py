"""Writes and reads `metrics.jsonl`, one logged row a line, and finds a trial's value in its rows."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..base.files import make_way, open_regular, read_regular
from ..base.growing_files import GrowingFile, GrowingLines, append, json_object
from ..base.values import finite_number, from_json, to_json
from .folder import TrialPaths, better

MOST = 1 << 18  # bytes read at once by `new_rows`; of more, the last
MOST_STEPS = 1 << 53  # a step beyond it is no count of anything
OUR_ROW = b'{"step": '  # how every row of the launcher's begins
_DECODER = json.JSONDecoder()
_CONVERTED = (b'Infinity"', b'"NaN"', b"\\")  # what `from_json` may convert, beside a number of as many digits as
_WIDE = b"0" * 19
_DIGITS = bytes.maketrans(b"123456789", b"000000000")
FOREIGN_ROWS = (
    "warning: the trainer writes a metrics.jsonl of its own into the launcher's; add it to its profile, "
    "files: [{path: '{output_dir}/metrics.jsonl'}], and both are read"
)


class MetricsFile:
    """Appends rows to a metrics.jsonl; their steps only grow. The file is readable up to its last line at any moment."""

    def __init__(self, path: Path, first_step: int = 0) -> None:
        """Opens the file, after cutting off what a killed writer left unfinished.

        Args:
            first_step: the step of the first row in a new file.
        """
        make_way(path)
        step = _repair(path) if path.exists() else -1
        self.step = first_step - 1 if step < 0 else step
        self.file = GrowingFile(path)
        self._offsets: dict[str, int] = {}  # by the trainer's run: between its steps and the file's

    def append(self, row: Mapping[str, Any], at: tuple[str, int] | None = None) -> int:
        """Writes the row; returns its step.

        Args:
            at: a run of the trainer's own and the row's step in it. The file keeps such steps; those of a run that begins
                at one the file has already are moved up, all by as much. None: the `step` that the trainer has printed
                is taken so; without one the row is the next one.
        """
        step = self.step + 1
        printed = row.get("step")
        if at is None and type(printed) is int and abs(printed) < MOST_STEPS:
            at = "", printed
        if at is not None:
            run, own = at
            step = max(step, own + self._offsets.setdefault(run, max(0, step - own)))
        self.step = step
        content = {"step": step, **{name: value for name, value in row.items() if name != "step"}}
        append(self.file.descriptor, (to_json(content) + "\n").encode())
        return self.step

    def close(self) -> None:
        """Closes the file."""
        self.file.close()


def _repair(path: Path) -> int:
    """Cuts off everything after the last whole row; returns that row's step, -1 if the file has none."""
    data = read_regular(path)
    end, step = len(data), -1
    while end:
        end = data.rfind(b"\n", 0, end) + 1
        start = data.rfind(b"\n", 0, max(0, end - 1)) + 1
        with contextlib.suppress(ValueError, TypeError, KeyError):
            step = int((json_object(data[start:end]) or {})["step"])
            break
        end = start
    if end != len(data):
        os.truncate(path, end)
    return step


def row_of(line: bytes) -> dict[str, Any] | None:
    """Parses a line of a metrics.jsonl; None for a line that is no row."""
    content = json_object(line)
    return None if content is None else {key: from_json(value) for key, value in content.items()}


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Reads all rows of a metrics.jsonl; lines that are no rows, and a missing file, give none.

    Raises:
        OSError: the file cannot be read.
    """
    with contextlib.suppress(FileNotFoundError), open_regular(path) as file:
        return rows_of(file.read())
    return []


def rows_of(data: bytes) -> list[dict[str, Any]]:
    """Parses the whole lines of a metrics.jsonl as `row_of` does each, at a third of the cost."""
    whole = data[: data.rfind(b"\n") + 1]
    if not any(mark in whole for mark in _CONVERTED) and _WIDE not in whole.translate(_DIGITS):
        with contextlib.suppress(ValueError, RecursionError):
            return _plain_rows(whole.decode())
    return [row for line in whole.split(b"\n")[:-1] if (row := row_of(line)) is not None]


def _plain_rows(text: str) -> list[dict[str, Any]]:
    """Parses lines each of which is one JSON object and nothing else.

    Raises:
        ValueError, RecursionError: a line is not.
    """
    found: list[dict[str, Any]] = []
    place = 0
    while place < len(text):
        row, end = _DECODER.raw_decode(text, place)
        if type(row) is not dict or text[end] != "\n":
            raise ValueError(text[place:end])
        found.append(row)
        place = end + 1
    if len(found) != text.count("\n"):
        raise ValueError(text[:80])  # an object goes over several lines
    return found


def readable_metrics(path: Path) -> list[dict[str, Any]]:
    """Reads all rows of a metrics.jsonl; a file that cannot be read gives none."""
    try:
        return read_metrics(path)
    except OSError:
        return []


def new_rows(path: Path, offset: int = 0) -> tuple[list[dict[str, Any]], int]:
    """Reads the whole rows after byte `offset`, of many only the last; returns where they end, too."""
    with contextlib.suppress(OSError), open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size < offset:  # the file has been written again
            offset = 0
        new = GrowingLines(max(offset, size - MOST))
        skipped = 0 if new.position == offset else 1  # the first line is cut
        lines = list(new.read(file))
        return [row for line in lines[skipped:] if (row := row_of(line)) is not None], new.offset if lines else offset
    return [], offset


def size_of(path: Path) -> int:
    """Returns the size of a file in bytes; 0 of one that cannot be read."""
    with contextlib.suppress(OSError):
        return path.stat().st_size
    return 0


def last_values(trial: TrialPaths) -> dict[str, Any]:
    """Reads the last value of each metric of a trial; none where the file cannot be read."""
    values: dict[str, Any] = {}
    for row in readable_metrics(trial.metrics):
        values.update(row)
    values.pop("step", None)
    return values


def foreign_rows(path: Path) -> int:
    """Counts the lines in the launcher's metrics.jsonl that something else has written."""
    try:
        with open_regular(path) as file:
            return sum(not line.startswith(OUR_ROW) for line in file)
    except OSError:
        return 0


def metric_value(row: Mapping[str, Any], metric: str | None) -> float | None:
    """Returns the metric's value in a row; None where the row has no number of that name, or no metric is given."""
    value = row.get(metric) if metric is not None else None
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


class Iterations:
    """Counts the values of a metric that a trial has logged: one value is one iteration.

    A trainer that is started again begins from its checkpoint, which may be older than the last row. By the x-axis (the
    epoch) such a row is seen to be an iteration that has been counted; or else, that rows between were lost.
    """

    def __init__(self, metric: str | None, axis: str, starts: Sequence[int] = ()) -> None:
        """Starts at 0.

        Args:
            starts: of the trial's record: the last step before each further start of the trainer; may grow meanwhile.
        """
        self.metric, self.axis, self._starts = metric, axis, starts
        self.repeated = 0  # iterations that a further start has trained again
        self._places: list[float | None] = []  # on the x-axis, of each iteration
        self._seen = 0  # starts that lie behind the last row

    @property
    def places(self) -> Sequence[float | None]:
        """The place on the x-axis of each iteration; None where that was not logged."""
        return self._places

    @property
    def count(self) -> int:
        """The number of iterations."""
        return len(self._places)

    def see(self, row: Mapping[str, Any], step: int) -> int | None:
        """Takes in a row; returns which iteration its value is, counted from 1, None for a row without the metric."""
        if metric_value(row, self.metric) is None:
            return None
        started = self._seen
        while self._seen < len(self._starts) and step > self._starts[self._seen]:
            self._seen += 1
        place = metric_value(row, self.axis)
        if self._seen > started and place is not None:
            while self._places and (last := self._places[-1]) is not None and last >= place:
                self._places.pop()
                self.repeated += 1
            self._places += self._lost(place)
        self._places.append(place)
        return len(self._places)

    def _lost(self, place: float) -> list[float]:
        """Returns the places before this one on the x-axis of iterations whose rows were lost with an agent."""
        before, last = self._places[-2:] if len(self._places) > 1 else (None, None)
        if before is None or last is None or last <= before:
            return []
        step = last - before
        return [last + step * count for count in range(1, round((place - last) / step))]

    def values(self, rows: Iterable[Mapping[str, Any]]) -> dict[int, float]:
        """Takes in the rows of a file; returns the metric's value at each iteration."""
        found: dict[int, float] = {}
        for row in rows:
            step = row.get("step")
            iteration = self.see(row, step if isinstance(step, int) else -1)
            if iteration is not None and (value := metric_value(row, self.metric)) is not None:
                found[iteration] = value
        return found


class Objective:
    """Follows the sweep's metric over a trial's rows: its last value, and its best finite one."""

    def __init__(self, metric: str | None, goal: str, optimize: str) -> None:
        self.metric, self.goal, self.optimize = metric, goal, optimize
        self.last: float | None = None
        self.best: float | None = None
        self._values: dict[str, float] = {}  # by kind of summary
        self._count = 0
        self._kinds: Sequence[str] = ()
        self.count = 0  # of values

    def see(self, row: Mapping[str, Any]) -> None:
        """Takes in a row; one without the metric changes nothing."""
        if (value := metric_value(row, self.metric)) is not None:
            self.last = value
            self.count += 1
            if finite_number(value):
                if self.best is None or better(self.goal, value, self.best):
                    self.best = value
                self._count += 1
                known = self._values
                mean = known.get("mean", 0.0)
                known["min"], known["max"] = min(known.get("min", value), value), max(known.get("max", value), value)
                known["mean"] = mean + (value - mean) / self._count
                known.setdefault("first", value)

    def follow(self, kinds: Sequence[str]) -> None:
        """Has the value be what the trainer has defined as the metric's summary, unless the sweep asks for the best.

        Args:
            kinds: min, max, mean, first, last, best; of several the one that fits the goal.
        """
        wanted = "max" if self.goal == "maximize" else "min"
        self._kinds = [wanted] if wanted in kinds or "best" in kinds else list(kinds)[:1]

    @property
    def value(self) -> float | None:
        """The trial's value: the best or the last one, as the sweep's `optimize` or the trainer's own summary says."""
        if self.optimize == "best" and self.best is not None:
            return self.best
        return next((self._values.get(kind, self.last) for kind in self._kinds), self.last)
