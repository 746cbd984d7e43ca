"""Reads and writes the launcher's own tables (`tables`) in a PostgreSQL database that many machines share.

No clock is compared with another machine's, and no file is locked. An agent hands out a point in a transaction that holds
an advisory lock of the database: if the lock is lost, the point is not written either.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url

from ...base.errors import ConfigError
from ...base.shipped import install_command
from ...base.values import to_json
from ...records.folder import TrialRecord, folder_name
from .connections import without_idle_connections
from .coordinator import Written
from .tables import agents as _agents
from .tables import metadata as _metadata
from .tables import sweeps as _sweeps
from .tables import trials as _trials
from .url import MASK

LEASE_VARIABLE = "YACS_SWEEP_LEASE"
LEASE = 60.0  # seconds after its last heartbeat at which an agent's trial is given to another
OUTAGE_VARIABLE = "YACS_SWEEP_OUTAGE"
OUTAGE = 1800.0  # seconds an agent waits for a database that does not answer
LOCK_TIMEOUT = "30s"  # in the queue for the advisory lock; then the agent sends a heartbeat and queues again
IDLE_TIMEOUT = 20.0  # seconds at least that the lock's holder may be silent; then the server ends its transaction


def url_of(text: str) -> URL:
    """Parses a URL for SQLAlchemy; `postgresql://` means the driver psycopg.

    Raises:
        ConfigError: the text is not a URL.
    """
    try:
        url = make_url(text)
    except sa.exc.ArgumentError:  # its text has the URL in it, password and all
        raise ConfigError("--storage: not a database URL; write postgresql://USER@HOST/DATABASE") from None
    if url.drivername in ("postgresql", "postgres"):
        url = url.set(drivername="postgresql+psycopg")
    return url


def masked(text: str) -> str:
    """Returns the URL without its password, for files and messages; `postgresql://` stays as given."""
    url = url_of(text)
    query = {key: MASK if "pass" in key.lower() else value for key, value in url.query.items()}
    return url.set(query=query).render_as_string(hide_password=True).replace("postgresql+psycopg:", "postgresql:", 1)


def settings(url: URL) -> dict[str, Any]:
    """Returns the arguments of `create_engine`: one connection an agent, three more while several threads need one.

    Dead connections are noticed, and nothing is kept in a session between transactions, as PgBouncer needs.
    """
    if url.get_backend_name() != "postgresql":
        return {}
    arguments: dict[str, Any] = {"connect_timeout": 5, "application_name": "yacs-sweep"}
    if url.get_driver_name() == "psycopg":
        arguments["prepare_threshold"] = None
    arguments |= {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 30_000}
    return {"pool_size": 1, "max_overflow": 3, "pool_pre_ping": True, "connect_args": arguments}


def make_engine(text: str) -> sa.Engine:
    """Makes an engine for the URL without connecting.

    Raises:
        ConfigError: the driver is not installed; the message says which one to install.
    """
    url = url_of(text)
    try:
        return without_idle_connections(sa.create_engine(url, **settings(url)))
    except ImportError as error:
        if url.drivername == "postgresql+psycopg":
            raise ConfigError(f"--storage: PostgreSQL needs psycopg: {install_command('postgres')}") from None
        raise ConfigError(f"--storage: {error.name or error}: the database's driver is not installed") from None
    except sa.exc.SQLAlchemyError as error:
        raise ConfigError(f"--storage: cannot use that database: {first_line(error)}") from None


def first_line(error: BaseException) -> str:
    """Returns the first line of a database error's message."""
    lines = str(getattr(error, "orig", None) or error.__cause__ or error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def lock_timed_out(error: BaseException) -> bool:
    """Returns whether an error says that the queue for the advisory lock took longer than `LOCK_TIMEOUT`."""
    while error.__cause__ is not None and not isinstance(error, sa.exc.DBAPIError):
        error = error.__cause__
    return isinstance(error, sa.exc.DBAPIError) and getattr(error.orig, "sqlstate", None) == "55P03"


def disconnected(error: BaseException) -> bool:
    """Returns whether an error says that the database could not be reached or broke off, so that another try may succeed."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, sa.exc.DBAPIError):
            state = getattr(seen.orig, "sqlstate", None)
            # 08: connection; 57P: shutting down, starting up; 53: too many connections; 25P03: idle in a transaction;
            # 40: deadlock, serialization.
            known = state is not None and state.startswith(("08", "57P", "53", "25P03", "40"))
            return (
                seen.connection_invalidated
                or known
                or (state is None and isinstance(seen, sa.exc.OperationalError | sa.exc.InterfaceError))
            )
        if isinstance(seen, sa.exc.TimeoutError):
            return True
        if isinstance(seen, sa.exc.InvalidRequestError) and ("transaction" in str(seen) or "closed" in str(seen)):
            return True  # Optuna tried again by itself, in the transaction that had been ended
        seen = seen.__cause__ or seen.__context__
    return False


def lease_wanted() -> float:
    """Returns the seconds of a new sweep's lease. Raises ConfigError unless they are a number from 1 to 60."""
    return _seconds(LEASE_VARIABLE, LEASE, 1.0, LEASE)


def outage_wanted() -> float:
    """Returns the seconds an agent waits for a database that does not answer. Raises ConfigError unless 0 to a day."""
    return _seconds(OUTAGE_VARIABLE, OUTAGE, 0.0, 86400.0)


def _seconds(variable: str, default: float, low: float, high: float) -> float:
    """Reads a number of seconds from the environment."""
    text = os.environ.get(variable, "")
    try:
        seconds = float(text) if text else default
    except ValueError:
        seconds = -1.0
    if not low <= seconds <= high:
        raise ConfigError(f"{variable}={text}: not a number of seconds from {low:g} to {high:g}")
    return seconds


@dataclass(frozen=True)
class Description:
    """Describes a sweep to a machine that joins."""

    content: Mapping[str, Any]  # see `shared_sweep.SharedSweep.describe`
    lease: float


@dataclass(frozen=True)
class AgentRow:
    """A row of the agents' table, as other agents read it."""

    kernel: str
    lost: bool


class Database:
    """Reads and writes the rows of one sweep. Methods with a `connection` are part of that connection's transaction."""

    def __init__(self, engine: sa.Engine, sweep: str) -> None:
        self.engine, self.sweep = engine, sweep

    # -- the sweep --------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def creating(self) -> Iterator[None]:
        """Makes the missing tables, and lets one process at a time make others in the block.

        A process that waits holds no connection meanwhile: the one whose turn it is may need a second one.
        """
        while True:
            with self.engine.begin() as connection:
                if take_lock(connection, "schema", wait=False):
                    _metadata.create_all(connection)
                    yield
                    return
            self.engine.dispose()
            time.sleep(random.uniform(0.05, 0.3))

    def exists(self, table: str = "yacs_sweep_sweeps") -> bool:
        """Returns whether the database has the table."""
        return sa.inspect(self.engine).has_table(table)

    def describe(self, change: Callable[[Mapping[str, Any] | None], Mapping[str, Any]], lease: float) -> Description:
        """Replaces the sweep's description by what `change` makes of the old one (None: a new sweep), under a lock."""
        with self.engine.begin() as connection:
            take_lock(connection, f"sweep:{self.sweep}")
            old = self.description(connection)
            content = change(old.content if old else None)
            if old is None:
                connection.execute(_sweeps.insert().values(sweep=self.sweep, lease=lease, content=to_json(content)))
            else:
                same = _sweeps.c.sweep == self.sweep
                connection.execute(_sweeps.update().where(same).values(content=to_json(content)))
            return Description(content, old.lease if old else lease)

    def description(self, connection: sa.Connection | None = None) -> Description | None:
        """Reads the sweep's description; None for an unknown sweep."""
        with contextlib.ExitStack() as stack:
            connection = connection or stack.enter_context(self.engine.connect())
            query = sa.select(_sweeps.c.content, _sweeps.c.lease).where(_sweeps.c.sweep == self.sweep)
            found = connection.execute(query).first()
            return None if found is None else Description(json.loads(found.content), found.lease)

    # -- giving out points ------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def exclusive(self, lease: float) -> Iterator[sa.Connection]:
        """Opens a transaction that one agent of the sweep at a time can be in; the server ends one that is silent in it.

        Args:
            lease: seconds.
        """
        with self.engine.begin() as connection:
            idle = int(1000 * max(IDLE_TIMEOUT if lease > IDLE_TIMEOUT else 5.0, lease))
            connection.exec_driver_sql(
                f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'; SET LOCAL idle_in_transaction_session_timeout = {idle}"
            )
            take_lock(connection, f"sweep:{self.sweep}")
            yield connection

    # -- agents -----------------------------------------------------------------------------------------------------

    def add_agent(self, agent: str, host: str, kernel: str) -> None:
        """Adds an agent with a new lease."""
        with self.engine.begin() as connection:
            connection.execute(_agents.insert().values(sweep=self.sweep, agent=agent, host=host, kernel=kernel))

    def _agent(self, agent: str) -> sa.ColumnElement[bool]:
        """Returns the condition that selects the agent's row."""
        return sa.and_(_agents.c.sweep == self.sweep, _agents.c.agent == agent)

    def renew_lease(self, agent: str) -> bool:
        """Writes a heartbeat of the agent; returns False if its lease has expired."""
        values = {"beats": _agents.c.beats + 1, "beat": sa.func.clock_timestamp()}
        update = _agents.update().where(self._agent(agent), sa.not_(_agents.c.lost)).values(values)
        with self.engine.begin() as connection:
            return connection.execute(update).rowcount == 1

    def silent_agents(self, seconds: float) -> dict[str, int]:
        """Returns agents without a recent heartbeat, and how many heartbeats each has written.

        The server's clock only saves reading all rows, and may jump: agents whose last heartbeat lies in the future are
        returned as well, and `lease.LeaseWatch` decides.

        Args:
            seconds: age of the last heartbeat.
        """
        now = sa.func.clock_timestamp()
        old = _agents.c.beat < now - sa.func.make_interval(0, 0, 0, 0, 0, 0, seconds)
        future = _agents.c.beat > now + sa.func.make_interval(0, 0, 0, 0, 0, 0, seconds)
        query = sa.select(_agents.c.agent, _agents.c.beats).where(
            _agents.c.sweep == self.sweep, sa.not_(_agents.c.lost), sa.or_(old, future)
        )
        with self.engine.connect() as connection:
            return {row.agent: row.beats for row in connection.execute(query)}

    def expire_lease(self, agent: str, heartbeats: int) -> bool:
        """Marks the agent's lease as expired unless a heartbeat has come since; returns whether this call did it."""
        living = sa.and_(self._agent(agent), sa.not_(_agents.c.lost), _agents.c.beats == heartbeats)
        with self.engine.begin() as connection:
            return connection.execute(_agents.update().where(living).values(lost=True)).rowcount == 1

    def agents(self, connection: sa.Connection) -> dict[str, AgentRow]:
        """Reads the agents of the sweep by their names."""
        query = sa.select(_agents.c.agent, _agents.c.kernel, _agents.c.lost).where(_agents.c.sweep == self.sweep)
        return {row.agent: AgentRow(row.kernel, row.lost) for row in connection.execute(query)}

    def hosts(self, connection: sa.Connection) -> set[str]:
        """Reads the machines with agents whose leases are valid."""
        query = sa.select(_agents.c.host).where(_agents.c.sweep == self.sweep, sa.not_(_agents.c.lost))
        return set(connection.execute(query).scalars())

    def lost_agents(self, connection: sa.Connection, agent: str) -> tuple[bool, frozenset[str]]:
        """Returns whether the lease of `agent` is valid, and the agents whose leases have expired and whose trials have not
        been recovered yet."""
        query = sa.select(_agents.c.agent, _agents.c.lost).where(
            _agents.c.sweep == self.sweep, sa.or_(_agents.c.lost, _agents.c.agent == agent)
        )
        rows = {row.agent: row.lost for row in connection.execute(query)}
        return not rows.get(agent, True), frozenset(name for name, lost in rows.items() if lost)

    def remove_agents(self, connection: sa.Connection, agents: Sequence[str]) -> None:
        """Removes the rows of dead agents, whose trials have been recovered."""
        where = sa.and_(_agents.c.sweep == self.sweep, _agents.c.agent.in_(agents))
        connection.execute(_agents.delete().where(where))

    def claim_waiting(self, connection: sa.Connection, agent: str) -> bool:
        """Makes `agent` the one that waits for the others' trials; returns False if another agent does."""
        others = sa.select(sa.literal(1)).where(
            _agents.c.sweep == self.sweep, _agents.c.waits, sa.not_(_agents.c.lost), _agents.c.agent != agent
        )
        if connection.execute(others).first() is not None:
            return False
        connection.execute(_agents.update().where(self._agent(agent)).values(waits=True))
        return True

    def leave(self, agent: str) -> None:
        """Removes an agent that leaves; one whose trial is still recorded as running is marked as lost instead."""
        open_trial = sa.exists().where(
            _trials.c.sweep == self.sweep, _trials.c.agent == agent, _trials.c.state == "running"
        )
        with self.engine.begin() as connection:
            connection.execute(_agents.delete().where(self._agent(agent), sa.not_(open_trial)))
            connection.execute(_agents.update().where(self._agent(agent)).values(lost=True))

    # -- trials -----------------------------------------------------------------------------------------------------

    def start_trial(self, record: TrialRecord, agent: str) -> bool:
        """Adds the row of a trial that runs, or that is resumed; returns False if the agent's lease has expired.

        May be repeated.
        """
        from sqlalchemy.dialects.postgresql import insert

        values = {"sweep": self.sweep, "number": record.number, "agent": agent, **_columns(record)}
        # Locks the lease: an agent that expires it sees the trial's row, or else this one sees that it has expired.
        lease = sa.select(_agents.c.agent).where(self._agent(agent), sa.not_(_agents.c.lost)).with_for_update(read=True)
        with self.engine.begin() as connection:
            if connection.execute(lease).first() is None:
                return False
            resumed = insert(_trials).values(values)
            connection.execute(
                resumed.on_conflict_do_update(
                    index_elements=[_trials.c.sweep, _trials.c.number],
                    set_={key: resumed.excluded[key] for key in ("agent", "state", "settled", "row")},
                    where=_trials.c.state == "paused",
                )
            )
        return True

    def end_trial(self, connection: sa.Connection, record: TrialRecord, agent: str | None = None) -> Written:
        """Writes the end of a running trial, or of a paused one that nobody runs; refused for one that has ended already,
        or is not `agent`'s. Without `agent` a row that is missing is added: the trial's own agent died before it could."""
        this = sa.and_(_trials.c.sweep == self.sweep, _trials.c.number == record.number)
        mine = this if agent is None else sa.and_(this, _trials.c.agent == agent)
        values = _columns(record)
        open_ = ("running", "paused") if agent is None else ("running",)
        update = _trials.update().where(mine, _trials.c.state.in_(open_)).values(values)
        if connection.execute(update).rowcount == 1:
            return "now"
        found = connection.execute(sa.select(_trials.c.row).where(mine)).scalar()
        if found is None and agent is None:
            keys = {"sweep": self.sweep, "number": record.number, "agent": record.agent}
            connection.execute(_trials.insert().values({**keys, **values}))
            return "now"
        return "before" if found == values["row"] else "refused"

    def record(self, connection: sa.Connection, number: int) -> TrialRecord | None:
        """Reads the record of a trial; None for a trial that never ran."""
        query = sa.select(_trials.c.row).where(_trials.c.sweep == self.sweep, _trials.c.number == number)
        row = connection.execute(query).scalar()
        return None if row is None else _record(row)

    def records(self, after: int = -1, numbers: Sequence[int] = ()) -> list[TrialRecord]:
        """Reads the records of the trials with a number above `after`, and of those in `numbers`."""
        wanted = sa.or_(_trials.c.number > after, _trials.c.number.in_(numbers))
        query = sa.select(_trials.c.row).where(_trials.c.sweep == self.sweep, wanted).order_by(_trials.c.number)
        with self.engine.connect() as connection:
            found = [_record(row) for row in connection.execute(query).scalars()]
        return [record for record in found if record is not None]


def _record(row: str) -> TrialRecord | None:
    """Reads a trial's row; None for one that no agent of ours has written.

    Whoever wrote it: its name is a folder's, and its command is left out, as no machine is to run another's words.
    """
    try:
        record = TrialRecord.from_row(json.loads(row))
    except (ValueError, TypeError, AttributeError):
        return None
    record.name, record.command = folder_name(record.name, record.id), []
    return record


def _columns(record: TrialRecord) -> dict[str, Any]:
    """Returns a trial's row but for its keys."""
    row = {**record.row(), "last_lines": []}  # they are where stdout.log is
    return {"state": record.state, "settled": record.settled, "row": to_json(row)}


def take_lock(connection: sa.Connection, what: str, *, wait: bool = True) -> bool:
    """Takes an advisory lock, which the end of the transaction releases; returns False when it is held and not waited for."""
    key = sa.func.hashtextextended(f"yacs_sweep:{what}", 0)
    take = sa.func.pg_advisory_xact_lock if wait else sa.func.pg_try_advisory_xact_lock
    return connection.execute(sa.select(take(key))).scalar() is not False


def check(text: str) -> None:
    """Connects once, to find out whether the database can be used.

    Raises:
        ConfigError: the database cannot be used.
    """
    engine = make_engine(text)
    if engine.dialect.name == "sqlite":  # connecting would create the file
        return
    try:
        engine.connect().close()
    except (sa.exc.SQLAlchemyError, ImportError) as error:
        raise ConfigError(f"--storage: cannot use that database: {first_line(error)}") from None
    finally:
        engine.dispose()
