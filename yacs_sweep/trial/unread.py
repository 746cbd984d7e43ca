"""Finds what a trial has printed and its agent, which was killed, could not write to metrics.jsonl any more.

A trainer may have kept its place behind such a row: resumed, it does not print the row again.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from typing import Any

from ..base.files import open_regular
from ..base.values import to_json
from ..logs.parser import LogParser
from ..records.folder import TrialPaths
from ..records.metrics import MetricsFile, readable_metrics
from ..trainers.profile import TrainerProfile

MOST = 1 << 20  # bytes of output that are read again


def add_unread_rows(paths: TrialPaths, profile: TrainerProfile) -> None:
    """Adds the rows at the end of stdout.log that metrics.jsonl lacks."""
    with contextlib.suppress(OSError):
        unread = unread_rows(paths, profile)
        if unread:
            file = MetricsFile(paths.metrics)
            try:
                for row in unread:
                    file.append(row)
            finally:
                file.close()


def unread_rows(paths: TrialPaths, profile: TrainerProfile) -> list[Mapping[str, Any]]:
    """Returns the rows of stdout.log behind the last one of metrics.jsonl; none where that one is not found.

    Raises:
        OSError: the output cannot be read.
    """
    with open_regular(paths.stdout) as file:
        size = os.fstat(file.fileno()).st_size
        file.seek(max(0, size - MOST))
        data = file.read(MOST)
    if size > MOST:
        data = data[data.find(b"\n") + 1 :]
    parser = LogParser(profile.metrics)
    rows = [*parser.feed_chunk(data), *parser.close()]
    written = readable_metrics(paths.metrics)
    if not written:
        return list(rows) if size <= MOST else []
    last = _comparable(written[-1])
    found = [place for place, row in enumerate(rows) if _comparable(row) == last]
    return list(rows[found[-1] + 1 :]) if found else []


def _comparable(row: Mapping[str, Any]) -> str:
    """Returns a text that is the same for rows with the same metrics."""
    return to_json({name: row[name] for name in sorted(row) if name != "step"})
