"""Watches the state of a running sweep on the W&B server, so that a change that somebody makes on its page is seen.

Heartbeats do not tell a paused sweep from one that has no run to give out, and not why a run is to stop. So one agent of
each folder asks for the state every few seconds, and each agent when the server stops its run or ends the sweep.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from functools import partial

from ..base.locks import lock_if_free
from ..records.control.orders import Order
from ..records.folder import SweepPaths
from .client import Refused, Transport, Unavailable
from .sweep_states import StateLog, read_state

PERIOD = 5.0  # seconds between two questions,
PAUSED_PERIOD = 1.0  # while the sweep is paused
QUICKLY = 3.0  # seconds for an answer on which a trial's end waits
SETTLED = 5.0  # seconds after which an order in the log has reached the server, if it was meant to


class StateWatch:
    """Asks for the sweep's state on a thread of its own while no other process of this folder does."""

    def __init__(self, paths: SweepPaths, project: str | None, entity: str | None) -> None:
        self._sweep = {"entity": entity, "project": project, "sweep": paths.sweep_id}
        self._log, self._file = StateLog(paths), paths.agents / "wandb-state.lock"
        self._paused: Order | None = self._log.paused()
        self._paused_since = float("-inf")  # monotonic seconds at which the log was seen to change
        # Whether the sweep was open, or paused, at some time since the agent began. One whose log says that it is paused was:
        # an agent that follows another while it is paused finds it cancelled, and nothing else would tell it.
        self._open = self._paused is not None
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._work, name="state", daemon=True)
        self._thread.start()

    def why_ended(self, transport: Transport) -> Order | None:
        """Returns the order by which the server ends a run or the sweep; None for another reason, or where it is not known.

        Args:
            transport: the calling thread's.
        """
        with contextlib.suppress(Refused, Unavailable, OSError, AttributeError, TypeError):
            found = read_state(partial(transport.execute, timeout=QUICKLY), self._sweep)
            if found is not None and found.act in ("stop", "cancel"):
                return self._log.note(found)
        return None

    def close(self) -> None:
        """Ends the questions."""
        self._closed.set()

    # -- on its thread ------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        """Asks until it is closed."""
        transport, held, wait = Transport(), None, 0.0 if self._paused else PERIOD
        try:
            while not self._closed.wait(wait):
                with contextlib.suppress(OSError):
                    held = lock_if_free(self._file) if held is None else held
                if held is not None:
                    self._look(transport)
                wait = PAUSED_PERIOD if held is not None and self._paused else PERIOD
        finally:
            if held is not None:
                os.close(held)

    def _look(self, transport: Transport) -> None:
        """Asks once, and adds to the log what it lacks. Heartbeats say when the server does not answer."""
        with contextlib.suppress(Refused, Unavailable, OSError, AttributeError, TypeError):
            found = read_state(transport.execute, self._sweep)
            now, paused = time.monotonic(), self._log.paused()
            if paused != self._paused:  # by a command
                self._paused, self._paused_since = paused, now
            if found is None:
                return
            self._open = self._open or found.act in ("pause", "resume")
            # A sweep that had ended before takes runs whose rows it lacks, and points that are tried again.
            if self._open and now > self._paused_since + SETTLED:
                self._log.note(found)
                self._paused = self._log.paused()
