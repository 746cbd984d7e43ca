"""Sets signal handlers for the time of a block, notes the signals that end a launch, and measures how long it was awake."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Moment:
    """Marks a time for `AwakeClock.since`: seconds of the monotonic clock, and those of them that were asleep."""

    at: float
    asleep: float


class AwakeClock:
    """Measures the time in which this process's launch was not stopped by Ctrl-Z. Methods may be called from any thread."""

    def __init__(self) -> None:
        # Seconds asleep of all that is over, and when it was stopped (monotonic seconds); None: it is awake.
        self._state: tuple[float, float | None] = 0.0, None

    def now(self) -> float:
        """Returns seconds of a monotonic clock that stands still while the launch is asleep."""
        return time.monotonic() - self.asleep

    @property
    def asleep(self) -> float:
        """The seconds for which the launch was asleep."""
        over, since = self._state
        return over + (0.0 if since is None else time.monotonic() - since)

    def mark(self) -> Moment:
        """Returns the present moment."""
        return Moment(time.monotonic(), self.asleep)

    def since(self, moment: Moment) -> tuple[float, float]:
        """Returns the seconds since a moment, and how many of them were asleep."""
        return time.monotonic() - moment.at, self.asleep - moment.asleep

    def stop(self) -> None:
        """Lets the clock stand still from now on."""
        over, since = self._state
        self._state = over, time.monotonic() if since is None else since

    def go(self) -> None:
        """Lets the clock run again."""
        self._state = self.asleep, None


AWAKE = AwakeClock()


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
