"""Sets signal handlers for the time of a block, and notes the signals that end a launch."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator, Mapping


@contextlib.contextmanager
def handled(handlers: Mapping[signal.Signals, Callable[[], None]]) -> Iterator[None]:
    """Calls the handlers on their signals within the block, and puts the former ones back after it.

    Only the main thread can have handlers; in another one nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    former = {number: signal.signal(number, lambda *_, act=act: act()) for number, act in handlers.items()}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def hangup_is_ours() -> bool:
    """Tells whether SIGHUP still ends the process: neither nohup nor a live screen has taken it."""
    return signal.getsignal(signal.SIGHUP) is signal.SIG_DFL


@contextlib.contextmanager
def noted(received: list[int]) -> Iterator[None]:
    """Appends SIGINT, SIGTERM and SIGHUP to `received` within the block, instead of what they do otherwise."""
    wanted = [signal.SIGINT, signal.SIGTERM]
    if threading.current_thread() is threading.main_thread() and hangup_is_ours():
        wanted.append(signal.SIGHUP)
    with handled({number: lambda number=number: received.append(number) for number in wanted}):  # type: ignore[misc]
        yield
