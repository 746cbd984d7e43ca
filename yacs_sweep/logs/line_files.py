"""Reads the metrics of a growing text file, one row a line: JSON objects, or CSV below a header."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Iterator
from typing import BinaryIO, Protocol

from ..base.files import open_regular
from ..base.growing_files import GrowingLines, json_object
from ..base.values import Number
from .names import Names, json_pairs
from .numbers import LeftOut, like_number
from .sources import Row

HEAD = 1 << 10  # bytes of a file's beginning by which it is recognised
LINE_LIMIT = 1 << 20  # bytes; a longer line holds no metrics


class Reader(Protocol):
    """Reads what a file has gained since the last call."""

    left_out: LeftOut | None

    def new_rows(self, last: bool) -> Iterator[Row]:
        """Yields the rows that have arrived.

        Args:
            last: the writer has ended, so that an unfinished line gets no end.

        Raises:
            OSError: the file cannot be read; another call reads on from the same place.
        """


class JsonLines:
    """Reads a growing file of JSON objects, one a line. At the start its content is an earlier attempt's and is skipped.

    A file that begins otherwise than before, or is shorter, has been started again; one that was put aside is read to
    its end first, and one that was written again with the same lines is read on from the same place.
    """

    def __init__(self, path: str, names: Names, *, skip: bool) -> None:
        self.path, self.names = path, names
        self.left_out: LeftOut | None = None  # the first value that looks like a number and is none
        self._file: BinaryIO | None = None
        self._head = b""
        start = 0
        if skip:
            with open_regular(path) as file:
                self._head = file.read(HEAD)
                start = file.seek(0, os.SEEK_END)
        self._lines = GrowingLines(start, LINE_LIMIT)

    def new_rows(self, last: bool) -> Iterator[Row]:
        """Yields the rows that have arrived; `last` also takes a line without an end."""
        for line in self._new_lines():
            yield from self._row(line)
        if last:
            if self._file is not None:
                self._file.close()
                self._file = None
            yield from self._row(self._lines.unfinished())

    def _new_lines(self) -> Iterator[bytes]:
        """Yields new lines, of a file that has been put aside first."""
        before = self._file
        try:
            file = self._file = open_regular(self.path)  # kept, to read to its end what is put aside
        except FileNotFoundError:
            if before is not None:
                yield from self._lines.read(before)
            return
        if before is not None:
            with before:
                if not os.path.sameopenfile(before.fileno(), file.fileno()):
                    yield from self._lines.read(before)
        size, head = os.fstat(file.fileno()).st_size, file.read(HEAD)
        if size < self._lines.position or not head.startswith(self._head):
            self._restart()
        self._head = head
        yield from self._lines.read(file)

    def _restart(self) -> None:
        """Reads from the file's beginning next time: the file has been written again."""
        self._lines.restart()

    def _pairs(self, line: bytes) -> Iterable[tuple[str, str | Number]]:
        """Returns the names and values of a line; empty for a line without metrics."""
        values = json_object(line)
        return () if values is None else json_pairs(values)

    def _row(self, line: bytes) -> Iterator[Row]:
        """Yields the row of a line; none of a line without metrics."""

        def unread(name: str, text: str) -> None:
            if self.left_out is None and like_number(text):
                self.left_out = LeftOut(name, text, line.decode("utf-8", "replace"))

        if row := self.names.metrics(self._pairs(line), {}, unread if self.left_out is None else None):
            yield row


class CsvLines(JsonLines):
    """Reads a growing CSV file, whose first line names the columns. An empty cell is no value.

    A file that was written again with more columns (Lightning's) has the same rows at its beginning: they count once.
    """

    def __init__(self, path: str, names: Names, *, skip: bool) -> None:
        super().__init__(path, names, skip=skip)
        self._columns: list[str] = []
        self._before: list[str] = []  # columns of the file before it was written again
        self._number = self._seen = 0  # of the line that was read last; of the last one whose row is known
        if skip:
            with open_regular(path) as file:
                self._columns = _cells(file.readline(LINE_LIMIT))
                self._number = self._seen = sum(1 for line in file if line.strip())

    def _restart(self) -> None:
        super()._restart()
        self._before, self._columns, self._number = self._columns, [], 0

    def _pairs(self, line: bytes) -> Iterable[tuple[str, str | Number]]:
        cells = _cells(line)
        if not cells:
            return ()
        if not self._columns:
            self._columns = cells
            if not set(self._before) < set(cells):
                self._seen = 0
            return ()
        self._number += 1
        if self._number <= self._seen:
            return ()
        self._seen = self._number
        return [(name, text) for name, text in zip(self._columns, cells, strict=False) if name and text]


def _cells(line: bytes) -> list[str]:
    """Splits a line of CSV into its cells, without blanks around them; empty for a line that holds none."""
    try:
        rows = list(csv.reader([line.decode("utf-8-sig", "replace").rstrip("\r\n")]))
    except csv.Error:
        return []
    return [cell.strip() for cell in rows[0]] if rows and line.strip() else []
