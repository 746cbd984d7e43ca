"""Sums up for how long a sweep has run, and how many GPU seconds its trials have used, from the trials' records.

The sweep has run while any of its trials ran, in whichever launch and on whichever machine; so neither pauses, nor Ctrl-Z,
nor the time between launches count.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping, Sequence

from ...base.values import utc_seconds
from ..folder import SweepPaths, TrialRecord


def covered(spans: Sequence[tuple[float, float]]) -> float:
    """Returns the seconds that are in any of the spans (start and end)."""
    total, until = 0.0, -math.inf
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, until))
        until = max(until, end)
    return total


class Spent:
    """Sums up what a sweep's trials have taken; trials that have ended are read once."""

    def __init__(self, paths: SweepPaths, records: Mapping[str, TrialRecord]) -> None:
        """Reads nothing yet.

        Args:
            records: all trials of the sweep by id, which grow while it runs.
        """
        self._paths, self._records = paths, records
        self._ended: dict[str, tuple[TrialRecord, list[tuple[float, float]], float]] = {}  # by id, with GPU seconds

    def sums(self, running: Sequence[tuple[TrialRecord, float]]) -> tuple[float, float]:
        """Returns the seconds during which any trial ran, and the GPU seconds of all.

        Args:
            running: trials that run here, and for how many seconds; they run on until now.
        """
        here, now = {record.id for record, _ in running}, time.time()
        spans, gpu_seconds = [(now - seconds, now) for _, seconds in running], 0.0
        for record, seconds in running:
            spans += _earlier(record)
            gpu_seconds += (seconds + record.trained) * len(record.gpu_ids)
        for record in list(self._records.values()):
            if record.id in here:
                continue
            known = self._ended.get(record.id)
            if known is None or known[0] is not record:
                known = (record, *self._read(record, now))
                if record.state != "running":
                    self._ended[record.id] = known
            spans += known[1]
            gpu_seconds += known[2]
        return covered(spans), gpu_seconds

    def _read(self, record: TrialRecord, now: float) -> tuple[list[tuple[float, float]], float]:
        """Returns when a trial ran, and its GPU seconds."""
        start, end = utc_seconds(record.started), (utc_seconds(record.ended) or now) - record.asleep
        if record.state == "running" or record.cause == "lost":  # nobody saw its end: when its trainer printed last
            try:
                end = min(end, os.stat(self._paths.trial(record.name).stdout).st_mtime)
            except OSError:
                pass
        if start is None or end < start:
            return _earlier(record), record.trained * len(record.gpu_ids)
        return [*_earlier(record), (start, end)], (end - start + record.trained) * len(record.gpu_ids)


def _earlier(record: TrialRecord) -> list[tuple[float, float]]:
    """Returns when a trial ran in earlier launches of its trainer."""
    spans = [(utc_seconds(start), utc_seconds(end)) for start, end in record.ran]
    return [(start, end) for start, end in spans if start is not None and end is not None]
