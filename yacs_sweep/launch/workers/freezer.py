"""Stops the processes of an agent's trial while its launch is asleep (Ctrl-Z), and continues them.

The agent and the guard stay awake: they use next to nothing, renew the lease of the trial, and end it should the supervisor
be killed meanwhile. A process that was stopped before, by itself or by the user, is not continued.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from pathlib import Path

from ...base.signals import AWAKE
from ...trial.inside.guard import descendants, send_signal
from ...trial.process import Guard

PASSES = 20  # looks at a tree of processes that forks while it is stopped, until the next call looks again


class Freezer:
    """Keeps the trial of one agent stopped while the launch is asleep. Methods may be called from any thread."""

    def __init__(self, guard: Callable[[], Guard | None]) -> None:
        """Keeps what returns the guard of the agent's trials."""
        self._guard = guard
        self._asleep = False
        self._stopped: set[int] = set()  # by us
        self._lock = threading.RLock()  # a signal handler may call us in the midst of a call

    def sleep(self) -> None:
        """Stops the trial until `wake`; a trial that is being ended already comes to its end."""
        AWAKE.stop()
        self._asleep = True
        self.look()

    def wake(self) -> None:
        """Continues what was stopped."""
        self._asleep = False
        self.look()
        AWAKE.go()

    def look(self) -> None:
        """Stops what the trial has started meanwhile, or continues a trial that is to end; called often."""
        if not self._asleep and not self._stopped:
            return
        with self._lock:
            guard = self._guard()
            if guard is not None and self._asleep and not guard.ending:
                self._freeze(guard.pid)
            else:
                self._thaw(guard)

    def _freeze(self, guard: int) -> None:
        """Stops all processes below the guard, parents first."""
        for _ in range(PASSES):
            found = [pid for pid in descendants(guard) if pid not in self._stopped and not is_stopped(pid)]
            if not found:
                return
            for pid in found:
                self._stopped.add(pid)
                send_signal(pid, signal.SIGSTOP)

    def _thaw(self, guard: Guard | None) -> None:
        """Continues those below the guard that were stopped here: the id of another may be a stranger's by now."""
        stopped, self._stopped = self._stopped, set()
        for pid in descendants(guard.pid) if guard is not None else ():
            if pid in stopped:
                send_signal(pid, signal.SIGCONT)


def is_stopped(pid: int) -> bool:
    """Tells whether a process is stopped by a signal (Linux; elsewhere False)."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] == b"T"
    except (OSError, IndexError):
        return False
