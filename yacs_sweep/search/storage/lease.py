"""An agent's sign of life in the shared database, and its eye on the others'.

An agent beats four times a lease. Who finds that another has not, notes its count of beats and looks again a quarter of a
lease later, by its own clock and without having lost the database in between: only a count that has not moved costs the
other its lease. So neither a clock that jumps nor an outage of the database, which silences everybody, loses a trial.
Whose lease was taken learns it from its next beat; whatever it does before is refused by the rows of its trial.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping

from .database import Database, disconnected

BEATS = 4  # in a lease


class Watch:
    """Decides whose lease is over. Pure: time is given to it."""

    def __init__(self, confirm: float, gap: float) -> None:
        """
        Args:
            confirm: seconds for which a silent agent's count must not move.
            gap: seconds between two looks from which on what was seen before does not count: we may have been stopped.
        """
        self._confirm, self._gap = confirm, gap
        self._looked = float("-inf")
        self._seen: dict[str, tuple[int, float]] = {}

    def look(self, now: float, silent: Mapping[str, int]) -> dict[str, int]:
        """The agents, and their beats, whose lease is to be taken.

        Args:
            silent: those the database has not heard of for a while, and their beats.
        """
        if now - self._looked > self._gap:
            self._seen.clear()
        self._looked = now
        before, self._seen = self._seen, {}
        over = {}
        for agent, beats in silent.items():
            known, since = before.get(agent, (beats, now))
            self._seen[agent] = (beats, since if known == beats else now)
            if now - self._seen[agent][1] >= self._confirm:
                over[agent] = beats
        return over


class Lease:
    """Of one agent; a thread beats for it."""

    def __init__(self, database: Database, agent: str, host: str, kernel: str, seconds: float) -> None:
        self._database, self._lock_name, self._host, self._kernel = database, agent, host, kernel
        self.seconds = seconds
        self.name = agent  # in the database; a new one when the lease was taken
        self.taken = False
        self._terms = 0
        self._over = threading.Event()
        self._watch = Watch(confirm=seconds / BEATS, gap=seconds / 2)
        self._thread = threading.Thread(target=self._run, name="lease", daemon=True)

    def start(self, patiently: Callable[[Callable[[], None]], None]) -> None:
        patiently(self._enlist)
        self._thread.start()

    def _enlist(self) -> None:
        self._terms += 1  # a name is used once, also when we cannot know whether the last attempt was written
        self.name = self._lock_name if self._terms == 1 else f"{self._lock_name}#{self._terms}"
        self._database.enlist(self.name, self._host, self._kernel)

    def renew(self, patiently: Callable[[Callable[[], None]], None]) -> None:
        """A new lease instead of the one that was taken."""
        patiently(self._enlist)
        self.taken = False

    def _run(self) -> None:
        period = self.seconds / BEATS
        while not self._over.wait(period):
            try:
                while not self._beat():
                    if self._over.wait(min(period, 1.0)):
                        return
            except Exception as error:
                if not disconnected(error):
                    raise

    def _beat(self) -> bool:
        """Beats and looks; False when the database does not answer."""
        name = self.name
        try:
            if not self.taken and not self._database.beat(name) and name == self.name:
                self.taken = True
            silent = self._database.silent(2 * self.seconds / BEATS)
            for agent, beats in self._watch.look(time.monotonic(), silent).items():
                if agent != name:
                    self._database.condemn(agent, beats)
        except Exception as error:
            if disconnected(error):
                return False
            raise
        return True

    def close(self) -> None:
        self._over.set()
        if self._thread.is_alive():
            self._thread.join(5.0)
