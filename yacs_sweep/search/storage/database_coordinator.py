"""Coordinates the agents of any number of machines by a database: leases, an advisory lock and records of trials."""

from __future__ import annotations

import contextlib
import random
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import sqlalchemy as sa
from optuna.storages import BaseStorage, RDBStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import orm

from ...base.errors import SweepError
from ...base.locks import KERNEL
from ...records.alive import agent_lives
from ...records.control.orders import Entry
from ...records.folder import SweepPaths, TrialRecord
from .connections import out_of_connections
from .coordinator import LeaseExpired, StorageGone, T, Waiting, Written, record_on_disk
from .database import Database, disconnected, first_line, lock_timed_out, outage_wanted
from .lease import Lease
from .order_table import OrderTable
from .relational import changed_trials, open_shared

PAUSE = 2.0  # seconds at most between two tries of a step


class DatabaseCoordinator:
    """`Coordinator` of agents that share a database and no disk. An agent lives while its lease is renewed."""

    resumes_at_once = True

    def __init__(self, paths: SweepPaths, lock_name: str, url: str) -> None:
        """Connects to the database and takes a lease.

        Args:
            lock_name: name of the agent's lock file; agents of the same machine see by it that this one has died.

        Raises:
            SweepError: the database does not know the sweep.
        """
        self.paths, self._outage = paths, outage_wanted()
        self._agent: Waiting | None = None
        self._connection: sa.Connection | None = None  # of the transaction that is open
        self._lost: frozenset[str] = frozenset()
        self._living: frozenset[str] | None = None  # None until `find_dead_agents` was called
        self.backend: RDBStorage = self.retrying(lambda: open_shared(url))
        self.storage: BaseStorage = self.backend
        self.database = Database(self.backend.engine, paths.sweep_id)
        self._orders = OrderTable(self.database)
        found = self.retrying(self.database.description)
        if found is None:
            raise SweepError(f"the database no longer has sweep {paths.sweep_id}")
        self.lease = Lease(self.database, lock_name, socket.gethostname(), KERNEL, found.lease)
        self.lease.start(self.retrying)

    def attach(self, agent: Waiting) -> None:
        """Sets the agent that hears when a call waits for long."""
        self._agent = agent

    def retrying(self, step: Callable[[], T]) -> T:
        """Runs a step until the database answers; waits in the queue of agents without limit, for an outage up to 30 min.

        Raises:
            StorageGone: the database did not answer for too long, or the agent is to leave.
        """
        started, noted, pause = time.monotonic(), False, 0.05
        while True:
            try:
                result = step()
            except Exception as error:
                if lock_timed_out(error):  # many agents, and a storage that is well
                    if self._stopping():
                        raise StorageGone("the agent ended before the storage could be told") from error
                    if self._agent is not None:
                        self._agent.alive()
                    started = time.monotonic()
                    continue
                if not disconnected(error):
                    raise
                waited = time.monotonic() - started
                if waited > self._outage or (self._stopping() and waited > PAUSE):
                    raise StorageGone(
                        f"the storage has not answered for {waited:.0f} s ({first_line(error)}); what was done is kept in "
                        f"{self.paths.dir}: resume the sweep when the storage answers again"
                    ) from error
                if waited > PAUSE and not noted:
                    noted = True
                    self._note(_waiting_line(error, self._outage))
                if self._agent is not None:
                    self._agent.alive()
                time.sleep(pause * random.uniform(0.5, 1.0))  # so that agents do not all come back at once
                pause = min(PAUSE, 2 * pause)
                continue
            if noted:
                self._note(f"the storage answers again, after {time.monotonic() - started:.0f} s")
            return result

    def _stopping(self) -> bool:
        return self._agent is not None and self._agent.stopping()

    def _note(self, text: str) -> None:
        if self._agent is not None:
            self._agent.note(text)

    def creating_study(self) -> contextlib.AbstractContextManager[None]:
        """Makes the launcher's tables too, in the same transaction."""
        return self.database.creating()

    @contextlib.contextmanager
    def exclusively(self) -> Iterator[None]:
        """Holds the sweep's advisory lock for one transaction, which is rolled back if the lease has expired.

        Raises:
            LeaseExpired: this agent's lease has expired.
        """
        with self.database.exclusive(self.lease.seconds) as connection, self._joined(connection):
            valid, self._lost = self.database.lost_agents(connection, self.lease.name)
            self._living = None
            if not valid:
                self.lease.expired = True
                raise LeaseExpired
            yield

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Makes all writes in the block, Optuna's included, one transaction."""
        with self.database.engine.begin() as connection, self._joined(connection):
            yield

    @contextlib.contextmanager
    def _joined(self, connection: sa.Connection) -> Iterator[None]:
        """Makes Optuna's reads and writes part of the connection's transaction."""
        own = self.backend.scoped_session
        maker = orm.sessionmaker(bind=connection, join_transaction_mode="rollback_only")
        self.backend.scoped_session, self._connection = orm.scoped_session(maker), connection
        try:
            yield
        finally:
            self.backend.scoped_session, self._connection = own, None

    def owner(self) -> dict[str, Any]:
        """Returns the name of the agent's lease, and its host."""
        return {"agent": self.lease.name, "host": socket.gethostname()}

    def owner_lives(self, owner: Mapping[str, Any]) -> bool:
        """Returns whether the owner has a lease and is not known to have died."""
        agent = owner.get("agent")
        return agent is not None and agent not in self._lost and (self._living is None or agent in self._living)

    def host_lives(self, host: str) -> bool:
        """Returns whether an agent on that machine has a valid lease."""
        assert self._connection is not None
        return host in self.database.hosts(self._connection)

    def has_lost_agents(self) -> bool:
        """Returns whether leases have expired whose trials are still recorded as running."""
        return bool(self._lost)

    def find_dead_agents(self) -> None:
        """Adds the agents of this machine whose lock files are free to those whose leases have expired."""
        assert self._connection is not None
        agents = self.database.agents(self._connection)
        here = {name for name, agent in agents.items() if agent.kernel == KERNEL and self._dead(name)}
        self._lost |= here
        self._living = frozenset(name for name, agent in agents.items() if not agent.lost) - here

    def _dead(self, agent: str) -> bool:
        """Returns whether the agent's lock file is in this folder, and free."""
        name = agent.partition("#")[0]
        return (self.paths.agents / name).exists() and not agent_lives(self.paths.agents, name)

    def forget_lost_agents(self) -> None:
        """Removes the rows of dead agents, whose trials have been recovered."""
        assert self._connection is not None
        if self._lost:
            self.database.remove_agents(self._connection, list(self._lost))
            self._lost = frozenset()

    def record(self, number: int, name: str | None) -> TrialRecord | None:
        """Reads the trial's row, or the later trial.json in this folder, whose end is written to the row first."""
        assert self._connection is not None
        record = self.database.record(self._connection, number)
        if record is None:  # its agent may have been killed after trial.json and before it could add the row
            local = record_on_disk(self.paths, name)
            return local if local is not None and local.id == f"{self.paths.sweep_id}-{number}" else None
        if record.state == "running":
            local = record_on_disk(self.paths, record.name)
            # Its agent was killed after trial.json and before it could tell the database.
            if local is not None and (local.id, local.host) == (record.id, record.host) and local.state != "running":
                if self.database.end_trial(self._connection, local) == "refused":
                    return self.database.record(self._connection, number)
                return local
        return record

    def trial_started(self, record: TrialRecord) -> None:
        """Adds the trial's row, unless the lease has expired."""
        if not self.retrying(lambda: self.database.start_trial(record, self.lease.name)):
            self.lease.expired = True

    def trial_ended(self, record: TrialRecord) -> Written:
        """Writes the trial's end to its row, if the row is still this agent's."""
        assert self._connection is not None
        return self.database.end_trial(self._connection, record, self.lease.name)

    def mark_lost(self, record: TrialRecord) -> bool:
        """Writes the loss to the trial's row, and to its trial.json where that is in this folder."""
        assert self._connection is not None
        record.lose()
        return self.save_record(record)

    def save_record(self, record: TrialRecord) -> bool:
        """Writes the trial's row, and its trial.json where that is in this folder."""
        assert self._connection is not None
        if self.database.end_trial(self._connection, record) == "refused":
            return False
        local = record_on_disk(self.paths, record.name)
        if local is not None and local.id == record.id and local.state in ("running", "paused"):
            record.save(self.paths.trial(record.name))
        return True

    def new_orders(self) -> list[Entry]:
        """Reads the new rows of the sweep's orders."""
        assert self._connection is not None
        return self._orders.read_new(self._connection)

    def claim_waiting(self) -> bool:
        """Makes this agent the one that waits, unless another agent with a valid lease does."""
        assert self._connection is not None
        return self.database.claim_waiting(self._connection, self.lease.name)

    def expired(self) -> str | None:
        """Returns the line that tells the user that the lease has expired; None while it is valid."""
        if not self.lease.expired:
            return None
        return f"sent no heartbeat for {self.lease.seconds:g} s, so that its trial was given to another agent"

    def renew_lease(self) -> None:
        """Takes a new lease, under another name."""
        self.lease.renew(self.retrying)

    def disconnected(self, error: BaseException) -> bool:
        """Returns whether an error says that the database could not be reached."""
        return disconnected(error)

    def changed_trials(
        self, study_id: int, open_trials: Mapping[int, TrialState], newest: int
    ) -> list[FrozenTrial] | None:
        """Reads the trials that are new or whose state has changed."""
        return changed_trials(self.backend, study_id, open_trials, newest)

    def close(self) -> None:
        """Gives the lease back and disconnects."""
        self.lease.close()
        with contextlib.suppress(sa.exc.SQLAlchemyError):
            self.database.leave(self.lease.name)
        self.database.engine.dispose()


def _waiting_line(error: BaseException, outage: float) -> str:
    """Says what an agent waits for."""
    if out_of_connections(error):
        return (
            "the database has no free connection (its max_connections are in use); waiting for one; more connections or "
            "fewer workers shorten this"
        )
    return f"the storage does not answer ({first_line(error)}); waiting, {outage:.0f} s at most"
