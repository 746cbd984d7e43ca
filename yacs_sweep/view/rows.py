"""Follows metrics.jsonl files of trials that run."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any

from ..results import number

MOST = 1 << 18  # bytes that are read at once; of more, the last


def new_rows(path: Path, offset: int = 0) -> tuple[list[dict[str, Any]], int]:
    """The whole rows after byte `offset`, and where they end. Of many only the last are read."""
    rows: list[dict[str, Any]] = []
    with contextlib.suppress(OSError), path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size < offset:  # written anew
            offset = 0
        start = max(offset, size - MOST)
        file.seek(start)
        whole, newline, _ = file.read(MOST).rpartition(b"\n")
        if not newline:
            return [], offset
        offset = start + len(whole) + 1
        for line in whole.split(b"\n")[1 if start > 0 and start == size - MOST else 0 :]:
            with contextlib.suppress(ValueError, AttributeError):
                rows.append({key: number(value) for key, value in json.loads(line).items()})
    return rows, offset
