"""Coordinates the agents of one machine by files in the sweep's folder: locks and trial.json."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from ...base.locks import exclusive
from ...records.alive import agent_lives
from ...records.control.order_file import OrderFile
from ...records.control.orders import Entry
from ...records.folder import SweepPaths, TrialRecord, mark_lost
from .coordinator import T, Waiting, Written, record_on_disk
from .journal import open_storage


class FolderCoordinator:
    """`Coordinator` of agents that share a disk. An agent lives while its lock file is locked; trial.json is the truth."""

    resumes_at_once = False

    def __init__(self, paths: SweepPaths, lock_name: str, url: str | None) -> None:
        """Opens the storage in the sweep's folder.

        Args:
            lock_name: name of the agent's lock file.
            url: a database in place of the journal file, SQLite for example.
        """
        self.paths, self.lock_name, self._url = paths, lock_name, url
        self._orders = OrderFile(paths)
        with self.exclusively():
            self.storage = open_storage(paths.journal, url)

    def attach(self, agent: Waiting) -> None:
        """Does nothing: a call waits for other agents of the machine only."""

    def retrying(self, step: Callable[[], T]) -> T:
        """Runs the step once: files need no second try."""
        return step()

    @contextlib.contextmanager
    def exclusively(self) -> Iterator[None]:
        """Holds the sweep's lock file, which the kernel releases when its holder dies."""
        with exclusive(self.paths.agents / "ask.lock"):
            yield

    def creating_study(self) -> contextlib.AbstractContextManager[None]:
        """Holds the sweep's lock file."""
        return self.exclusively()

    def transaction(self) -> contextlib.AbstractContextManager[None]:
        """Does nothing: trial.json is written first, and the storage is corrected by it."""
        return contextlib.nullcontext()

    def owner(self) -> dict[str, Any]:
        """Returns the agent's lock file and host."""
        return {"agent": self.lock_name, "host": socket.gethostname()}

    def owner_lives(self, owner: Mapping[str, Any]) -> bool:
        """Returns whether the owner's lock file is locked, or belongs to another machine."""
        if "agent" not in owner:  # died while it took a point from the queue: we hold the lock it held
            return False
        elsewhere = owner.get("host") != socket.gethostname() and not (self.paths.agents / owner["agent"]).exists()
        return elsewhere or agent_lives(self.paths.agents, owner["agent"])

    def host_lives(self, host: str) -> bool:
        """Returns True: the folder is on this machine."""
        return True

    def has_lost_agents(self) -> bool:
        """Returns False: dead agents are found by `owner_lives`."""
        return False

    def forget_lost_agents(self) -> None:
        """Does nothing: no list of dead agents is kept."""

    def find_dead_agents(self) -> None:
        """Does nothing: lock files show dead agents at once."""

    def record(self, number: int, name: str | None) -> TrialRecord | None:
        """Reads the trial's trial.json."""
        return record_on_disk(self.paths, name)

    def trial_started(self, record: TrialRecord) -> None:
        """Does nothing: trial.json says that the trial runs."""

    def trial_ended(self, record: TrialRecord) -> Written:
        """Returns "now": trial.json says how the trial ended."""
        return "now"

    def mark_lost(self, record: TrialRecord) -> bool:
        """Writes the loss to trial.json, which no living agent writes to."""
        mark_lost(record, self.paths)
        return True

    def save_record(self, record: TrialRecord) -> bool:
        """Writes trial.json, which no living agent writes to."""
        record.save(self.paths.trial(record.name))
        return True

    def new_orders(self) -> list[Entry]:
        """Reads the new lines of the sweep's list of orders."""
        return self._orders.read()

    def claim_waiting(self) -> bool:
        """Returns False: a machine's own agents are replaced, and its next agent finds what was lost."""
        return False

    def expired(self) -> str | None:
        """Returns None: locks do not expire."""
        return None

    def renew_lease(self) -> None:
        """Does nothing: locks do not expire."""

    def disconnected(self, error: BaseException) -> bool:
        """Returns whether an error of the database says that it could not be reached."""
        if self._url is None:
            return False
        from .database import disconnected  # a journal needs no SQLAlchemy, which takes a while to import

        return disconnected(error)

    def changed_trials(
        self, study_id: int, open_trials: Mapping[int, TrialState], newest: int
    ) -> list[FrozenTrial] | None:
        """Returns None: all trials are read."""
        return None

    def close(self) -> None:
        """Does nothing: the agent's lock file is the agent's to release."""
