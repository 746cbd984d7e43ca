r"""Parses a trainer's output: bytes in, as they arrive; rows of metrics out.

Most lines hold no metric, so a chunk is searched for the texts that the patterns cannot match without, and only lines
that contain one are decoded and matched.

Rows: metrics printed on one line are one row, at once. An entry that logs one metric gathers with its neighbours of the
same row name (the entry's `row`, else the part of the metric's name before its first "/"): the row is complete when a
metric repeats, when the axis moves, when something of another row is printed, or on `flush`. Rows are never merged
otherwise, so ten rows printed are ten rows logged. The axis (`epoch`) is carried into rows that do not print it
themselves; an entry that logs nothing but the axis moves it without making a row. Where the axis is printed after its
metrics (`axis_after`), such rows wait for the next line that prints it; at the end of the output they get the last one.

A number is read whole or not at all (see `numbers`); of those left out the first is kept in `left_out`.

A line `METRIC {"epoch": 3, "val/mAP": 41.2}` is a row of its own whatever the patterns are; no pattern is tried on it. A metric
that arrives in two ways (a pattern and a METRIC line, or a file) counts once: see `Sources`.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Mapping

from ..base.escapes import has_escape_bytes, without_escape_bytes
from ..base.values import Number
from .guessed_blocks import TABLE_HINTS, TASK_HINTS, GuessedTable, PrintedSettings, open_table, task_of
from .guessing import HINTS, guess_unread, guessed_row
from .names import Names, Unread, json_pairs
from .numbers import LeftOut, like_number, unwrapped
from .patterns import NO_CONTEXT, LogFormat, MetricPattern, OpenTable, Search
from .sources import Row, Sources

Trace = Callable[["MetricPattern | str", Mapping[str, Number]], None]  # an entry (or "METRIC", "generic") matched
LINE_LIMIT = 1 << 16  # bytes of a line that are parsed
KEPT_BACK = 100_000  # rows
NAMES = 10_000  # of metrics that lines look like; a trainer that makes up more gets none of the others
WAITING = 1000  # rows that wait for the axis; of more the first gets the last axis there was
_METRIC = b"METRIC {"
_JSON = json.JSONDecoder()
_UNNAMED = Names()


class LogParser:
    """Parses the output of one process into rows. Not thread-safe."""

    def __init__(self, log_format: LogFormat, *, sources: Sources | None = None, trace: Trace | None = None) -> None:
        self.sources = sources or Sources(log_format.axis)
        self.matched = False  # whether a line has been found by an entry, or was a METRIC line
        self.unreadable = ""  # the first METRIC line that is no JSON
        self.left_out: LeftOut | None = None  # the first value that looks like a number and is none
        self._text = ""  # the line that is parsed
        self._kept_back: deque[Row] | None = None  # what lines look like, while that is not taken for metrics
        self._named: set[str] = set()  # metrics in rows that were kept back since `kept_names`
        self._trace = trace
        self._entries = log_format.entries
        self._generic = log_format.generic
        self._axis_name = log_format.axis
        self._axis: Number | None = None
        self._axis_after = log_format.axis_after
        self._waiting: deque[Row] = deque()  # for the axis
        self._closed = False
        self._open: Row = {}
        self._open_name: str | None = None
        self._behind: list[Row] = []  # rows that are complete, but come after the open one
        self._tables: list[
            OpenTable | GuessedTable
        ] = []  # whose header was the last header; one for each entry that reads it
        self._context: dict[str, Mapping[str, str]] = {}  # by `after` pattern: its groups, while its block lasts
        self._tail = bytearray()
        # Bit 0: METRIC line; then one bit an entry, then one a condition (`after`, `until`), then the generic finder.
        self._conditions = _conditions(log_format.entries)
        searches = [entry.search for entry in log_format.entries] + [search for search, _, _ in self._conditions]
        self._generic_bit = 1 << len(searches) + 1
        self._task_bit = self._generic_bit << 1
        self._settings = PrintedSettings()
        self._rows_begun = False  # whether a row has been returned
        self._before_settings: tuple[Row, str | None, Number | None] = {}, None, None
        self._reserved: dict[str, bool] = {}  # by metric that lines look like: whether an entry names it
        self._task = ""  # of a table that begins on the next line
        self._needles = [(_METRIC, 1)]
        self._always = 0
        for number, search in enumerate(searches, start=1):
            self._needles += [(literal, 1 << number) for literal in search.literals]
            if not search.literals:
                self._always |= 1 << number
        self._texts = [text for text, _ in self._needles]

    def feed(self, line: bytes) -> list[Row]:
        """Parses one whole line, with or without its end; returns the rows that it completes."""
        if self._always or self._generic or self._tables or has_escape_bytes(line):
            return self._lines(line)
        for text in self._texts:
            if text in line:
                return self._lines(line)
        return []

    def feed_chunk(self, data: bytes) -> list[Row]:
        r"""Parses the next bytes of the output, cut anywhere; returns the rows that they complete.

        Lines end in \n or \r (progress bars).
        """
        cut = max(data.rfind(b"\n"), data.rfind(b"\r")) + 1
        if not cut:
            self._keep(data)
            return []
        block = bytes(self._tail) + data[:cut] if self._tail else data[:cut]
        self._tail.clear()
        self._keep(data[cut:])
        return self._lines(block)

    def flush(self) -> list[Row]:
        """Returns the row that is gathering, if any, as the output pauses; an unfinished line is left alone.

        A row that waits for the axis is returned only once it has one, or the output has ended. Before the first row and any
        axis, lines that may yet turn out to be a printed configuration wait for what comes behind them.
        """
        at_start = not self._entries and self._axis is None and not self._rows_begun
        return [] if at_start and self._settings.goes_on else self._end_row()

    def _end_row(self) -> list[Row]:
        """Returns the row that is gathering, and those that have waited for it."""
        if not self._open:
            return self._settled() if self._closed else []
        self._rows_begun = True
        rows, self._open, self._open_name, self._behind = [self._open, *self._behind], {}, None, []
        if not self._axis_after or self._axis_name in rows[0]:
            return rows
        self._waiting.extend(rows)
        return self._settled(0 if self._closed else WAITING)

    def close(self) -> list[Row]:
        """Returns the last rows, as the output has ended, with those of an unfinished line."""
        line = bytes(self._tail)
        self._tail.clear()
        rows = self.feed(line) if line else []
        self._closed = True
        return rows + self._end_row()

    def keep_back(self) -> None:
        """From now on lines that only look like metrics are kept back: the trainer has a better way to log."""
        if self._kept_back is None:
            self._kept_back = deque(maxlen=KEPT_BACK)

    def kept_names(self) -> set[str]:
        """Returns the names of metrics that were kept back since the last call."""
        names, self._named = self._named, set()
        return names

    def release(self) -> list[Row]:
        """Returns the rows of the lines that were kept back; from now on such lines count."""
        kept, self._kept_back = self._kept_back or (), None
        rows: list[Row] = []
        closed, self._closed = self._closed, False
        for metrics in kept:
            self._found("generic", metrics, rows)
        self._closed = closed
        return rows + self._end_row()

    def _settled(self, left: int = 0) -> list[Row]:
        """Returns the rows that waited for the axis, with the axis as it is now, but for the last `left` ones."""
        rows: list[Row] = []
        while len(self._waiting) > left:
            row = self._waiting.popleft()
            rows.append(row if self._axis is None else {**row, self._axis_name: self._axis})
        return rows

    def _keep(self, data: bytes) -> None:
        """Keeps the beginning of an unfinished line."""
        room = LINE_LIMIT - len(self._tail)
        if room > 0:
            self._tail += data[:room]

    def _lines(self, block: bytes) -> list[Row]:
        """Parses whole lines; returns the rows that they complete."""
        block = without_escape_bytes(block)
        if b"\r" in block:
            block = block.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if not block.endswith(b"\n"):
            block += b"\n"
        hits = self._candidates(block)
        if self._generic and self._settings.next_chunk(block):
            self._open, self._open_name, self._axis = self._before_settings
        rows: list[Row] = []
        read = 0  # up to here
        for start in sorted(hits):
            self._follow(block, read, start, rows)
            if start >= read:
                read = self._at(block, start, hits[start], rows)
        self._follow(block, read, len(block), rows)
        self._rows_begun |= bool(rows)
        return rows

    def _follow(self, block: bytes, start: int, end: int, rows: list[Row]) -> None:
        """Parses the lines of an open table, which need contain none of the patterns' texts."""
        while self._tables and start < end:
            start = self._at(block, start, 0, rows)

    def _at(self, block: bytes, start: int, bits: int, rows: list[Row]) -> int:
        """Parses the line at `start`; returns where the next one begins."""
        end = block.find(b"\n", start)
        line = _decoded(block[start : min(end, start + LINE_LIMIT)])
        if bits & self._generic_bit:
            if self._settings.inside(block, start):
                bits &= ~self._generic_bit
            elif self._settings.began:
                self._before_settings = dict(self._open), self._open_name, self._axis
        self._line(line, bits, rows)
        return end + 1

    def _candidates(self, block: bytes) -> dict[int, int]:
        """Finds the lines worth matching: their starts, with the bits of the patterns to try."""
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
        if self._generic:
            for hints, bit in (
                ((*HINTS, *TABLE_HINTS), self._generic_bit),
                (TASK_HINTS, self._task_bit),
            ):
                for hint in hints:
                    found = hint.search(block)
                    while found:
                        start = block.rfind(b"\n", 0, found.start()) + 1
                        hits[start] = hits.get(start, 0) | bit
                        found = hint.search(block, block.find(b"\n", found.start()))
        return hits

    def _line(self, line: str, bits: int, rows: list[Row]) -> None:
        """Parses one line with the patterns of `bits`; adds the rows that it completes."""
        if self._tables:
            if self._table_row(line, rows):
                return
            self._tables = []
        self._text = line
        unread = self._unread if self.left_out is None else None
        if bits & 1:
            metrics = _structured(line, unread)
            if metrics is None:
                self.unreadable = self.unreadable or line
            elif metrics:
                self._found("METRIC", metrics, rows)
                return
        if self._conditions:
            self._move(line, bits, rows)
        found: Row = {}
        name = None
        plain = unwrapped(line)
        guesses = bits & self._generic_bit
        for number, entry in enumerate(self._entries, start=1):
            if not bits >> number & 1:
                continue
            context = NO_CONTEXT
            if entry.after is not None:
                inside = self._inside(entry)
                if inside is None:
                    if guesses and entry.search(plain):  # left out by the profile
                        guesses = 0
                    continue
                context = inside
            if entry.table:
                if table := entry.open_table(line, context):
                    self._tables.append(table)
                continue
            metrics = entry.find(plain, context, unread)
            if not metrics and plain is not line:
                metrics = entry.find(line, context, unread)
            if metrics:
                if self._trace:
                    self._trace(entry, metrics)
                name = name or entry.row
                found = {**metrics, **found}
        if found and not (guesses and found.keys() == {self._axis_name}):
            self._log("patterns", found, name, rows)
        elif guesses:
            if not self._tables and (guessed := open_table(line, self._task)):
                self._tables.append(guessed)
                self._task = ""
                return
            metrics = self._unnamed(guessed_row(plain))
            if unread and self._kept_back is None:
                for item in guess_unread(plain):
                    unread(*item)
            if found and not metrics:
                self._log("patterns", found, name, rows)
            else:
                self.matched = self.matched or bool(found)
                self._guessed({**metrics, **found}, rows)
        self._task = task_of(line) if bits & self._task_bit else ""

    def _unnamed(self, metrics: Row) -> Row:
        """Leaves out the metrics that entries name."""
        for name in list(metrics) if self._entries else ():
            named = self._reserved.get(name)
            if named is None and len(self._reserved) < NAMES:
                named = self._reserved[name] = any(entry.names_metric(name) for entry in self._entries)
            if named is not False:
                del metrics[name]
        return metrics

    def _guessed(self, metrics: Row, rows: list[Row]) -> None:
        """Logs what a line looks like, or keeps it back."""
        if metrics and self._kept_back is not None:
            self._kept_back.append(metrics)
            self._named.update(metrics)
        elif metrics:
            self._found("generic", metrics, rows)

    def _table_row(self, line: str, rows: list[Row]) -> bool:
        """Parses a line of the open tables as one row; False when the tables have ended."""
        found: Row = {}
        name = None
        self._text = line
        for table in self._tables:
            metrics = table.read(line, self._unread if self.left_out is None else None)
            if metrics is None:
                return False
            if isinstance(table, GuessedTable):
                self._guessed(self._unnamed(dict(metrics)), rows)
                continue
            if self._trace and metrics:
                self._trace(table.entry, metrics)
            name = name or table.entry.row
            found = {**metrics, **found}
        if found:
            self._log("patterns", found, name, rows)
        return True

    def _inside(self, entry: MetricPattern) -> Mapping[str, str] | None:
        """Returns the groups of the lines that the entry counts after; None while one of them has not been."""
        found: dict[str, str] = {}
        for search in (*entry.outer, entry.after):
            if search is not None:
                groups = self._context.get(search.source)
                if groups is None:
                    return None
                found.update(groups)
        return found

    def _move(self, line: str, bits: int, rows: list[Row]) -> None:
        """Opens and closes the blocks that entries with `after` and `until` count in."""
        for number, (search, after, opens) in enumerate(self._conditions, start=len(self._entries) + 1):
            if bits >> number & 1 and (match := search(line)):
                if opens:
                    self._context[after] = match.groupdict("")
                elif self._context.pop(after, None) is not None:
                    rows += self._end_row()

    def _unread(self, name: str, text: str) -> None:
        """Keeps the first value that looks like a number and is none."""
        if self.left_out is None and like_number(text):
            self.left_out = LeftOut(name, text, self._text)

    def _found(self, source: str, metrics: Row, rows: list[Row]) -> None:
        """Logs the metrics of a line that no entry of the profile has found."""
        if self._trace:
            self._trace(source, metrics)
        self._log(source, metrics, None, rows)

    def _log(self, source: str, found: Row, name: str | None, rows: list[Row]) -> None:
        """Adds the metrics of one line to the rows; `name` is the row that its entry asks for."""
        self.matched = self.matched or source != "generic" or not self._entries
        offered = len(found)
        found = self.sources.admit(source, found)
        if len(found) < offered and (not found or found.keys() == {self._axis_name}):
            return
        axis = found.pop(self._axis_name, None)
        if axis is not None:
            if axis != self._axis or (self._axis_after and self._axis_name not in self._open):
                rows += self._end_row()
            self._axis = axis
            rows += self._settled()
        if not found:
            rows += self._end_row()
            return
        beside = source == "generic" and bool(self._entries)  # a row of its own, that ends none of the patterns'
        if name is None and len(found) == 1 and source != "METRIC" and not beside:
            name = next(iter(found)).partition("/")[0] if "/" in next(iter(found)) else ""
        if not beside and (name is None or name != self._open_name or not self._open.keys().isdisjoint(found)):
            rows += self._end_row()
        carried = axis if self._axis_after else self._axis
        if (beside or not self._open) and carried is not None:
            found[self._axis_name] = carried
        if beside and self._open:
            self._behind.append(found)
        elif name is None and self._axis_after and carried is None:
            self._waiting.append(found)
            rows += self._settled(WAITING)
        elif name is None:
            rows.append(found)
        else:
            self._open.update(found)
            self._open_name = name


