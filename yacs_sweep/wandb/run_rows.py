"""Copies each row of a trial's metrics.jsonl to its W&B run, once."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..base.files import open_regular
from ..base.growing_files import GrowingFile, GrowingLines
from ..records.metrics import OUR_ROW, Objective, row_of
from .client_parts import Rows, row_sender

TOGETHER = 1000  # rows handed over to the client's service process at once


class RowCopier:
    """Logs the rows of a growing metrics.jsonl to a W&B run.

    While a trainer's own file has its place, nothing is read. A file that is put back in place (after a trainer has
    cleared its folder) is read from its beginning; of its rows only those with a new step are logged.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines = GrowingLines()
        self._file: os.stat_result | None = None
        self._step = -1  # of the last row,
        self._known = -1  # and of the last one when the file was another
        self.names: set[str] = set()  # of all metrics so far

    def copy(self, run: Any, objective: Objective) -> None:
        """Logs the new whole lines whose step is new to the run."""
        with contextlib.suppress(FileNotFoundError), open_regular(self._path) as file:
            found = os.fstat(file.fileno())
            if GrowingFile.is_other(self._path, found):
                return
            if self._file is not None and not os.path.samestat(found, self._file):
                self._lines.restart()
                self._known = self._step
            self._file = found
            rows = self._new_rows(self._lines.read(file), run.starting_step, objective)
            while together := list(itertools.islice(rows, TOGETHER)):
                log_rows(run, together)

    def _new_rows(
        self, lines: Iterator[bytes], starting_step: int, objective: Objective
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yields step and values of the rows that the run lacks; the objective sees all."""
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
            self.names.update(row)
            if step >= starting_step:
                yield step, row


def log_rows(run: Any, rows: Rows) -> None:
    """Logs rows as ``run.log(row, step=step, commit=True)`` does for each, in one go where the client can.

    tests/yacs_sweep/wandb/test_recorder.py compares the two, since nothing else holds this together when the client
    changes. When it fails, some rows have not been sent; they are on disk, and the run is opened again.
    """
    if rows:
        row_sender(run)(rows)
