"""Orders of a database are copied to the sweep's folder."""

from __future__ import annotations

from pathlib import Path

from yacs_sweep.records.control.mirror import MirroredOrders
from yacs_sweep.records.control.order_file import OrderFile
from yacs_sweep.records.control.orders import Entry, answer_to, new_order
from yacs_sweep.records.control.words import orders_given
from yacs_sweep.records.folder import SweepPaths


class Table:
    """A log that several machines share."""

    def __init__(self, entries: list[Entry]) -> None:
        self.entries, self.read_to = entries, 0

    def append(self, entry: Entry) -> None:
        self.entries.append(entry)

    def read(self) -> list[Entry]:
        new, self.read_to = self.entries[self.read_to :], len(self.entries)
        return new


def test_each_entry_is_copied_once_by_all_launches_of_a_machine(tmp_path: Path) -> None:
    paths, entries = SweepPaths(tmp_path, "x"), list[Entry]()
    paths.agents.mkdir(parents=True)
    logs = [MirroredOrders(Table(entries), OrderFile(paths)) for _ in range(2)]
    order = new_order("pause")
    logs[0].append(order)
    assert [log.read() for log in logs] == [[order], [order]]
    answer = answer_to(order, "paused")
    logs[1].append(answer)
    assert [log.read() for log in logs] == [[answer], [answer]]
    assert logs[0].read() == []
    assert OrderFile(paths).read() == [order, answer]
    later = MirroredOrders(Table(entries), OrderFile(paths))  # a launch that begins now
    assert later.read() == [order, answer]
    assert OrderFile(paths).read() == [order, answer]


def test_a_folder_that_takes_nothing_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "sweep").write_text("a file")
    order = new_order("pause")
    assert MirroredOrders(Table([order]), OrderFile(SweepPaths(tmp_path, "x"))).read() == [order]


def test_an_entry_that_stands_twice_counts_once() -> None:
    order = new_order("pause")
    answer = answer_to(order, "paused")
    (given,) = orders_given([order, order, answer, answer])
    assert given.answers == [answer]
