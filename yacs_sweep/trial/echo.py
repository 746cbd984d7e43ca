"""Shows a trainer's output on the terminal without ever making the trainer wait for the terminal."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass

CAPACITY = 1 << 20  # bytes that may wait for a slow terminal before some are left out
ATOMIC = 4096  # bytes that a pipe takes in one, whoever else writes to it (PIPE_BUF, pipe(7))


@dataclass(frozen=True)
class _Prefix:
    text: bytes


class Echo:
    """Copies output to a descriptor on a thread of its own; what a stuck terminal cannot take is left out and counted.

    With a prefix (`begin`) every line starts with it, so that several workers' lines can be told apart; only whole
    lines are written then.
    """

    def __init__(self, descriptor: int = 1) -> None:
        self._descriptor = descriptor
        self._prefix = b""
        self._queue: queue.Queue[bytes | _Prefix | None] = queue.Queue()
        self._lock = threading.Lock()
        self._waiting = 0  # bytes in the queue
        self._partial = b""
        self._dropped = 0
        self._thread = threading.Thread(target=self._work, name="echo", daemon=True)
        self._thread.start()

    def begin(self, prefix: str) -> None:
        """What is written from here on is another trial's."""
        self._queue.put(_Prefix(prefix.encode()))

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
            if isinstance(data, _Prefix):
                self._end_line()
                self._prefix = data.text
                continue
            with self._lock:
                self._waiting -= len(data)
                dropped = self._dropped if self._queue.empty() else 0
                self._dropped -= dropped
            if dropped:
                told = f"\n[{dropped:,} bytes not shown here: the terminal was too slow; they are in stdout.log]\n"
                data += told.encode()
            if not self._put(self._prefixed(data)):
                return
        self._end_line()

    def _end_line(self) -> None:
        """Writes what waits for the rest of its line."""
        if self._partial:
            self._put(self._prefix + self._partial + b"\n")
        self._partial = b""

    def _prefixed(self, data: bytes) -> bytes:
        if not self._prefix:
            return data
        lines = (self._partial + data).split(b"\n")
        self._partial = lines.pop()[-(1 << 16) :]
        return b"".join(self._prefix + line + b"\n" for line in lines)

    def _pieces(self, data: bytes) -> Iterator[bytes]:
        """Whole lines in pieces that a pipe takes in one, so that workers do not write into each other's lines."""
        while self._prefix and len(data) > ATOMIC and (cut := data.rfind(b"\n", 0, ATOMIC) + 1):
            yield data[:cut]
            data = data[cut:]
        yield data

    def _put(self, data: bytes) -> bool:
        for piece in self._pieces(data):
            view = memoryview(piece)
            while view:
                try:
                    view = view[os.write(self._descriptor, view) :]
                except OSError:
                    return False  # the terminal is gone; the files have everything
        return True
