"""Reads what a trial's programs log through W&B's client (`trial/inside/calls/rows.py` writes it): calls in, rows out.

One file a run. What is logged at one step of a run is one row; it is complete when the program commits it or begins
another step. A row keeps its step.
"""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..base.files import open_regular
from ..base.growing_files import GrowingLines, json_object
from ..base.values import NOT_FINITE, Number
from .names import Names, flatten

KINDS = ("min", "max", "mean", "first", "last", "best")  # of `define_metric`'s summary
ALERTS = 20  # shown of one trial
EXAMPLES = 5  # names of values left out that are shown
_NAMES = Names()


class LoggedRow(dict[str, Number]):
    """A row that knows its place: `at` is its run and its step there; None for one that is the next row."""

    def __init__(self, values: dict[str, Number], at: tuple[str, int] | None) -> None:
        super().__init__(values)
        self.at = at


@dataclass
class _Run:
    """One run's file, as far as it has been read."""

    path: Path
    lines: GrowingLines = field(default_factory=GrowingLines)
    rank: int = 0
    counts: bool = True  # whether W&B would record it
    own: bool = True  # whether it is the sweep's; else the program made it one apart
    known: bool = False  # whether the first line has been read
    step: int = 0
    row: dict[str, Number] | None = None  # that gathers
    last: dict[str, Number] = field(default_factory=dict)  # last logged value of each metric
    summary: dict[str, Number] = field(default_factory=dict)  # written by the program, and not logged since


def _later(last: bool) -> contextlib.AbstractContextManager[None]:
    """Leaves a file that cannot be read for the next call, unless there is none; one that is not there is no error."""
    return contextlib.suppress(FileNotFoundError if last else OSError)


