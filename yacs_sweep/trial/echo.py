"""Copies a trainer's output to the terminal without ever making the trainer wait for the terminal."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass

CAPACITY = 1 << 20  # bytes that may wait for a slow terminal before some are dropped
LONGEST = 1 << 16  # bytes of an unfinished line that are held back
ATOMIC = 4096  # bytes that a pipe takes in one piece, beside other writers (PIPE_BUF, pipe(7))


@dataclass(frozen=True)
class _Prefix:
    """Changes the prefix of the lines that follow in the queue, after ending an unfinished line."""

    text: bytes


class Echo:
    """Copies output to a descriptor on a thread of its own; drops and counts bytes that a stuck terminal does not take.

    Only whole lines are written, because others write to the same descriptor: the supervisor its messages, agents their
    trials' lines. Output often arrives in halves of lines: a Python program that does not buffer writes a line and its
    end apart. With a prefix (`begin`) every line starts with the prefix, which shows whose line it is.
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

    def begin(self, prefix: str = "") -> None:
        """Starts or ends a trial's output: ends an unfinished line, and sets the prefix of the following ones."""
        self._queue.put(_Prefix(prefix.encode()))

    def write(self, data: bytes) -> None:
        """Queues output; never blocks."""
        with self._lock:
            if self._waiting + len(data) > CAPACITY:
                self._dropped += len(data)
                return
            self._waiting += len(data)
        self._queue.put(data)

    def close(self, timeout: float = 1.0) -> None:
        """Writes the queue, for at most `timeout` seconds."""
        self._queue.put(None)
        self._thread.join(timeout)

    def _work(self) -> None:
        """Writes the queue until it is closed or the terminal is gone."""
        while (data := self._queue.get()) is not None:
            if isinstance(data, _Prefix):
                self._end_line()
                self._prefix = data.text
                continue
            with self._lock:
                self._waiting -= len(data)
            if not self._put(self._whole_lines(data + (self._notice() if self._queue.empty() else b""))):
                return
        self._put(self._whole_lines(self._notice()))
        self._end_line()

    def _notice(self) -> bytes:
        """Makes the line about the bytes that were dropped since the last one; empty without any."""
        with self._lock:
            dropped, self._dropped = self._dropped, 0
        line = f"\n[{dropped:,} bytes not shown here: the terminal was too slow; they are in stdout.log]\n"
        return line.encode() if dropped else b""

    def _end_line(self) -> None:
        """Writes the unfinished line, and an end to it."""
        if self._partial:
            self._put(self._prefix + self._partial + b"\n")
        self._partial = b""

    def _whole_lines(self, data: bytes) -> bytes:
        r"""Returns the lines that are whole now, with their prefix; without one, \r ends a line too (progress bars)."""
        data = self._partial + data
        if self._prefix:
            lines = data.split(b"\n")
            self._partial = lines.pop()[-LONGEST:]
            return b"".join(self._prefix + line + b"\n" for line in lines)
        cut = max(data.rfind(b"\n"), data.rfind(b"\r")) + 1
        if len(data) - cut > LONGEST:
            cut = len(data)
        self._partial = data[cut:]
        return data[:cut]

    def _pieces(self, data: bytes) -> Iterator[bytes]:
        """Cuts whole lines into pieces of at most `ATOMIC` bytes, so that no other writer's text stands inside a line."""
        while len(data) > ATOMIC and (cut := max(data.rfind(b"\n", 0, ATOMIC), data.rfind(b"\r", 0, ATOMIC)) + 1):
            yield data[:cut]
            data = data[cut:]
        yield data

    def _put(self, data: bytes) -> bool:
        """Writes to the descriptor; returns False if the terminal is gone."""
        for piece in self._pieces(data):
            view = memoryview(piece)
            while view:
                try:
                    view = view[os.write(self._descriptor, view) :]
                except OSError:
                    return False  # the terminal is gone; the files have everything
        return True
