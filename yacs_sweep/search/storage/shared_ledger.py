"""Keeps in a database what the agents of a sweep on any number of machines know of each other."""

from __future__ import annotations

import contextlib
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
from ...records.folder import SweepPaths, TrialRecord
from .database import Database, disconnected, first_line, outage_wanted, queueing
from .lease import Lease
from .ledger import LeaseTaken, StorageGone, T, Waiting, Written, record_on_disk
from .relational import changed_trials, open_shared

PAUSE = 2.0  # seconds at most between two attempts


class Shared:
    """For any number of machines."""

    resumes = True

    def __init__(self, paths: SweepPaths, agent: str, url: str) -> None:
        self.paths, self._outage = paths, outage_wanted()
        self._turn: Waiting | None = None
        self._connection: sa.Connection | None = None
        self._lost: frozenset[str] = frozenset()
        self._living: frozenset[str] | None = None  # once looked around
        self.backend: RDBStorage = self.patiently(lambda: open_shared(url))
        self.storage: BaseStorage = self.backend
        self.database = Database(self.backend.engine, paths.sweep_id)
        found = self.patiently(self.database.description)
        if found is None:
            raise SweepError(f"the database does not know sweep {paths.sweep_id} any more")
        self.lease = Lease(self.database, agent, socket.gethostname(), KERNEL, found.lease)
        self.lease.start(self.patiently)

    def attach(self, turn: Waiting) -> None:
        self._turn = turn

    def patiently(self, step: Callable[[], T]) -> T:
        started, told, pause = time.monotonic(), False, 0.05
        while True:
            try:
                result = step()
            except Exception as error:
                if queueing(error):  # many agents, and a storage that is well
                    if self._stopping():
                        raise StorageGone("the agent left before it was its turn to tell the storage") from error
                    if self._turn is not None:
                        self._turn.alive()
                    started = time.monotonic()
                    continue
                if not disconnected(error):
                    raise
                waited = time.monotonic() - started
                if waited > self._outage or (self._stopping() and waited > PAUSE):
                    raise StorageGone(
                        f"the storage has not answered for {waited:.0f} s ({first_line(error)}); what was done is kept in "
                        f"{self.paths.dir}: go on with the sweep when it is back"
                    ) from error
                if waited > PAUSE and not told:
                    told = True
                    self._note(
                        f"the storage does not answer ({first_line(error)}); waiting, {self._outage:.0f} s at most"
                    )
                if self._turn is not None:
                    self._turn.alive()
                time.sleep(pause)
                pause = min(PAUSE, 2 * pause)
                continue
            if told:
                self._note(f"the storage answers again, after {time.monotonic() - started:.0f} s")
            return result

    def _stopping(self) -> bool:
        return self._turn is not None and self._turn.stopping()

    def _note(self, text: str) -> None:
        if self._turn is not None:
            self._turn.note(text)

    def opening(self) -> contextlib.AbstractContextManager[None]:
        return self.database.creating()

    @contextlib.contextmanager
    def exclusively(self) -> Iterator[None]:
        with self.database.turn(self.lease.seconds) as connection, self._joined(connection):
            mine, self._lost = self.database.lost(connection, self.lease.name)
            self._living = None
            if not mine:
                self.lease.taken = True
                raise LeaseTaken
            yield

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
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

    def about(self) -> dict[str, Any]:
        return {"agent": self.lease.name, "host": socket.gethostname()}

    def lives(self, about: Mapping[str, Any]) -> bool:
        agent = about.get("agent")
        return agent is not None and agent not in self._lost and (self._living is None or agent in self._living)

    def lost(self) -> bool:
        return bool(self._lost)

    def look_around(self) -> None:
        assert self._connection is not None
        members = self.database.members(self._connection)
        here = {name for name, member in members.items() if member.kernel == KERNEL and self._dead(name)}
        self._lost |= here
        self._living = frozenset(name for name, member in members.items() if not member.lost) - here

    def _dead(self, agent: str) -> bool:
        """Whether the agent's lock file is here, and free."""
        name = agent.partition("#")[0]
        return (self.paths.agents / name).exists() and not agent_lives(self.paths.agents, name)

    def seen_to(self) -> None:
        assert self._connection is not None
        if self._lost:
            self.database.bury(self._connection, list(self._lost))
            self._lost = frozenset()

    def record(self, number: int, name: str | None) -> TrialRecord | None:
        assert self._connection is not None
        record = self.database.record(self._connection, number)
        if record is not None and record.state == "running":
            local = record_on_disk(self.paths, record.name)
            # Its agent was killed after trial.json and before it could tell the database.
            if local is not None and (local.id, local.host) == (record.id, record.host) and local.state != "running":
                if self.database.end(self._connection, local) == "refused":
                    return self.database.record(self._connection, number)
                return local
        return record

    def started(self, record: TrialRecord) -> None:
        if not self.patiently(lambda: self.database.start(record, self.lease.name)):
            self.lease.taken = True

    def ended(self, record: TrialRecord) -> Written:
        assert self._connection is not None
        return self.database.end(self._connection, record, self.lease.name)

    def lose(self, record: TrialRecord) -> bool:
        assert self._connection is not None
        record.lose()
        if self.database.end(self._connection, record) == "refused":
            return False
        local = record_on_disk(self.paths, record.name)
        if local is not None and local.id == record.id and local.state == "running":
            record.save(self.paths.trial(record.name))
        return True

    def wait_for_others(self) -> bool:
        assert self._connection is not None
        return self.database.wait(self._connection, self.lease.name)

    def taken(self) -> str | None:
        if not self.lease.taken:
            return None
        return f"gave no sign of life for {self.lease.seconds:g} s, so that its trial was given to another agent"

    def renew(self) -> None:
        self.lease.renew(self.patiently)

    def disconnected(self, error: BaseException) -> bool:
        return disconnected(error)

    def changed_trials(
        self, study_id: int, open_ones: Mapping[int, TrialState], newest: int
    ) -> list[FrozenTrial] | None:
        return changed_trials(self.backend, study_id, open_ones, newest)

    def close(self) -> None:
        self.lease.close()
        with contextlib.suppress(sa.exc.SQLAlchemyError):
            self.database.leave(self.lease.name)
        self.database.engine.dispose()
