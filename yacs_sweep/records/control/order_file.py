"""Keeps a sweep's orders in a file of its folder, a JSON object a line: `control.jsonl`.

Any user who may write to the folder may append; a line is written in one step, so that several may do so at once.
"""

from __future__ import annotations

import contextlib
import os
import threading

from ...base.files import NEW_FILE, open_regular
from ...base.growing_files import GrowingLines, append, json_object
from ...base.locks import exclusive
from ...base.values import to_json
from ..folder import SweepPaths
from .orders import Entry, entry_from_row, entry_row


class OrderFile:
    """Keeps the orders of a sweep whose launches share its folder (an `OrderLog`)."""

    def __init__(self, paths: SweepPaths) -> None:
        self.path, self._agents = paths.control, paths.agents
        self._lines = GrowingLines()
        self._lock = threading.Lock()
        self._seen = (0, 0)  # inode and size at the last read

    def append(self, entry: Entry) -> None:
        """Adds an entry; begins a new line where another writer was killed within one.

        Raises:
            OSError: the file cannot be written.
        """
        self._agents.mkdir(parents=True, exist_ok=True)
        with exclusive(self._agents / "control.lock"):
            descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, NEW_FILE)
            try:
                size = os.fstat(descriptor).st_size
                torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
                append(descriptor, b"\n" * torn + to_json(entry_row(entry)).encode() + b"\n")
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def read(self) -> list[Entry]:
        """Reads the new entries; a file that is not there, or cannot be read now, has none."""
        with self._lock, contextlib.suppress(OSError):
            found = os.stat(self.path)
            if (found.st_ino, found.st_size) == self._seen:
                return []
            with open_regular(self.path) as file:
                lines = list(self._lines.read(file))
            self._seen = (found.st_ino, found.st_size)
            return [entry for line in lines if (entry := entry_from_row(json_object(line))) is not None]
        return []
