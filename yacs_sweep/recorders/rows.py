"""Copies each row of a trial's metrics.jsonl to a recorder, once."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ..base.files import open_regular
from ..base.growing_files import GrowingFile, GrowingLines
from ..records.metrics import OUR_ROW, Objective, row_of
from .interface import Rows

TOGETHER = 1000  # rows handed over at once


class RowCopier:
    """Hands the rows of a growing metrics.jsonl to a recorder.

    While a trainer's own file has its place, nothing is read. A file that is put back in place (after a trainer has
    cleared its folder) is read from its beginning; of its rows only those with a new step are handed over.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines = GrowingLines()
        self._file: os.stat_result | None = None
        self._step = -1  # of the last row,
        self._known = -1  # and of the last one when the file was another

    def copy(self, log: Callable[[Rows], None], objective: Objective) -> None:
        """Hands the new whole lines to `log`; the objective sees them first."""
        with contextlib.suppress(FileNotFoundError), open_regular(self._path) as file:
            found = os.fstat(file.fileno())
            if GrowingFile.is_other(self._path, found):
                return
            other = self._file is not None and not os.path.samestat(found, self._file)
            if other or found.st_size < self._lines.offset:
                self._lines.restart()
                self._known = self._step
            # From the last whole line on: what stood behind it may be cut off, and another row written in its place.
            self._lines = GrowingLines(self._lines.offset)
            self._file = found
            rows = self._new_rows(self._lines.read(file), objective)
            while together := list(itertools.islice(rows, TOGETHER)):
                log(together)

    def _new_rows(self, lines: Iterator[bytes], objective: Objective) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yields step and values of the rows that have not been handed over."""
        for line in lines:
            row = row_of(line)
            if row is None:  # left by a killed writer
                continue
            try:
                step = int(row.pop("step"))
            except (ValueError, KeyError, TypeError):
                continue
            if line.startswith(OUR_ROW):
                if step <= self._known:
                    continue
                self._step = step
            objective.see(row)
            yield step, row
