"""Shows a trainer's output on the terminal without ever making the trainer wait for the terminal."""

from __future__ import annotations

import os
import queue
import threading

CAPACITY = 1 << 20  # bytes that may wait for a slow terminal before some are left out


class Echo:
    """Copies output to a descriptor on a thread of its own; what a stuck terminal cannot take is left out and counted.

    With a `prefix` every line starts with it, so that several workers' lines can be told apart; only whole lines are
    written then.
    """

    def __init__(self, descriptor: int = 1, prefix: str = "") -> None:
        self._descriptor = descriptor
        self._prefix = prefix.encode()
        self._queue: queue.Queue[bytes | None] = queue.Queue()
        self._lock = threading.Lock()
        self._waiting = 0  # bytes in the queue
        self._partial = b""
        self._dropped = 0
        self._thread = threading.Thread(target=self._work, name="echo", daemon=True)
        self._thread.start()

    def write(self, data: bytes) -> None:
        """Never blocks."""
        with self._lock:
            if self._waiting + len(data) > CAPACITY:
                self._dropped += len(data)
                return
            self._waiting += len(data)
        self._queue.put(data)

    def close(self, timeout: float = 1.0) -> None:
        """Writes what waits, for at most `timeout` seconds."""
        self._queue.put(None)
        self._thread.join(timeout)

    def _work(self) -> None:
        while (data := self._queue.get()) is not None:
            with self._lock:
                self._waiting -= len(data)
                dropped = self._dropped if self._queue.empty() else 0
                self._dropped -= dropped
            if dropped:
                told = f"\n[{dropped:,} bytes not shown here: the terminal was too slow; they are in stdout.log]\n"
                data += told.encode()
            if not self._put(self._prefixed(data)):
                return
        if self._partial:
            self._put(self._prefix + self._partial + b"\n")

    def _prefixed(self, data: bytes) -> bytes:
        if not self._prefix:
            return data
        lines = (self._partial + data).split(b"\n")
        self._partial = lines.pop()[-(1 << 16) :]
        return b"".join(self._prefix + line + b"\n" for line in lines)

    def _put(self, data: bytes) -> bool:
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self._descriptor, view) :]
            except OSError:
                return False  # the terminal is gone; the files have everything
        return True
