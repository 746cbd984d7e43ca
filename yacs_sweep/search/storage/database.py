"""What the agents of many machines share: one PostgreSQL database, beside Optuna's tables in it.

Three tables. `yacs_sweep_sweeps` says what is searched and how it is launched, so that a machine without the sweep's folder
can join. `yacs_sweep_agents` has a row for each agent that lives: its lease, which it renews. `yacs_sweep_trials` has
what trial.json has; here it is the truth, since no disk is shared.

No clock is compared with another machine's, and no file is locked: whoever gives out a point holds an advisory lock of the
database, in the transaction that writes the point, so that who loses the one has not done the other.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url

from ...base.errors import ConfigError
from ...base.values import to_json
from ...records.folder import TrialRecord
from .ledger import Written
from .url import MASK

LEASE_VARIABLE = "YACS_SWEEP_LEASE"
LEASE = 60.0  # seconds after its last sign of life at which an agent's trial is given to another
OUTAGE_VARIABLE = "YACS_SWEEP_OUTAGE"
OUTAGE = 1800.0  # seconds an agent waits for a database that does not answer
TURN_WAIT = "30s"  # in the queue for the lock, until the waiting agent has a look around and queues again
TURN_IDLE = 20.0  # seconds at least that the lock's holder may think; then the server takes it for stopped
_metadata = sa.MetaData()
_sweeps = sa.Table(
    "yacs_sweep_sweeps",
    _metadata,
    sa.Column("sweep", sa.Text, primary_key=True),
    sa.Column("lease", sa.Float, nullable=False),
    sa.Column("content", sa.Text, nullable=False),
)
_agents = sa.Table(
    "yacs_sweep_agents",
    _metadata,
    sa.Column("sweep", sa.Text, primary_key=True),
    sa.Column("agent", sa.Text, primary_key=True),
    sa.Column("host", sa.Text, nullable=False),
    sa.Column("kernel", sa.Text, nullable=False),  # within which lock files tell the truth
    sa.Column("beats", sa.BigInteger, nullable=False, default=0),
    sa.Column("beat", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.clock_timestamp()),
    sa.Column("lost", sa.Boolean, nullable=False, default=False),  # its lease was taken
    sa.Column("waits", sa.Boolean, nullable=False, default=False),  # for the others' trials, in case one is lost
)
_trials = sa.Table(
    "yacs_sweep_trials",
    _metadata,
    sa.Column("sweep", sa.Text, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("agent", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("settled", sa.Boolean, nullable=False),
    sa.Column("row", sa.Text, nullable=False),
)


def url_of(text: str) -> URL:
    """The SQLAlchemy URL; `postgresql://` means psycopg.

    Raises:
        ConfigError: it is none.
    """
    try:
        url = make_url(text)
    except sa.exc.ArgumentError:  # its text has the URL in it, password and all
        raise ConfigError("--storage: not a database URL; write postgresql://USER@HOST/DATABASE") from None
    if url.drivername in ("postgresql", "postgres"):
        url = url.set(drivername="postgresql+psycopg")
    return url


def masked(text: str) -> str:
    """The URL without its password, for files and messages. What was given as `postgresql://` stays so."""
    url = url_of(text)
    query = {key: MASK if "pass" in key.lower() else value for key, value in url.query.items()}
    return url.set(query=query).render_as_string(hide_password=True).replace("postgresql+psycopg:", "postgresql:", 1)


def settings(url: URL) -> dict[str, Any]:
    """`create_engine`'s settings: one connection an agent, more while two threads need one; what is gone is noticed; fit
    for PgBouncer (nothing is kept in a session between transactions)."""
    if url.get_backend_name() != "postgresql":
        return {}
    arguments: dict[str, Any] = {"connect_timeout": 5, "application_name": "yacs-sweep"}
    if url.get_driver_name() == "psycopg":
        arguments["prepare_threshold"] = None
    arguments |= {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 30_000}
    return {"pool_size": 1, "max_overflow": 3, "pool_pre_ping": True, "connect_args": arguments}


def make_engine(text: str) -> sa.Engine:
    """An engine for the URL; nothing is connected yet.

    Raises:
        ConfigError: the driver is not installed, in words that say which to install.
    """
    url = url_of(text)
    try:
        return sa.create_engine(url, **settings(url))
    except ImportError as error:
        if url.drivername == "postgresql+psycopg":
            raise ConfigError(
                "--storage: PostgreSQL needs psycopg: pip install 'yacs-sweep[postgres]' (or 'psycopg[binary]')"
            ) from None
        raise ConfigError(f"--storage: {error.name or error}: the database's driver is not installed") from None
    except sa.exc.SQLAlchemyError as error:
        raise ConfigError(f"--storage: cannot use that database: {first_line(error)}") from None


def first_line(error: BaseException) -> str:
    """What an error of the database says, in one line."""
    lines = str(getattr(error, "orig", None) or error.__cause__ or error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def queueing(error: BaseException) -> bool:
    """Whether it only took too long until it was one's turn."""
    while error.__cause__ is not None and not isinstance(error, sa.exc.DBAPIError):
        error = error.__cause__
    return isinstance(error, sa.exc.DBAPIError) and getattr(error.orig, "sqlstate", None) == "55P03"


