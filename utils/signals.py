"""Handling of SIGTERM and Ctrl-C: a run ends at its next check, at once where nothing is lost by that.

Python runs a signal's handler between two of its own operations. In a call of a library that waits, for other processes
for example, the handler waits as well, so a thread watches for signals, too, and ends the process from there.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType, TracebackType
from typing import Any

from utils.errors import Stopped
from utils.logger import NAME

SIGNALS = (signal.SIGTERM, signal.SIGINT)
STOPPED = "Stopped by %s; the same command continues from here"
PATIENCE = 2.0  # seconds that a process waits for the others after a signal, and twice its longest step
_SAME = 1.0  # seconds in which a second SIGTERM is the same one, sent by a scheduler and by torchrun
_LOOK_INTERVAL = 0.05  # seconds between two looks of the thread after a signal


class StopRequest:
    """Context that records SIGTERM and Ctrl-C for `check`; a second signal ends the process at once."""

    def __init__(self) -> None:
        self._signum: int | None = None
        self._received: float | None = None  # when the signal came, which Python's handler may not know of yet
        self._previous: dict[signal.Signals, Any] = {}
        self._recorded = 0.0
        self._interrupting = self._at_once = self._writing = self._in_group = False
        self._settled = False  # the signal has been obeyed, or the context has ended
        self._checked, self._longest = time.monotonic(), 0.0
        self.abandoned = False  # whether the other processes of a group were waited for in vain

    def __enter__(self) -> StopRequest:
        self._previous = {number: signal.signal(number, self._record) for number in SIGNALS}
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        self._previous_wakeup = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._settled = True
        signal.set_wakeup_fd(self._previous_wakeup)
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        os.write(self._writer, b"\0")
        self._thread.join()
        os.close(self._reader)
        os.close(self._writer)

    @property
    def signum(self) -> int:
        """Number of the signal received; 0: none."""
        return self._signum or 0

    def check(self) -> None:
        """Raises Stopped where a signal has been received; counts a step."""
        self.count_step()
        if self._signum is not None:
            self._obey()

    def settle(self) -> None:
        """Notes that the run is about to end, for a signal to this process or to another."""
        self._settled = True

    def _obey(self) -> None:
        """Raises Stopped for the signal that was received."""
        self.settle()
        raise Stopped(self.signum)

    def count_step(self) -> None:
        """Counts the time since the last check as a step of the run."""
        now = time.monotonic()
        self._longest, self._checked = max(self._longest, now - self._checked), now

    def restart_clock(self) -> None:
        """Counts the next step from now on: what came before was none."""
        self._checked = time.monotonic()

    @contextmanager
    def interrupting(self) -> Iterator[None]:
        """Makes a signal raise Stopped wherever Python is, within code that changes nothing a checkpoint holds.

        Only a line of the log is written to its end, at the next check or at the end of the context Stopped is raised.
        """
        self._interrupting = True
        try:
            if self._signum is not None:
                self._obey()
            yield
            if self._signum is not None:
                self._obey()
        finally:
            self._interrupting = False
            self.restart_clock()

    @contextmanager
    def ending_at_once(self) -> Iterator[None]:
        """Makes a signal end the process at once, within a call of a library that waits and where nothing is lost."""
        self._at_once = True
        try:
            if self._signum is not None:
                self._obey()
            yield
        finally:
            self._at_once = False

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Keeps a signal from ending the process, while a checkpoint is written."""
        self._writing = True
        try:
            yield
        finally:
            self._writing = False
            self.restart_clock()

    @contextmanager
    def in_group(self) -> Iterator[None]:
        """Makes a signal end the process after a while, within a group of which another process may be dead."""
        self._in_group = True
        try:
            yield
        finally:
            self._in_group = False

    def is_overdue(self) -> bool:
        """Tells whether a signal was received so long ago that another process, were it alive, would have come."""
        if self._received is None:
            return False
        longest = max(self._longest, self._received - self._checked)
        return time.monotonic() - self._received > PATIENCE + 2 * longest

    def abandon_group(self) -> None:
        """Raises Stopped where the others of a group are waited for in vain."""
        self.abandoned = True
        self._obey()

    def _record(self, signum: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._signum is None:
            self._signum, self._recorded = signum, now
            self._received = self._received or now
            if self._interrupting and not _is_logging(frame):
                self._obey()
        elif signum != self._signum or signum != signal.SIGTERM or now - self._recorded > _SAME:
            signal.signal(signum, signal.SIG_DFL)
            os.kill(os.getpid(), signum)

    def _watch(self) -> None:
        """Waits for a signal, then ends the process where that is due and Python does not come to it."""
        signum = os.read(self._reader, 1)[0]
        while signum not in (0, *SIGNALS):
            signum = os.read(self._reader, 1)[0]
        self._received = self._received or time.monotonic()
        while signum and not self._settled:
            if self._at_once or (self._in_group and not self._writing and self.is_overdue()):
                self._say_stopped(signum)
                end_process(signum)
            time.sleep(_LOOK_INTERVAL)

    @staticmethod
    def _say_stopped(signum: int) -> None:
        """Writes the line of a stopped run into the log, or to stderr where none is open."""
        logger, name = logging.getLogger(NAME), signal.Signals(signum).name
        if logger.handlers:
            logger.info(STOPPED, name)
        else:
            print(STOPPED % name, file=sys.stderr)


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """Makes SIGTERM and Ctrl-C raise Stopped wherever Python is, for a tool that has nothing to save."""
    with StopRequest() as stop, stop.interrupting():
        yield


def _is_logging(frame: FrameType | None) -> bool:
    """Tells whether a line is being logged: logging swallows an error from there, or the line would be lost."""
    while frame is not None and frame.f_globals.get("__name__") != logging.__name__:
        frame = frame.f_back
    return frame is not None


def end_process(signum: int) -> None:
    """Ends the process for a signal, without the end of a group, which would wait for the other processes."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(128 + signum)


def _forget_pipe() -> None:
    """Keeps a forked process, a loader's worker, from reporting its signals to its parent's thread."""
    with suppress(ValueError):  # forked from another thread than the main one
        signal.set_wakeup_fd(-1)


os.register_at_fork(after_in_child=_forget_pipe)
