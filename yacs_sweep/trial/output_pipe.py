"""Reads a child's output on a thread of its own, so that the child never waits for a slow disk.

The caller writes the output to files. While one of these writes takes long, the thread continues to read, into memory. Only
when `CAPACITY` bytes wait does the pipe fill up, so that the child waits: no output is ever dropped. A child that prints
faster than its output is handled waits much sooner, as for any pipe, and costs no memory.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import selectors
import threading
import time
from collections import deque

from ..base.signals import AWAKE

CAPACITY = 64 << 20  # bytes that may wait while the caller is stalled
USUAL = 1 << 20  # bytes that may wait otherwise
STALLED = 0.2  # seconds without a read by the caller, who then seems to wait for a disk
READ_SIZE = 1 << 18
PIPE_SIZE = 1 << 20  # bytes, asked of the kernel so that a burst does not wait for this process
GATHER = 0.1  # seconds until the next read after little output: few wake-ups for a trainer that prints line by line
LITTLE = 1 << 14  # bytes


class OutputPipe:
    """Reads a pipe until end-of-file or `finish`, and keeps the output until the caller reads it.

    A selector finds the object readable when `read` would return at once. The pipe's descriptor stays the caller's to close.
    """

    def __init__(self, pipe: int, capacity: int = CAPACITY) -> None:
        self._last = AWAKE.now()  # of the last output
        self._pipe, self._capacity = pipe, capacity
        os.set_blocking(pipe, False)
        if hasattr(fcntl, "F_SETPIPE_SZ"):
            with contextlib.suppress(OSError):
                fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_SIZE)
        self._ready, self._tell = os.pipe()  # holds one byte while `read` would return at once
        try:
            self._finished, self._finish = os.pipe()  # end-of-file tells the thread to read the rest and stop
        except OSError:
            os.close(self._ready)
            os.close(self._tell)
            raise
        self._changed = threading.Condition()
        self._chunks: deque[bytes] = deque()  # the last one is empty once all has been read
        self._waiting = 0  # bytes
        self._taken = time.monotonic()  # of the caller's last read
        self._closed = False
        self._error: BaseException | None = None  # why the output was not read to its end
        self._thread = threading.Thread(target=self._work, name="output pipe", daemon=True)
        self._thread.start()

    def fileno(self) -> int:
        """Returns the descriptor for a selector."""
        return self._ready

    def __enter__(self) -> OutputPipe:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def seconds_quiet(self) -> float:
        """Returns the seconds since the last output; 0 while some waits for the caller."""
        return 0.0 if self._chunks else AWAKE.now() - self._last

    def read(self) -> bytes:
        """Waits for the next piece of output, at most 256 KiB; returns an empty one at the end.

        Raises:
            OSError: what follows cannot be read.
        """
        with self._changed:
            while not self._chunks:
                self._changed.wait()
            data = self._chunks.popleft()
            self._waiting -= len(data)
            self._taken = time.monotonic()
            self._changed.notify_all()
            if not self._chunks:
                os.read(self._ready, 1)
        if not data and self._error is not None:
            raise self._error
        return data

    def finish(self) -> None:
        """Tells the thread that no process is left to write: what the pipe holds now is the rest."""
        if self._finish >= 0:
            os.close(self._finish)
            self._finish = -1

    def close(self) -> None:
        """Stops the thread and drops what was not read."""
        self.finish()
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()
        for descriptor in (self._ready, self._tell, self._finished):
            os.close(descriptor)

    def _full(self) -> bool:
        """Returns whether no more output may wait."""
        stalled = time.monotonic() - self._taken > STALLED
        return not self._closed and self._waiting >= (self._capacity if stalled else min(USUAL, self._capacity))

    def _put(self, data: bytes) -> None:
        """Hands a piece to the caller, after waiting for room."""
        with self._changed:
            while self._full():
                self._changed.wait(STALLED)
            if not self._chunks:
                os.write(self._tell, b"\0")
                self._changed.notify_all()
            self._chunks.append(data)
            self._waiting += len(data)

    def _work(self) -> None:
        """Reads the pipe, then marks the end of the output."""
        try:
            self._read_pipe()
        except BaseException as error:
            self._error = error
        self._put(b"")

    def _read_pipe(self) -> None:
        """Reads until end-of-file, or until the rest was read after `finish`."""
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
                self._last = AWAKE.now()
                self._put(data)
                if finishing:
                    rest -= len(data)
                elif len(data) < LITTLE:
                    finish.select(GATHER)
