"""Takes in a child's output on a thread of its own, so that the child never waits for a disk that is slow.

Whoever handles the output writes it to files; when one of those writes takes long, the thread goes on reading, into
memory. Only when `CAPACITY` bytes wait is the pipe left to fill up, and the child waits: nothing is ever left out. A child
that prints faster than its output can be handled waits much sooner, as for any pipe, and costs no memory.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import selectors
import threading
import time
from collections import deque

CAPACITY = 64 << 20  # bytes that may wait while nothing is handled
USUAL = 1 << 20  # bytes that may wait otherwise
STALLED = 0.2  # seconds without anything being handled
READ_SIZE = 1 << 18
PIPE_SIZE = 1 << 20  # asked of the kernel, so that a burst does not wait for us
GATHER = 0.1  # seconds until the next look after little output: few wake-ups for a trainer that prints line by line
LITTLE = 1 << 14  # bytes


class Intake:
    """Reads the descriptor `pipe`, which stays its owner's to close, until end-of-file or `finish`.

    A selector finds it readable when there is something to `take`, the end included.
    """

    def __init__(self, pipe: int, capacity: int = CAPACITY) -> None:
        self._last = time.monotonic()  # when output came last
        self._pipe, self._capacity = pipe, capacity
        os.set_blocking(pipe, False)
        if hasattr(fcntl, "F_SETPIPE_SZ"):
            with contextlib.suppress(OSError):
                fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_SIZE)
        self._ready, self._tell = os.pipe()  # holds one byte while there is something to take
        self._finished, self._finish = os.pipe()  # end-of-file tells the thread to come to its end
        self._changed = threading.Condition()
        self._chunks: deque[bytes] = deque()  # the last one is empty once all has been read
        self._waiting = 0  # bytes
        self._taken = self._last  # when something was taken last
        self._given_up = False
        self._thread = threading.Thread(target=self._work, name="intake", daemon=True)
        self._thread.start()

    def fileno(self) -> int:
        return self._ready

    def __enter__(self) -> Intake:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def quiet(self) -> float:
        """Seconds since output came last; none while some waits to be taken."""
        return 0.0 if self._chunks else time.monotonic() - self._last

    def take(self) -> bytes:
        """The next piece, at most 256 KiB; empty at the end. Waits for it."""
        with self._changed:
            while not self._chunks:
                self._changed.wait()
            data = self._chunks.popleft()
            self._waiting -= len(data)
            self._taken = time.monotonic()
            self._changed.notify_all()
            if not self._chunks:
                os.read(self._ready, 1)
        return data

    def finish(self) -> None:
        """No process that should write is left: what is in the pipe now is the rest."""
        if self._finish >= 0:
            os.close(self._finish)
            self._finish = -1

    def close(self) -> None:
        """Gives up what has not been taken."""
        self.finish()
        with self._changed:
            self._given_up = True
            self._changed.notify_all()
        self._thread.join()
        for descriptor in (self._ready, self._tell, self._finished):
            os.close(descriptor)

    def _full(self) -> bool:
        stalled = time.monotonic() - self._taken > STALLED
        return not self._given_up and self._waiting >= (self._capacity if stalled else min(USUAL, self._capacity))

    def _put(self, data: bytes) -> None:
        with self._changed:
            while self._full():
                self._changed.wait(STALLED)
            if not self._chunks:
                os.write(self._tell, b"\0")
                self._changed.notify_all()
            self._chunks.append(data)
            self._waiting += len(data)

    def _work(self) -> None:
        try:
            self._read()
        finally:
            self._put(b"")

    def _read(self) -> None:
        rest = PIPE_SIZE  # bytes to read once `finish` was called: a pipe holds no more that were written before
        with selectors.DefaultSelector() as either, selectors.DefaultSelector() as finish:
            either.register(self._pipe, selectors.EVENT_READ)
            for selector in (either, finish):
                selector.register(self._finished, selectors.EVENT_READ)
            while rest > 0:
                finishing = any(key.fd == self._finished for key, _ in either.select())
                try:
                    data = os.read(self._pipe, READ_SIZE)
                except BlockingIOError:
                    if finishing:
                        return
                    continue
                if not data:
                    return
                self._last = time.monotonic()
                self._put(data)
                if finishing:
                    rest -= len(data)
                elif len(data) < LITTLE:
                    finish.select(GATHER)