class Calls:
    """The calls of one attempt of a trial. Never waits; not thread-safe."""

    def __init__(self, folder: Path, note: Callable[[str], None], metric: str | None = None) -> None:
        """Starts without calls.

        Args:
            folder: where the runs' files are.
            note: shows the user a line.
            metric: the sweep's, which may be named after a kind of summary: val_acc.max.
        """
        self.folder, self._note, self.metric = folder, note, metric
        self.count = 0  # of rows so far
        self.config: dict[str, Any] = {}  # what the program has added to its parameters
        self.name = ""  # that it has given its run
        self._runs: dict[str, _Run] = {}
        self._chosen: tuple[bool, int] | None = None  # `own` and `rank` of the runs whose rows are taken
        self._definitions: dict[str, tuple[tuple[str, ...], str | None]] = {}
        self._left_out: Counter[tuple[str, str]] = Counter()
        self._alerts = 0
        self._summaries: dict[str, tuple[float, int]] = {}
        self._names: set[str] = set()  # of all metrics so far

    @property
    def opened(self) -> bool:
        """Whether the program has opened a run that W&B would record."""
        return any(run.counts and run.known for run in self._runs.values())

    @property
    def disabled(self) -> bool:
        """Whether all its runs were opened so that they record nothing."""
        return bool(self._runs) and not self.opened

    @property
    def complete(self) -> bool:
        """Whether the sweep's metric has been logged; without one, any."""
        return bool(self._names) if self.metric is None else self.metric in self._names

    @property
    def left_out(self) -> str:
        """Names what was logged and is no number, with how often; empty for nothing."""
        found = self._left_out.most_common(EXAMPLES)
        shown = [f"{name} ({kind}, {'once' if count == 1 else f'{count} times'})" for (name, kind), count in found]
        more = f" and {len(self._left_out) - EXAMPLES} more" if len(self._left_out) > EXAMPLES else ""
        return ", ".join(shown) + more

    def summary_of(self, metric: str | None) -> tuple[str, ...]:
        """Returns the kinds of summary that the program has defined for a metric (min, max, mean, …)."""
        return self._definition(metric)[0] if metric is not None else ()

    def _definition(self, metric: str) -> tuple[tuple[str, ...], str | None]:
        for name, found in self._definitions.items():
            if name == metric:
                return found
        for name, found in self._definitions.items():
            if name.endswith("*") and metric.startswith(name[:-1]):
                return found
        return (), None

    # -- reading ----------------------------------------------------------------------------------------------------

    def rows(self, *, last: bool = False) -> Iterator[LoggedRow]:
        """Yields the rows that have been completed; with `last` the program has ended, and unfinished ones too.

        Raises:
            OSError: with `last`, a file cannot be read. Until then, a later call reads it.
        """
        self._find(last)
        for run in self._runs.values():
            self._head(run, last)
        for run in list(self._runs.values()):
            if run.counts and self._taken(run):
                yield from self._read(run, last)
        if last and self._chosen is None and (apart := [run for run in self._runs.values() if not run.own]):
            for run in apart:  # all that the program has opened
                run.own = True
            yield from self.rows(last=True)

    def _find(self, last: bool) -> None:
        names: list[str] = []
        with _later(last):
            names = sorted(name for name in os.listdir(self.folder) if name.endswith(".jsonl"))
        for name in names:
            if name not in self._runs:
                self._runs[name] = _Run(self.folder / name)

    def _head(self, run: _Run, last: bool) -> None:
        """Reads the first line, once it is there."""
        if run.known:
            return
        with _later(last), open_regular(run.path) as file:
            line = file.readline(1 << 12)
            head = (json_object(line) or {}).get("run") if line.endswith(b"\n") else None
            if isinstance(head, dict):
                run.known = True
                run.counts, run.own = bool(head.get("counts", True)), bool(head.get("own", True))
                run.rank = int(head.get("rank", 0))

    def _taken(self, run: _Run) -> bool:
        """Whether a run's rows are the trial's: of a distributed program the lowest rank's that opens a run."""
        if not run.known:
            return False
        if self._chosen is not None:
            return (run.own, run.rank) == self._chosen
        ranks = [other.rank for other in self._runs.values() if other.known and other.counts and other.own]
        return run.own and run.rank == min(ranks, default=None)

    def _read(self, run: _Run, last: bool) -> Iterator[LoggedRow]:
        with _later(last), open_regular(run.path) as file:
            for line in run.lines.read(file):
                content = json_object(line)
                if content is not None:
                    yield from self._line(run, content)
        if last:
            yield from self._complete(run)
            yield from self._end(run)

    def _line(self, run: _Run, content: dict[str, Any]) -> Iterator[LoggedRow]:
        if "v" in content:
            self._chosen = self._chosen or (run.own, run.rank)
            step = content.get("s")
            step = step if isinstance(step, int) else run.step
            if step != run.step:
                yield from self._complete(run)
                run.step = step
            values = _NAMES.metrics(_numbers(content["v"]), {}) if isinstance(content["v"], dict) else {}
            run.row = {**(run.row or {}), **values}
            for name in values:
                run.summary.pop(name, None)
            if isinstance(content.get("o"), dict):
                self._left_out.update((str(name), str(kind)) for name, kind in content["o"].items())
            if content.get("c"):
                yield from self._complete(run)
                run.step += 1
        elif isinstance(content.get("summary"), dict):
            self._chosen = self._chosen or (run.own, run.rank)
            run.summary.update(_NAMES.metrics(_numbers(content["summary"]), {}))
        elif isinstance(content.get("define"), dict):
            found = content["define"]
            kinds = tuple(kind for kind in found.get("summary") or () if kind in KINDS)
            self._definitions[str(found.get("name"))] = kinds, found.get("goal")
        elif isinstance(content.get("config"), dict):
            self.config.update(content["config"])
        elif isinstance(content.get("name"), str):
            self.name = content["name"]
        elif isinstance(content.get("alert"), list):
            self._alerts += 1
            if self._alerts <= ALERTS:
                self._note("alert: " + ": ".join(str(text) for text in content["alert"] if text))
        elif "end" in content:
            yield from self._complete(run)
            yield from self._end(run)

    def _complete(self, run: _Run) -> Iterator[LoggedRow]:
        row, run.row = run.row, None
        if row:
            run.last.update(row)
            self._add_summary(row)
            self._names.update(row)
            self.count += 1
            yield LoggedRow(row, (run.path.name, run.step))

    def _end(self, run: _Run) -> Iterator[LoggedRow]:
        """Yields one more row of what the program has written to its summary and not logged."""
        summary, run.summary = run.summary, {}
        if new := {name: value for name, value in summary.items() if run.last.get(name) != value}:
            run.last.update(new)
            self._names.update(new)
            self.count += 1
            yield LoggedRow(new, None)

    def _add_summary(self, row: dict[str, Number]) -> None:
        """Adds the sweep's metric where it is named after a kind of summary: val_acc.max."""
        name, _, kind = (self.metric or "").rpartition(".")
        if kind not in self.summary_of(name or None) or name not in row or self.metric in row:
            return
        value, goal = float(row[name]), self._definition(name)[1]
        before, count = self._summaries.get(name, (value, 0))
        if kind == "mean":
            value = before + (value - before) / (count + 1)
        elif kind == "first":
            value = before
        elif kind in ("max", "min", "best"):
            value = (max if kind == "max" or (kind == "best" and goal == "maximize") else min)(before, value)
        self._summaries[name] = value, count + 1
        row[str(self.metric)] = value


def _numbers(values: dict[str, Any]) -> Iterator[tuple[str, str | Number]]:
    """Yields the numbers of an object, and its texts that stand for nan and infinities: other texts are the program's."""
    return ((name, value) for name, value in flatten(values) if not isinstance(value, str) or value in NOT_FINITE)
