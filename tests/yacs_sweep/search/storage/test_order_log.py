"""Orders in a database: what is written is read back by every machine, whatever happens to the database."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.postgres import Postgres, programs
from yacs_sweep.base.errors import ConfigError
from yacs_sweep.records.control.orders import Entry, Order, OrderLog, answer_to, new_order
from yacs_sweep.records.folder import SweepPaths
from yacs_sweep.records.launch_file import LaunchFile
from yacs_sweep.search.storage.database import make_engine
from yacs_sweep.search.storage.order_log import order_log
from yacs_sweep.search.storage.order_table import OrderTable
from yacs_sweep.search.storage.shared_sweep import DatabaseTrials, SharedSweep
from yacs_sweep.search.warm_start import WarmStart
from yacs_sweep.spec.read_sweep import sweep_from_dict

pytestmark = pytest.mark.skipif(programs() is None, reason="PostgreSQL is not installed")


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with Postgres(["max_connections=30", "fsync=off"]) as running:
        yield running


@pytest.fixture
def log(server: Postgres, tmp_path: Path) -> Iterator[Callable[[], OrderLog]]:
    """Returns a function that opens a sweep's orders as one more machine does, with a folder of its own."""
    sweep, machines = f"s{uuid.uuid4().hex[:7]}", iter(range(100))
    yield lambda: order_log(SweepPaths(tmp_path / f"machine{next(machines)}", sweep), server.url)
    _run(server, "DROP TABLE IF EXISTS yacs_sweep_orders")


def _run(server: Postgres, statement: str) -> None:
    engine = make_engine(server.url)
    with engine.begin() as connection:
        connection.execute(sa.text(statement))
    engine.dispose()


def test_every_machine_reads_each_entry_once_in_order(log: Callable[[], OrderLog]) -> None:
    here, there = log(), log()
    assert here.read() == []  # the database of an earlier version lacks the table
    order = new_order("add_points", points=[{"base_lr": 0.1, "SOLVER.NAME": "Adam"}])
    here.append(order)
    assert there.read() == [order]
    answer = answer_to(order, "1 point is tried next")
    there.append(answer)
    there.append(answer)  # its first try may have been written, though nobody heard of it
    assert there.read() == [answer]
    assert here.read() == [order, answer]
    assert here.read() == there.read() == []


def test_a_sweep_has_its_own_orders(server: Postgres, log: Callable[[], OrderLog], tmp_path: Path) -> None:
    log().append(new_order("pause"))
    assert order_log(SweepPaths(tmp_path, "another1"), server.url).read() == []


def test_a_row_of_another_version_or_of_somebody_else_is_left_out(
    server: Postgres, log: Callable[[], OrderLog]
) -> None:
    here = log()
    here.append(new_order("pause"))
    for number, row in enumerate(["", "{", "[]", '{"order": {"act": "fly"}}'], start=1):
        _run(server, f"INSERT INTO yacs_sweep_orders SELECT sweep, {number}, '{row}' FROM yacs_sweep_orders LIMIT 1")
    here.append(new_order("resume"))
    assert [entry.act for entry in log().read() if isinstance(entry, Order)] == ["pause", "resume"]


def test_several_machines_at_once_lose_no_order_and_read_none_late(log: Callable[[], OrderLog]) -> None:
    reader, seen = log(), list[str]()
    logs = [log() for _ in range(4)]

    def write(own: OrderLog) -> None:
        for _ in range(10):
            own.append(new_order("set_workers", workers=3, now=False))

    writers = [threading.Thread(target=write, args=(own,)) for own in logs]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        seen += [entry.id for entry in reader.read() if isinstance(entry, Order)]
    for writer in writers:
        writer.join(60)
    seen += [entry.id for entry in reader.read() if isinstance(entry, Order)]
    assert len(seen) == len(set(seen)) == 40
    assert seen == [entry.id for entry in log().read() if isinstance(entry, Order)]


def test_a_launch_hears_of_an_order_within_two_seconds_and_its_answer_is_read_elsewhere(
    server: Postgres, log: Callable[[], OrderLog]
) -> None:
    command = log()
    assert isinstance(command, OrderTable)
    trials = DatabaseTrials(server.url, command.database.sweep)
    time.sleep(0.3)  # it has read once, and sleeps
    order = new_order("pause")
    started = time.monotonic()
    command.append(order)
    assert _read_until(trials.orders, order) == [order]
    assert time.monotonic() - started < 2
    answer = answer_to(order, "paused by alice@box: 4 running trials go on, none starts")
    started = time.monotonic()
    trials.orders.append(answer)
    assert _read_until(command, answer) == [order, answer]
    assert time.monotonic() - started < 1
    assert trials.read_last()


def test_an_outage_is_no_error_to_a_launch_and_loses_nothing(tmp_path: Path) -> None:
    with Postgres(["fsync=off"]) as server:
        command = order_log(SweepPaths(tmp_path, "s"), server.url)
        first, second = new_order("pause"), new_order("resume")
        answer = answer_to(first, "paused")
        command.append(first)
        trials = DatabaseTrials(server.url, "s")
        assert _read_until(trials.orders, first) == [first]
        server.stop()
        with pytest.raises(ConfigError, match="--storage: cannot use that database"):
            command.append(second)
        with pytest.raises(ConfigError, match="--storage: cannot use that database"):
            command.read()
        trials.orders.append(answer)
        time.sleep(0.5)
        assert trials.orders.read() == []
        server.start()
        command.append(second)
        assert second in _read_until(trials.orders, second)
        assert trials.read_last()
        found = command.read()
        assert found[0] == first
        assert sorted(map(repr, found[1:])) == sorted(map(repr, [answer, second]))


def _read_until(log: OrderLog, last: Entry, seconds: float = 30) -> list[Entry]:
    """Reads entries until one has come; returns them."""
    found, deadline = list[Entry](), time.monotonic() + seconds
    while last not in found:
        assert time.monotonic() < deadline, found
        found += log.read()
        time.sleep(0.02)
    return found


def test_machines_agree_on_the_number_that_was_ordered_last(server: Postgres, tmp_path: Path) -> None:
    sweep = SharedSweep(server.url, f"s{uuid.uuid4().hex[:7]}")
    launch = LaunchFile("local", None, "toy", None, (), 1, None, "disabled", None, None, str(tmp_path), 10)
    spec = sweep_from_dict({"method": "random", "parameters": {"x": {"min": 0.0, "max": 1.0}}})

    def told(described: LaunchFile, *, joining: bool = False) -> tuple[int, str | None]:
        sweep.describe(spec, described, WarmStart(), joining=joining)
        found = sweep.join("--sweep_id")[1]
        return found.target, found.counted

    assert sweep.orders() == []
    assert told(launch) == (10, None)
    assert told(replace(launch, target=7), joining=True) == (10, None)  # nothing is forgotten that was asked for
    assert told(replace(launch, target=4, counted="order1"), joining=True) == (4, "order1")
    assert told(replace(launch, target=6, counted="order1")) == (6, "order1")
    sweep.database.engine.dispose()
