"""Renews an agent's lease in the shared database, and lets the leases of silent agents expire.

An agent writes four heartbeats a lease. An agent that finds another silent keeps the other's count of heartbeats and looks
again a quarter of a lease later, by its own clock and without having lost the database in between. The lease expires only
if the count has not changed. So neither a clock that jumps nor an outage of the database, which silences all agents, loses
a trial. The next heartbeat tells an agent that its lease has expired; what the agent writes before is refused, because the
trial's row is no longer its own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping

from .database import Database, disconnected

HEARTBEATS = 4  # in a lease


class LeaseWatch:
    """Decides which leases expire. Pure: the time is an argument."""

    def __init__(self, confirm: float, gap: float) -> None:
        """Sets how silent agents are watched.

        Args:
            confirm: seconds for which a silent agent's count of heartbeats must not change.
            gap: seconds between two calls after which earlier counts are forgotten: this process may have been stopped.
        """
        self._confirm, self._gap = confirm, gap
        self._looked = float("-inf")
        self._seen: dict[str, tuple[int, float]] = {}

    def expired(self, now: float, silent: Mapping[str, int]) -> dict[str, int]:
        """Returns the agents whose leases expire now, and their counts of heartbeats.

        Args:
            now: monotonic seconds.
            silent: agents without a recent heartbeat, and their counts.
        """
        if now - self._looked > self._gap:
            self._seen.clear()
        self._looked = now
        before, self._seen = self._seen, {}
        expired = {}
        for agent, heartbeats in silent.items():
            known, since = before.get(agent, (heartbeats, now))
            self._seen[agent] = (heartbeats, since if known == heartbeats else now)
            if now - self._seen[agent][1] >= self._confirm:
                expired[agent] = heartbeats
        return expired


class Lease:
    """Holds one agent's lease, which a thread renews by heartbeats."""

    def __init__(self, database: Database, lock_name: str, host: str, kernel: str, seconds: float) -> None:
        """Prepares a lease; `start` takes it.

        Args:
            lock_name: name of the agent's lock file.
            kernel: identifies the machine's running kernel.
            seconds: length of the lease.
        """
        self._database, self._lock_name, self._host, self._kernel = database, lock_name, host, kernel
        self.seconds = seconds
        self.name = lock_name  # in the database; another one after the lease has expired
        self.expired = False
        self._terms = 0
        self._over = threading.Event()
        self._watch = LeaseWatch(confirm=seconds / HEARTBEATS, gap=seconds / 2)
        self._thread = threading.Thread(target=self._run, name="lease", daemon=True)

    def start(self, retrying: Callable[[Callable[[], None]], None]) -> None:
        """Takes the lease and starts the heartbeats. `retrying` runs a step until the database answers."""
        retrying(self._add)
        self._thread.start()

    def _add(self) -> None:
        """Adds the agent to the database, under a name that was not used before."""
        self._terms += 1  # a name is used once, also when we cannot know whether the last attempt was written
        self.name = self._lock_name if self._terms == 1 else f"{self._lock_name}#{self._terms}"
        self._database.add_agent(self.name, self._host, self._kernel)

    def renew(self, retrying: Callable[[Callable[[], None]], None]) -> None:
        """Takes a new lease in place of the expired one."""
        retrying(self._add)
        self.expired = False

    def _run(self) -> None:
        """Writes heartbeats until the lease is closed."""
        period = self.seconds / HEARTBEATS
        while not self._over.wait(period):
            try:
                while not self._heartbeat():
                    if self._over.wait(min(period, 1.0)):
                        return
            except Exception as error:
                if not disconnected(error):
                    raise

    def _heartbeat(self) -> bool:
        """Renews the lease and lets those of silent agents expire; returns False if the database does not answer."""
        name = self.name
        try:
            if not self.expired and not self._database.renew_lease(name) and name == self.name:
                self.expired = True
            silent = self._database.silent_agents(2 * self.seconds / HEARTBEATS)
            for agent, heartbeats in self._watch.expired(time.monotonic(), silent).items():
                if agent != name:
                    self._database.expire_lease(agent, heartbeats)
        except Exception as error:
            if disconnected(error):
                return False
            raise
        return True

    def close(self) -> None:
        """Ends the heartbeats; the row stays until `Database.leave`."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join(5.0)
