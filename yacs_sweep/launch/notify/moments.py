"""Chooses the moments of a launch at which `--notify` sends a notification, and sends on a thread of its own.

Nothing here waits: the launcher's trials go on while a slow server is told of them.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from ...records.folder import TrialRecord
from ...records.known_sweeps import origin_of
from ..accessories import Accessories
from .content import describe_ending, describe_trial
from .events import END, FIRST_FAILURE, NEW_BEST
from .send import WAIT, send

if TYPE_CHECKING:
    from ..sweep_run import Results

GAP = 600.0  # seconds between two messages about a new best
WAITING = 8  # messages that may wait for a slow server; more are dropped
_FAILED = ("failed", "lost")


class Teller:
    """Sends notifications one after the other on a thread, which starts with the first."""

    def __init__(self, target: str, say: Callable[[str], None]) -> None:
        self.target, self._say = target, say
        self._waiting: queue.Queue[dict[str, Any] | None] = queue.Queue(WAITING)
        self._thread: threading.Thread | None = None

    def tell(self, content: dict[str, Any]) -> None:
        """Sends a notification soon; drops it where the server is so slow that others wait."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._send_all, name="notify moments", daemon=True)
            self._thread.start()
        with contextlib.suppress(queue.Full):
            self._waiting.put_nowait(content)

    def _send_all(self) -> None:
        """Sends what waits, until there is nothing more to come."""
        while (content := self._waiting.get()) is not None:
            if why := send(self.target, content):
                self._say(f"warning: {why}")

    def close(self, wait: float = WAIT) -> None:
        """Waits for what has not been sent yet, for `wait` seconds at most."""
        if self._thread is not None:
            with contextlib.suppress(queue.Full):
                self._waiting.put_nowait(None)
            self._thread.join(wait)


class NewBest:
    """Decides when to notify of a new best trial, or point, of one sweep. Pure but for the clock.

    The first value is no news. Later ones are sent at most every `GAP` seconds, the last of those in between.
    """

    def __init__(self, best: str | None, clock: Callable[[], float] = time.monotonic) -> None:
        """Begins with the best that the sweep has, by its name; None without any."""
        self._best, self._clock = best, clock
        self._told: float | None = None
        self.due = False  # whether there is one that has not been told

    def after(self, best: str | None) -> bool:
        """Takes in the best after a trial's end; returns whether to notify of it now."""
        if best != self._best:
            self.due = self.due or self._best is not None
            self._best = best
        now = self._clock()
        if not self.due or (self._told is not None and now - self._told < GAP):
            return False
        self.due, self._told = False, now
        return True


class Ending:
    """Holds how a launch ends, filled in while it runs, and hears of the ends of its trials."""

    def __init__(self, events: Collection[str] = (), teller: Teller | None = None) -> None:
        self.status = 1
        self._events, self._teller = events, teller
        self._sweeps: Sequence[Results] = ()
        self._best: dict[str, NewBest] = {}  # by the sweep's id
        self._failed = False  # whether the first failure was told

    @property
    def sweeps(self) -> Sequence[Results]:
        """The sweeps of the launch."""
        return self._sweeps

    @sweeps.setter
    def sweeps(self, sweeps: Sequence[Results]) -> None:
        """Takes the sweeps, and listens to their trials where that was asked for."""
        self._sweeps = sweeps
        if self._teller is None or not {FIRST_FAILURE, NEW_BEST} & set(self._events):
            return
        for results in sweeps:
            if NEW_BEST in self._events and not origin_of(results.paths.sweep_id):  # of seeds none is the best
                self._best[results.paths.sweep_id] = NewBest(_best_name(results))
            results.listeners.append(partial(self._after, results))

    def _after(self, results: Results, record: TrialRecord) -> None:
        """Tells of a trial's end where it is the first failure, or has made a new best."""
        if self._teller is None or record.state == "running":
            return
        if record.state in _FAILED and FIRST_FAILURE in self._events and not self._failed:
            self._failed = True
            self._teller.tell(describe_trial(FIRST_FAILURE, results, record))
        watch = self._best.get(results.paths.sweep_id)
        if watch is not None and watch.after(_best_name(results)):
            self._tell_best(results)

    def _tell_best(self, results: Results) -> None:
        """Tells of the best trial as it is now."""
        best = results.summary.best()
        if best is not None and self._teller is not None:
            self._teller.tell(describe_trial(NEW_BEST, results, best))

    def tell_due(self) -> None:
        """Tells of the new best trials that were held back, at the launch's end."""
        for results in self._sweeps:
            if (found := self._best.get(results.paths.sweep_id)) is not None and found.due:
                self._tell_best(results)


def _best_name(results: Results) -> str | None:
    """Names the best trial, or with repeats the best point."""
    best = results.summary.best()
    return None if best is None else best.point or best.name


@contextlib.contextmanager
def notifying(target: str | None, events: Collection[str], say: Callable[[str], None]) -> Iterator[Ending]:
    """Notifies `target` of the events within the block, and when it has ended, also by an error.

    A notification that fails is a warning.

    Args:
        events: what is told (`events.EVENTS`).
    """
    teller = None if target is None else Teller(target, say)
    ending, error = Ending(events, teller), None
    accessories = Accessories(say)

    def notify() -> None:
        if teller is None:
            return
        if END not in events:
            ending.tell_due()
        teller.close()
        if END in events and (why := send(teller.target, describe_ending(ending.sweeps, ending.status, error or None))):
            say(f"warning: {why}")

    try:
        yield ending
    except BaseException as problem:
        error = "" if isinstance(problem, KeyboardInterrupt | SystemExit) else str(problem) or type(problem).__name__
        ending.status = 130 if isinstance(problem, KeyboardInterrupt) else 1
        raise
    finally:
        accessories.attempt("--notify: the notification was not sent", notify)