def disconnected(error: BaseException) -> bool:
    """Whether the database could not be reached, or broke off: worth another try."""
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
    """Seconds of the lease of a new sweep. Raises ConfigError for what is no number of 1 to 60."""
    return _seconds(LEASE_VARIABLE, LEASE, 1.0, LEASE)


def outage_wanted() -> float:
    """Seconds an agent waits for a database that does not answer. Raises ConfigError for what is no number up to a day."""
    return _seconds(OUTAGE_VARIABLE, OUTAGE, 0.0, 86400.0)


def _seconds(variable: str, default: float, low: float, high: float) -> float:
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
    """What a machine needs to join a sweep."""

    content: Mapping[str, Any]  # see `joining`
    lease: float


@dataclass(frozen=True)
class Member:
    """An agent as the others see it."""

    agent: str
    host: str
    kernel: str
    beats: int
    lost: bool
    waits: bool


class Database:
    """The tables, of one sweep. Methods that take a `connection` belong in its transaction."""

    def __init__(self, engine: sa.Engine, sweep: str) -> None:
        self.engine, self.sweep = engine, sweep

    # -- the sweep --------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def creating(self) -> Iterator[None]:
        """Makes the tables that are not there, and lets one process at a time make others."""
        with self.engine.begin() as connection:
            _lock(connection, "schema")
            _metadata.create_all(connection)
            yield

    def exists(self, table: str = "yacs_sweep_sweeps") -> bool:
        return sa.inspect(self.engine).has_table(table)

    def describe(self, change: Callable[[Mapping[str, Any] | None], Mapping[str, Any]], lease: float) -> Description:
        """Writes the description: what `change` makes of the one there is, under a lock."""
        with self.engine.begin() as connection:
            _lock(connection, f"sweep:{self.sweep}")
            old = self.description(connection)
            content = change(old.content if old else None)
            if old is None:
                connection.execute(_sweeps.insert().values(sweep=self.sweep, lease=lease, content=to_json(content)))
            else:
                same = _sweeps.c.sweep == self.sweep
                connection.execute(_sweeps.update().where(same).values(content=to_json(content)))
            return Description(content, old.lease if old else lease)

    def description(self, connection: sa.Connection | None = None) -> Description | None:
        with contextlib.ExitStack() as stack:
            connection = connection or stack.enter_context(self.engine.connect())
            query = sa.select(_sweeps.c.content, _sweeps.c.lease).where(_sweeps.c.sweep == self.sweep)
            found = connection.execute(query).first()
            return None if found is None else Description(json.loads(found.content), found.lease)

    # -- giving out points ------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def turn(self, lease: float) -> Iterator[sa.Connection]:
        """A transaction that only one agent of the sweep can be in. Whoever stops in it is thrown out by the server."""
        with self.engine.begin() as connection:
            idle = int(1000 * max(TURN_IDLE if lease > TURN_IDLE else 5.0, lease))
            connection.exec_driver_sql(
                f"SET LOCAL lock_timeout = '{TURN_WAIT}'; SET LOCAL idle_in_transaction_session_timeout = {idle}"
            )
            _lock(connection, f"sweep:{self.sweep}")
            yield connection

    # -- agents -----------------------------------------------------------------------------------------------------

    def enlist(self, agent: str, host: str, kernel: str) -> None:
        with self.engine.begin() as connection:
            connection.execute(_agents.insert().values(sweep=self.sweep, agent=agent, host=host, kernel=kernel))

    def _agent(self, agent: str) -> sa.ColumnElement[bool]:
        return sa.and_(_agents.c.sweep == self.sweep, _agents.c.agent == agent)

    def beat(self, agent: str) -> bool:
        """Renews the agent's lease; False when it has been taken."""
        values = {"beats": _agents.c.beats + 1, "beat": sa.func.clock_timestamp()}
        update = _agents.update().where(self._agent(agent), sa.not_(_agents.c.lost)).values(values)
        with self.engine.begin() as connection:
            return connection.execute(update).rowcount == 1

    def silent(self, seconds: float) -> dict[str, int]:
        """Agents whose last beat is `seconds` old by the server's clock, or lies in its future, and their beats. The
        clock only saves looking at all of them: `lease.Watch` decides."""
        now = sa.func.clock_timestamp()
        old = _agents.c.beat < now - sa.func.make_interval(0, 0, 0, 0, 0, 0, seconds)
        future = _agents.c.beat > now + sa.func.make_interval(0, 0, 0, 0, 0, 0, seconds)
        query = sa.select(_agents.c.agent, _agents.c.beats).where(
            _agents.c.sweep == self.sweep, sa.not_(_agents.c.lost), sa.or_(old, future)
        )
        with self.engine.connect() as connection:
            return {row.agent: row.beats for row in connection.execute(query)}

    def condemn(self, agent: str, beats: int) -> bool:
        """Takes the agent's lease, unless it has beaten since. True for the one who did it."""
        living = sa.and_(self._agent(agent), sa.not_(_agents.c.lost), _agents.c.beats == beats)
        with self.engine.begin() as connection:
            return connection.execute(_agents.update().where(living).values(lost=True)).rowcount == 1

    def members(self, connection: sa.Connection) -> dict[str, Member]:
        columns = (_agents.c.agent, _agents.c.host, _agents.c.kernel, _agents.c.beats, _agents.c.lost, _agents.c.waits)
        rows = connection.execute(sa.select(*columns).where(_agents.c.sweep == self.sweep))
        return {row.agent: Member(*row) for row in rows}

    def lost(self, connection: sa.Connection, me: str) -> tuple[bool, frozenset[str]]:
        """Whether `me` still has its lease, and the agents whose trials have not been seen to yet."""
        query = sa.select(_agents.c.agent, _agents.c.lost).where(
            _agents.c.sweep == self.sweep, sa.or_(_agents.c.lost, _agents.c.agent == me)
        )
        rows = {row.agent: row.lost for row in connection.execute(query)}
        return not rows.get(me, True), frozenset(agent for agent, lost in rows.items() if lost)

    def bury(self, connection: sa.Connection, agents: Sequence[str]) -> None:
        """Forgets dead agents, whose trials have been seen to; they have no lease any more."""
        where = sa.and_(_agents.c.sweep == self.sweep, _agents.c.agent.in_(agents))
        connection.execute(_agents.delete().where(where))

    def wait(self, connection: sa.Connection, agent: str) -> bool:
        """Takes it upon `agent` to wait for the others' trials; False when another one does."""
        others = sa.select(sa.literal(1)).where(
            _agents.c.sweep == self.sweep, _agents.c.waits, sa.not_(_agents.c.lost), _agents.c.agent != agent
        )
        if connection.execute(others).first() is not None:
            return False
        connection.execute(_agents.update().where(self._agent(agent)).values(waits=True))
        return True

    def leave(self, agent: str) -> None:
        """The agent goes and has no trial. If it has one after all, the others are to see to it."""
        open_trial = sa.exists().where(
            _trials.c.sweep == self.sweep, _trials.c.agent == agent, _trials.c.state == "running"
        )
        with self.engine.begin() as connection:
            connection.execute(_agents.delete().where(self._agent(agent), sa.not_(open_trial)))
            connection.execute(_agents.update().where(self._agent(agent)).values(lost=True))

    # -- trials -----------------------------------------------------------------------------------------------------

    def start(self, record: TrialRecord, agent: str) -> bool:
        """Notes a trial that runs; False when the agent's lease was taken, and its trial with it. Once more after a broken
        connection does no harm."""
        from sqlalchemy.dialects.postgresql import insert

        values = {"sweep": self.sweep, "number": record.number, "agent": agent, **_columns(record)}
        # Locked, so that who takes the lease sees the trial, or the trial that the lease was taken.
        lease = sa.select(_agents.c.agent).where(self._agent(agent), sa.not_(_agents.c.lost)).with_for_update(read=True)
        with self.engine.begin() as connection:
            if connection.execute(lease).first() is None:
                return False
            connection.execute(insert(_trials).values(values).on_conflict_do_nothing())
        return True

    def end(self, connection: sa.Connection, record: TrialRecord, agent: str | None = None) -> Written:
        """Notes how a trial that runs ended; refused when it has ended already, or belongs to another than `agent`."""
        this = sa.and_(_trials.c.sweep == self.sweep, _trials.c.number == record.number)
        mine = this if agent is None else sa.and_(this, _trials.c.agent == agent)
        values = _columns(record)
        update = _trials.update().where(mine, _trials.c.state == "running").values(values)
        if connection.execute(update).rowcount == 1:
            return "now"
        same = connection.execute(sa.select(_trials.c.row).where(mine)).scalar() == values["row"]
        return "before" if same else "refused"

    def record(self, connection: sa.Connection, number: int) -> TrialRecord | None:
        query = sa.select(_trials.c.row).where(_trials.c.sweep == self.sweep, _trials.c.number == number)
        row = connection.execute(query).scalar()
        return None if row is None else TrialRecord.from_row(json.loads(row))

    def records(self, after: int = -1, open_ones: Sequence[int] = ()) -> list[TrialRecord]:
        """The trials with a number beyond `after`, and those of `open_ones`."""
        wanted = sa.or_(_trials.c.number > after, _trials.c.number.in_(open_ones))
        query = sa.select(_trials.c.row).where(_trials.c.sweep == self.sweep, wanted).order_by(_trials.c.number)
        with self.engine.connect() as connection:
            return [TrialRecord.from_row(json.loads(row)) for row in connection.execute(query).scalars()]

    def settled(self) -> int:
        """How many points have been evaluated."""
        query = sa.select(sa.func.count()).where(_trials.c.sweep == self.sweep, _trials.c.settled)
        with self.engine.connect() as connection:
            return int(connection.execute(query).scalar_one())


def _columns(record: TrialRecord) -> dict[str, Any]:
    row = {**record.row(), "last_lines": []}  # they are where stdout.log is
    return {"state": record.state, "settled": record.settled, "row": to_json(row)}


def _lock(connection: sa.Connection, what: str) -> None:
    key = sa.func.hashtextextended(f"yacs_sweep:{what}", 0)
    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(key)))


def check(text: str) -> None:
    """Connects once.

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
