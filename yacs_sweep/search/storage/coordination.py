"""What the agents of a sweep know of each other: whose turn it is, who lives, what became of a trial.

`Folder` keeps it in the sweep's folder, for the agents of one machine: `flock` and trial.json. `Shared` keeps it in a
database, for any number of machines.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol, TypeVar

import sqlalchemy as sa
from optuna.storages import BaseStorage, RDBStorage
from sqlalchemy import orm

from ...base.errors import SweepError
from ...base.locks import KERNEL, exclusive
from ...records.alive import agent_lives
from ...records.folder import SweepPaths, TrialRecord, mark_lost
from .database import Database, StorageGone, Written, disconnected, first_line, outage_wanted, queueing
from .journal import open_shared, open_storage
from .lease import Lease

PAUSE = 2.0  # seconds at most between two attempts
T = TypeVar("T")


class Waiting(Protocol):
    """The agent, to those who wait."""

    def alive(self) -> None: ...

    def note(self, text: str) -> None: ...

    def stopping(self) -> bool: ...


class Ledger(Protocol):
    """See the module."""

    storage: BaseStorage
    resumes: bool  # whether another agent goes on at once with what this one has to leave

    def attach(self, turn: Waiting) -> None:
        """The agent that is to be told when something takes long."""

    def patiently(self, step: Callable[[], T]) -> T:
        """Does the step, again if need be, until the storage answers.

        Raises:
            StorageGone: it did not for too long, or the agent is to leave.
        """

    def opening(self) -> contextlib.AbstractContextManager[None]:
        """In it the study is created, if it is not there."""

    def exclusively(self) -> contextlib.AbstractContextManager[None]:
        """The right to give out points; only one agent of the sweep has it at a time."""

    def together(self) -> contextlib.AbstractContextManager[None]:
        """What the storage is told in it, it is told at once or not at all."""

    def about(self) -> dict[str, Any]:
        """What the storage keeps of the agent with each of its trials."""

    def lives(self, about: Mapping[str, Any]) -> bool:
        """Whether the agent that has the trial lives. In `exclusively` only."""

    def lost(self) -> bool:
        """Whether agents have died whose trials nobody has seen to. In `exclusively` only."""

    def seen_to(self) -> None:
        """Their trials have been seen to. In `exclusively` only."""

    def look_around(self) -> None:
        """Finds dead agents of this machine at once. In `exclusively` only."""

    def record(self, number: int, name: str | None) -> TrialRecord | None:
        """What is known of a trial; None when it never ran."""

    def started(self, record: TrialRecord) -> None:
        """The agent's trial runs."""

    def ended(self, record: TrialRecord) -> Written:
        """The agent's trial has ended. Within `together` or `exclusively`."""

    def lose(self, record: TrialRecord) -> bool:
        """Its agent died while the trial ran; False when the agent has told its end in the meantime."""

    def wait_for_others(self) -> bool:
        """Whether this agent is to wait until the others' trials have ended, in case one is lost."""

    def taken(self) -> str | None:
        """Why the agent's trial is no longer its own."""

    def renew(self) -> None:
        """Goes on after its trial was taken."""

    def close(self) -> None: ...


class Folder:
    """For the agents of one machine. `url`: another database than the embedded file, as good as one."""

    resumes = False

    def __init__(self, paths: SweepPaths, agent: str, url: str | None) -> None:
        self.paths, self.agent = paths, agent
        with self.exclusively():
            self.storage = open_storage(paths.journal, url)

    def attach(self, turn: Waiting) -> None:
        pass

    def patiently(self, step: Callable[[], T]) -> T:
        return step()

    @contextlib.contextmanager
    def exclusively(self) -> Iterator[None]:
        with exclusive(self.paths.agents / "ask.lock"):
            yield

    def opening(self) -> contextlib.AbstractContextManager[None]:
        return self.exclusively()

    def together(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    def about(self) -> dict[str, Any]:
        return {"agent": self.agent, "host": socket.gethostname()}

    def lives(self, about: Mapping[str, Any]) -> bool:
        if "agent" not in about:  # died while it took a point from the queue: we hold the lock it held
            return False
        elsewhere = about.get("host") != socket.gethostname() and not (self.paths.agents / about["agent"]).exists()
        return elsewhere or agent_lives(self.paths.agents, about["agent"])

    def lost(self) -> bool:
        return False

    def seen_to(self) -> None:
        pass

    def look_around(self) -> None:
        pass

    def record(self, number: int, name: str | None) -> TrialRecord | None:
        return _on_disk(self.paths, name)

    def started(self, record: TrialRecord) -> None:
        pass

    def ended(self, record: TrialRecord) -> Written:
        return "now"  # trial.json says it

    def lose(self, record: TrialRecord) -> bool:
        mark_lost(record, self.paths)
        return True

    def wait_for_others(self) -> bool:
        return False

    def taken(self) -> str | None:
        return None

    def renew(self) -> None:
        pass

    def close(self) -> None:
        pass


def _on_disk(paths: SweepPaths, name: str | None) -> TrialRecord | None:
    if name is not None:
        with contextlib.suppress(OSError, ValueError, TypeError):
            return TrialRecord.load(paths.trial(name).record)
    return None


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
            local = _on_disk(self.paths, record.name)
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
        local = _on_disk(self.paths, record.name)
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

    def close(self) -> None:
        self.lease.close()
        with contextlib.suppress(sa.exc.SQLAlchemyError):
            self.database.leave(self.lease.name)
        self.database.engine.dispose()


class LeaseTaken(Exception):
    """The agent's lease was taken while it had no trial."""
