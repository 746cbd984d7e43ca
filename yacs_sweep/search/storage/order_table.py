"""Keeps a sweep's orders in a table of the database that its machines share: `yacs_sweep_orders`."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator

import sqlalchemy as sa

from ...base.errors import ConfigError
from ...base.values import to_json
from ...records.control.orders import Entry, entry_from_row, entry_row
from .database import Database, disconnected, first_line, make_engine, take_lock
from .tables import orders as _orders

FIRST_WAIT = 10.0  # seconds that a launch waits at its start for the orders given before


class OrderTable:
    """`OrderLog` in a database. A call waits for the database's answer."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._lock = threading.Lock()
        self._read = 0  # how many entries were read
        self._there = False  # whether the database has the table; one of an earlier version lacks it

    @classmethod
    def at(cls, url: str, sweep: str) -> OrderTable:
        """Makes the list of a sweep in the database at `url`, without connecting."""
        return cls(Database(make_engine(url), sweep))

    def append(self, entry: Entry) -> None:
        """Adds an entry; makes the table where it is missing.

        Raises:
            ConfigError: the database cannot be used.
        """
        with _told():
            self.add(entry)

    def add(self, entry: Entry) -> None:
        """Adds an entry; one that is there already is not added twice, as this may be repeated after an outage.

        Raises the database's own errors.
        """
        if not self._has_table():
            with self.database.creating():
                pass
        sweep = self.database.sweep
        with self.database.engine.begin() as connection:
            take_lock(connection, f"orders:{sweep}")  # until the commit: nobody reads a later number before this one
            own, row = _orders.c.sweep == sweep, to_json(entry_row(entry))
            if connection.execute(sa.select(_orders.c.number).where(own, _orders.c.row == row)).first() is not None:
                return
            number = connection.execute(sa.select(sa.func.count()).where(own)).scalar_one()
            connection.execute(_orders.insert().values(sweep=sweep, number=number, row=row))

    def read(self) -> list[Entry]:
        """Reads the new entries.

        Raises:
            ConfigError: the database cannot be used.
        """
        with _told():
            return self.read_new()

    def read_new(self, connection: sa.Connection | None = None) -> list[Entry]:
        """Reads the new entries, with `connection` as a part of its transaction. Raises the database's own errors."""
        with self._lock, contextlib.ExitStack() as stack:
            if connection is None:
                if not self._has_table():
                    return []
                connection = stack.enter_context(self.database.engine.connect())
            new = sa.and_(_orders.c.sweep == self.database.sweep, _orders.c.number >= self._read)
            rows = connection.execute(sa.select(_orders.c.row).where(new).order_by(_orders.c.number)).scalars().all()
            self._read += len(rows)
        return [entry for row in rows if (entry := _entry(row)) is not None]

    def _has_table(self) -> bool:
        self._there = self._there or self.database.exists(_orders.name)
        return self._there


class FollowedOrders:
    """`OrderLog` of a launch: another thread, which reads the database anyway, exchanges entries with the table.

    So the launch never waits for the database, and needs no further connection; in an outage, entries are kept.
    """

    def __init__(self, table: OrderTable, wake: Callable[[], None]) -> None:
        """`wake`: makes the thread exchange entries soon."""
        self._table, self._wake = table, wake
        self._new: list[Entry] = []
        self._waited = False
        self._begun = threading.Event()  # set once the table has been read
        self._unsent: list[Entry] = []
        self._lock = threading.Lock()
        self.problem: str | None = None  # why the table cannot be used at all, which no waiting mends

    def append(self, entry: Entry) -> None:
        """Adds an entry, which the other thread writes to the table."""
        self._unsent.append(entry)
        self._wake()

    def read(self) -> list[Entry]:
        """Returns the entries that the other thread has read since the last call; the first call waits for the table.

        Raises:
            ConfigError: at the first call, the database does not answer: what came later would be taken for new.
        """
        if not self._waited and not self._begun.wait(FIRST_WAIT):
            raise ConfigError(f"--storage: cannot use that database: no answer within {FIRST_WAIT:g} s")
        self._waited = True
        with self._lock:
            new, self._new = self._new, []
        return new

    def exchange(self) -> None:
        """Writes and reads what is new, on the thread that reads the database. Raises errors of a lost connection."""
        if self.problem is not None:
            return
        try:
            while self._unsent:
                self._table.add(self._unsent[0])
                del self._unsent[0]
            new = self._table.read_new()
        except Exception as error:
            if disconnected(error):
                raise
            self.problem = first_line(error)
            self._begun.set()
            return
        with self._lock:
            self._new += new
        self._begun.set()


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Says in a line that the database cannot be used."""
    try:
        yield
    except sa.exc.SQLAlchemyError as error:
        raise ConfigError(f"--storage: cannot use that database: {first_line(error)}") from None


def _entry(row: str) -> Entry | None:
    """Converts a row to an entry; None for one that nobody of ours has written."""
    try:
        return entry_from_row(json.loads(row))
    except ValueError:
        return None
