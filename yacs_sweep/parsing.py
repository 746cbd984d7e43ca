"""Reading a trainer's output: bytes as they come in, rows of metrics out.

Most lines hold no metric, so a chunk is searched for the texts that the patterns cannot match without, and only lines
that contain one are decoded and matched.

Rows: metrics printed on one line are one row, at once. An entry that logs one metric gathers with its neighbours of the
same row name (the entry's `row`, else the part of the metric's name before its first "/"): the row is complete when a
metric repeats, when the axis moves, when something of another row is printed, or on `flush`. Rows are never merged
otherwise, so ten rows printed are ten rows logged. The axis (`epoch`) is carried into rows that do not print it
themselves; an entry that logs nothing but the axis moves it without making a row.

A line `METRIC {"epoch": 3, "val/mAP": 41.2}` is a row whatever the patterns are; no pattern is tried on it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from .patterns import MetricPattern, Number

Row = dict[str, Number]

LINE_LIMIT = 1 << 16  # bytes of a line that are looked at; the rest of it is not parsed

_ANSI = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b\n]*(?:\x07|\x1b\\)|[ -/]+[0-~]|[@-Z\\^_=>78])")
_METRIC = b"METRIC {"
_JSON = json.JSONDecoder()


@dataclass(frozen=True)
class LogFormat:
    """A profile's metric patterns, and the name of the metric that is the x-axis."""

    entries: tuple[MetricPattern, ...]
    axis: str = "epoch"


class LogParser:
    """Turns one process's output into rows. Not thread-safe; one instance a process."""

    def __init__(self, log_format: LogFormat) -> None:
        self._entries = log_format.entries
        self._axis_name = log_format.axis
        self._axis: Number | None = None
        self._open: Row = {}
        self._open_name: str | None = None
        self._tail = bytearray()
        # Bit 0: METRIC line; bit n: entry n - 1.
        self._needles = [(_METRIC, 1)]
        self._always = 0
        for number, entry in enumerate(log_format.entries, start=1):
            self._needles += [(literal, 1 << number) for literal in entry.literals]
            if not entry.literals:
                self._always |= 1 << number
        self._texts = [text for text, _ in self._needles]

    def feed(self, line: bytes) -> list[Row]:
        """Rows completed by one whole line, with or without its line end."""
        if self._always or b"\x1b" in line:
            return self._lines(line)
        for text in self._texts:
            if text in line:
                return self._lines(line)
        return []

    def feed_chunk(self, data: bytes) -> list[Row]:
        r"""Rows completed by the next bytes of the output, cut anywhere. Lines end in \n or \r (progress bars)."""
        cut = max(data.rfind(b"\n"), data.rfind(b"\r")) + 1
        if not cut:
            self._keep(data)
            return []
        block = bytes(self._tail) + data[:cut] if self._tail else data[:cut]
        self._tail.clear()
        self._keep(data[cut:])
        return self._lines(block)

    def flush(self) -> list[Row]:
        """The row still gathering, if any: for a pause in the output. A line not yet ended is left alone."""
        row, self._open, self._open_name = self._open, {}, None
        return [row] if row else []

    def close(self) -> list[Row]:
        """The end of the output: what is left, a last line without a line end included."""
        line = bytes(self._tail)
        self._tail.clear()
        return (self.feed(line) if line else []) + self.flush()

    def _keep(self, data: bytes) -> None:
        room = LINE_LIMIT - len(self._tail)
        if room > 0:
            self._tail += data[:room]

    def _lines(self, block: bytes) -> list[Row]:
        """Rows of whole lines."""
        if b"\x1b" in block:
            block = _ANSI.sub(b"", block)
        if b"\r" in block:
            block = block.replace(b"\r", b"\n")
        if not block.endswith(b"\n"):
            block += b"\n"
        hits = self._candidates(block)
        rows: list[Row] = []
        for start in sorted(hits):
            end = min(block.find(b"\n", start), start + LINE_LIMIT)
            self._line(block[start:end].decode("utf-8", "replace"), hits[start], rows)
        return rows

    def _candidates(self, block: bytes) -> dict[int, int]:
        """Starts of the lines worth matching, with the bits of the entries to try on them."""
        hits: dict[int, int] = {}
        if self._always:
            start = 0
            while start < len(block):
                hits[start] = self._always
                start = block.find(b"\n", start) + 1
        for needle, bit in self._needles:
            at = block.find(needle)
            while at >= 0:
                start = block.rfind(b"\n", 0, at) + 1
                hits[start] = hits.get(start, 0) | bit
                at = block.find(needle, block.find(b"\n", at))
        return hits

    def _line(self, line: str, bits: int, rows: list[Row]) -> None:
        if bits & 1:
            metrics = _structured(line)
            if metrics:
                self._log(metrics, None, rows)
                return
        found: Row = {}
        name = None
        for number, entry in enumerate(self._entries, start=1):
            if bits >> number & 1:
                metrics = entry.find(line)
                if metrics:
                    name = name or entry.row
                    found = {**metrics, **found}
        if found:
            self._log(found, name, rows)

    def _log(self, found: Row, name: str | None, rows: list[Row]) -> None:
        """Add what one line says to the rows; `name` is the row its entry asks for."""
        axis = found.pop(self._axis_name, None)
        if axis is not None and axis != self._axis:
            rows += self.flush()
            self._axis = axis
        if not found:
            rows += self.flush()
            return
        if name is None and len(found) == 1:
            name = next(iter(found)).partition("/")[0] if "/" in next(iter(found)) else ""
        if name is None or name != self._open_name or not self._open.keys().isdisjoint(found):
            rows += self.flush()
        if not self._open and self._axis is not None:
            found[self._axis_name] = self._axis
        if name is None:
            rows.append(found)
        else:
            self._open.update(found)
            self._open_name = name


def _structured(line: str) -> Row:
    """The numbers of a METRIC line; empty when its JSON cannot be read."""
    try:
        values, _ = _JSON.raw_decode(line, line.index("METRIC {") + len("METRIC "))
    except (ValueError, RecursionError):
        return {}
    return numbers(values)


def numbers(values: Mapping[str, object]) -> Row:
    """What of a mapping can be logged: its numbers (booleans are none)."""
    return {k: v for k, v in values.items() if isinstance(v, int | float) and not isinstance(v, bool)}
