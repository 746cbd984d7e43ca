"""Ends a run where its state is whole: a signal only leaves a note, the run reads it between two steps."""

from __future__ import annotations

import os
import signal
from types import FrameType, TracebackType
from typing import Any

from utils.errors import Stopped

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopRequest:
    """Within it SIGTERM and Ctrl-C are noted for `check`; a second one ends the process at once."""

    def __init__(self) -> None:
        self._signum: int | None = None
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> StopRequest:
        self._previous = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore()

    @property
    def signum(self) -> int:
        """The signal that has come; 0: none."""
        return self._signum or 0

    def check(self) -> None:
        """Raises Stopped when a signal has come."""
        if self._signum is not None:
            raise Stopped(self._signum)

    def _note(self, signum: int, _frame: FrameType | None) -> None:
        if self._signum is None:
            self._signum = signum
            return
        signal.signal(signum, signal.SIG_DFL)
        os.kill(os.getpid(), signum)

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
