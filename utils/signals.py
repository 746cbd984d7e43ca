"""Handling of SIGTERM and Ctrl-C: a signal is recorded, and the run ends at its next check, between two steps."""

from __future__ import annotations

import os
import signal
from types import FrameType, TracebackType
from typing import Any

from utils.errors import Stopped

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopRequest:
    """Context that records SIGTERM and Ctrl-C for `check`; a second signal ends the process at once."""

    def __init__(self) -> None:
        self._signum: int | None = None
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> StopRequest:
        self._previous = {number: signal.signal(number, self._record) for number in SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore()

    @property
    def signum(self) -> int:
        """Number of the signal received; 0: none."""
        return self._signum or 0

    def check(self) -> None:
        """Raises Stopped where a signal has been received."""
        if self._signum is not None:
            raise Stopped(self._signum)

    def _record(self, signum: int, _frame: FrameType | None) -> None:
        if self._signum is None:
            self._signum = signum
            return
        signal.signal(signum, signal.SIG_DFL)
        os.kill(os.getpid(), signum)

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
