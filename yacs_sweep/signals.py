"""The signals that end a launch, noted while it lasts."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType


@contextlib.contextmanager
def noted(received: list[int]) -> Iterator[None]:
    """Appends SIGINT, SIGTERM and SIGHUP to `received` instead of what they do otherwise.

    A thread that is not the main one cannot have them, and whoever runs a sweep there ends it otherwise.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def note(number: int, frame: FrameType | None) -> None:
        received.append(number)

    wanted = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:  # not nohup's, nor a screen's that can do without
        wanted.append(signal.SIGHUP)
    previous = {number: signal.signal(number, note) for number in wanted}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
