"""Recognises blocks of lines without any pattern of a profile: tables of metrics, and printed configurations, which hold none."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ..base.values import Number
from .names import Names, Unread
from .numbers import NUMBER, to_number

# Lines that begin a table, and lines that name the task of the table below them.
TABLE_HINTS = (re.compile(rb"\|[ \t]*[A-Za-z][^\n|]*\|"), re.compile(rb"AP, ?A[PR]"))
TASK_HINTS = (re.compile(rb"Task: [A-Za-z]"), re.compile(rb"esults for [A-Za-z]"))
# `name: value`, or an item of a list, with nothing before it.
_SETTING = re.compile(rb"[ \t]*(?:(?:- )?[\"']?[A-Za-z_][\w .()/-]{0,60}[\"']?[ \t]?[:=](?:[ \t][^\n]*)?|- [^\n]*)\n")
# A counter with its number and further values behind it, `epoch 3 loss: 0.5`: the training has begun.
_COUNTING = re.compile(
    rb"[ \t]*[\[(]?(?:epoch|iter(?:ation)?|step|batch)\b[ \t:=#\[(]{0,4}\d[^\n]{0,64}?[A-Za-z][\w/@-]{0,40}[\"']?[ \t]?[:=]",
    re.IGNORECASE,
)

LIMIT = 1 << 12  # characters of a line that are looked at, and of a configuration's line:
SHORT = 1 << 9
FEWEST = 4  # lines of a printed configuration,
LITERALS = 2  # of which so many have a value that no metric has
_TASK = re.compile(r"(?:\bTask: |[Rr]esults for )(?P<task>\w[\w.-]*)")
_HEADER = re.compile(r"(?:^|^[^|]*\s)\|(?P<cells>(?:[^|]+\|){2,})\s*$")
_ROW = re.compile(r"(?:^|^[^|]*\s)\|(?P<cells>.*)\|\s*$")
_LIST_HEADER = re.compile(r"^A[PR][\w@]*(?:, ?A[PR][\w@]*)+\s*$")
_LIST = re.compile(rf"^{NUMBER}(?:, ?{NUMBER})+\s*$")
_RULE = re.compile(r"[\s|:+=-]*")
_COLUMN = re.compile(
    r"m?A[PR](?:[ @.\w()]*)|m?INP|(?:rank|top|r|hit|acc|accuracy|recall|precision|ndcg|hr)[-@ ]?\d+"
    r"|(?:mean |average |top-?\d )?(?:loss|acc(?:uracy)?|m?iou|f1(?:[- ]?score)?|precision|recall|auc|pq|sq|rq|mae|rmse|mse|psnr"
    r"|ssim|dice|bleu|rouge(?:-?\w)?|metric|score)",
    re.IGNORECASE,
)
_LITERAL = re.compile(
    rb"[:=]\s*(?:true|false|none|null|yes|no|n/a|\[[^\n]*|\([^\n]*|\{[^\n]*|'[^'\n]*'|\"[^\"\n]*\"),?[ \t]*\n",
    re.IGNORECASE,
)
_LITERAL_ITEM = re.compile(rb"[ \t]*- (?:['\"]|[A-Za-z_/][^:=\n]*\n)")
_NAMES = Names()


class GuessedTable:
    """A table whose header names metrics. The first cell of a row, where it is a text, is a part of their names."""

    def __init__(self, columns: list[str], task: str, *, listed: bool) -> None:
        """Opens the table.

        Args:
            task: a part of the metrics' names; "" for none.
            listed: rows are numbers with commas between, not cells between bars.
        """
        self._columns, self._task, self._listed = columns, task, listed

    def read(self, line: str, unread: Unread | None = None) -> Mapping[str, Number] | None:
        """Reads the metrics of a line: none where it only draws; None when the table has ended."""
        line = line[:LIMIT]
        if self._listed:
            cells = line.split(",") if _LIST.match(line) else []
        else:
            match = _ROW.match(line)
            if match and _RULE.fullmatch(match["cells"]):
                return {}
            cells = match["cells"].split("|") if match else []
        if len(cells) != len(self._columns):
            return None
        cells = [cell.strip() for cell in cells]
        label = cells[0] if to_number(cells[0]) is None else ""
        above = "".join(f"{part}/" for part in (self._task, label) if part)
        pairs = (
            (above + column, cell)
            for column, cell in zip(self._columns, cells, strict=True)
            if _COLUMN.fullmatch(column)
        )
        return _NAMES.metrics(pairs, {}, unread)


def open_table(line: str, task: str) -> GuessedTable | None:
    """Opens a table if the line is the header of one with metrics."""
    line = line[:LIMIT]
    if _LIST_HEADER.match(line):
        return GuessedTable([name.strip() for name in line.split(",")], task, listed=True)
    match = _HEADER.match(line)
    columns = [cell.strip() for cell in match["cells"].split("|")[:-1]] if match else []
    metrics = any(_COLUMN.fullmatch(column) for column in columns)
    if not metrics or len(set(columns)) < len(columns) or any(to_number(column) is not None for column in columns):
        return None
    return GuessedTable(columns, task, listed=False)


def task_of(line: str) -> str:
    """Returns the task that a line above a table names; "" for none."""
    match = _TASK.search(line[:LIMIT])
    return match["task"] if match else ""


class PrintedSettings:
    """Finds printed configurations: lines `name: value` directly behind one another.

    That is what they are once several of them have a value that no metric has: True, None, a list, a text in quotes. A line that
    counts epochs or iterations ends them.
    """

    def __init__(self) -> None:
        self.began = False  # the line asked for last is the first one asked for of its neighbours
        self._end = 0  # of the lines, in this chunk
        self._lines = self._literals = 0
        self.goes_on = False  # in the next chunk, perhaps

    @property
    def found(self) -> bool:
        """Whether the lines looked at last are a configuration."""
        return self._lines >= FEWEST and self._literals >= LITERALS

    def next_chunk(self, chunk: bytes) -> bool:
        """Begins a chunk of whole lines; tells whether the lines before it turn out to be a configuration."""
        known = self.found
        self._end = 0
        if self.goes_on:
            self._extend(chunk, 0)
        return self.found and not known and self._end > 0

    def inside(self, chunk: bytes, start: int) -> bool:
        """Tells whether the line at `start` belongs to a configuration. Lines are asked for from the first to the last."""
        starts = _SETTING.match(chunk, start) is not None and _COUNTING.match(chunk, start) is None
        self.began = start >= self._end and starts
        if self.began:
            self._lines = self._literals = 0
            at = start
            while at > self._end:
                at = max(self._end, chunk.rfind(b"\n", 0, at - 1) + 1)
                if not self._count(chunk, at):
                    break
            self._extend(chunk, start)
        return self.found and start < self._end

    def _extend(self, chunk: bytes, start: int) -> None:
        """Takes in the lines from `start` on that have the form."""
        while start < len(chunk) and self._count(chunk, start):
            start = chunk.index(b"\n", start) + 1
        self._end = start
        self.goes_on = start == len(chunk)

    def _count(self, chunk: bytes, start: int) -> bool:
        """Takes in the line at `start` if it has the form."""
        match = None if _COUNTING.match(chunk, start) else _SETTING.match(chunk, start)
        if match:
            self._lines += 1
            end = min(match.end(), start + SHORT)
            self._literals += bool(_LITERAL.search(chunk, start, end) or _LITERAL_ITEM.match(chunk, start, end))
        return match is not None