def line_text(line: bytes) -> str:
    """Decodes one line of output as patterns see it: without escape sequences, at most `LINE_LIMIT` bytes."""
    return _decoded(without_escape_bytes(line)[:LINE_LIMIT])


def _decoded(line: bytes) -> str:
    """Decodes UTF-8; other bytes become U+FFFD."""
    return line.decode("utf-8", "replace")


def _conditions(entries: tuple[MetricPattern, ...]) -> list[tuple[Search, str, bool]]:
    """Lists every `after` and `until` once: the search, the block's name (its `after`), whether it opens the block."""
    found: dict[tuple[str, str, bool], tuple[Search, str, bool]] = {}
    for entry in entries:
        if entry.after is not None:
            after = entry.after.source
            if entry.until is not None:
                found.setdefault((entry.until.source, after, False), (entry.until, after, False))
            for search in (*entry.outer, entry.after):
                found.setdefault((search.source, search.source, True), (search, search.source, True))
    return list(found.values())


def _structured(line: str, unread: Unread | None) -> Row | None:
    """Returns the numbers of a METRIC line, as `metric_files` does; None when its JSON cannot be read."""
    try:
        values, _ = _JSON.raw_decode(line, line.index("METRIC {") + len("METRIC "))
        return _UNNAMED.metrics(json_pairs(values), {}, unread)
    except (ValueError, RecursionError):
        return None
