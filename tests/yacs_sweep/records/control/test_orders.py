"""Orders: what is written is read back, by several writers at once, and what follows from them."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest

from yacs_sweep.records.control.order_file import OrderFile
from yacs_sweep.records.control.orders import (
    Act,
    Order,
    answer_to,
    count_wanted,
    new_order,
    paused_by,
    points_added,
)
from yacs_sweep.records.folder import SweepPaths


@pytest.fixture
def paths(tmp_path: Path) -> SweepPaths:
    paths = SweepPaths(tmp_path, "abc12345")
    paths.dir.mkdir(parents=True)
    return paths


def test_an_order_and_its_answer_are_read_back_once_by_each_reader(paths: SweepPaths) -> None:
    log, other = OrderFile(paths), OrderFile(paths)
    assert log.read() == []
    order = new_order("add_points", points=[{"base_lr": 0.1, "SOLVER.NAME": "Adam"}])
    log.append(order)
    answer = answer_to(order, "1 point is tried next")
    other.append(answer)
    assert log.read() == other.read() == [order, answer]
    assert log.read() == []


@pytest.mark.parametrize(
    "line", [b"", b"{", b"[]", b'{"order": 1}', b'{"order": {"act": "fly"}}', b'{"answer": {}}', b"\xff"]
)
def test_a_damaged_line_or_one_of_another_version_is_left_out(paths: SweepPaths, line: bytes) -> None:
    log = OrderFile(paths)
    log.append(new_order("pause"))
    with open(paths.control, "ab") as file:
        file.write(line)  # a writer was killed within a line: the next one begins anew
    log.append(new_order("resume"))
    assert [entry.act for entry in log.read() if isinstance(entry, Order)] == ["pause", "resume"]


def _write(paths: SweepPaths, count: int) -> None:
    for _ in range(count):
        OrderFile(paths).append(new_order("set_workers", workers=3, now=False))


def test_several_writers_at_once_lose_no_order(paths: SweepPaths) -> None:
    writers = [multiprocessing.get_context("fork").Process(target=_write, args=(paths, 25)) for _ in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(180)
    assert len({entry.id for entry in OrderFile(paths).read() if isinstance(entry, Order)}) == 100


@pytest.mark.parametrize(
    ("acts", "paused"),
    [
        ([], False),
        (["pause"], True),
        (["pause", "set_workers"], True),
        (["pause", "resume"], False),
        (["pause", "stop"], False),
        (["pause", "resume", "pause"], True),
    ],
)
def test_a_sweep_is_paused_until_it_resumes_or_ends(acts: list[Act], paused: bool) -> None:
    orders = [new_order(act) for act in acts]
    assert (paused_by(orders) is not None) == paused


def test_the_last_count_holds_and_all_points_are_kept() -> None:
    first, second = new_order("add_points", points=[{"a": 1}]), new_order("add_points", points=[{"a": 2}])
    entries = [new_order("set_count", count=5), first, new_order("set_count", count=7), second]
    assert count_wanted({"target": 9}, entries) == 7
    assert (
        count_wanted({"target": 9, "counted": entries[2].id}, entries) == 9
    )  # which knew of it: --count has added more
    assert points_added(entries) == {first.id: [{"a": 1}], second.id: [{"a": 2}]}
    assert count_wanted({"target": 9}, []) == 9
    assert count_wanted({"target": 9, "exhausted": True}, []) == 0
    assert count_wanted({"target": 9, "exhausted": True}, entries) == 7
