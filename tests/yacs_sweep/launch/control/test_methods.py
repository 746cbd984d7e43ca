"""Orders from Python: the methods of `Sweep`."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.launches import FakeLaunch, sweep_folder
from yacs_sweep import ConfigError, Sweep
from yacs_sweep.base.errors import SweepError
from yacs_sweep.records.control.order_file import OrderFile
from yacs_sweep.records.control.orders import Order
from yacs_sweep.records.folder import SweepPaths

ID = "k3v9x2ab"


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SweepPaths:
    monkeypatch.chdir(tmp_path)
    return sweep_folder(tmp_path / "log/sweep")


def last(paths: SweepPaths) -> Order:
    return [entry for entry in OrderFile(paths).read() if isinstance(entry, Order)][-1]


def test_orders_to_a_sweep_that_runs_elsewhere(paths: SweepPaths) -> None:
    sweep = Sweep.open(ID)
    orders: list[tuple[Callable[[], list[str]], str, dict[str, Any]]] = [
        (sweep.pause, "pause", {}),
        (sweep.resume, "resume", {}),
        (lambda: sweep.stop_trial("calm-heron-2"), "stop_trial", {"trial": "calm-heron-2"}),
        (lambda: sweep.set_workers(3, now=True), "set_workers", {"workers": 3, "now": True}),
        (lambda: sweep.set_gpus([0, 1]), "set_gpus", {"gpus": ["0", "1"], "now": False}),
        (lambda: sweep.add_points([{"lr": 0.05, "optimizer": "sgd"}]), "add_points", {}),
        (lambda: sweep.set_count(30), "set_count", {"count": 30}),
        (sweep.stop, "stop", {}),
        (sweep.cancel, "cancel", {}),
    ]
    with FakeLaunch(paths):
        for give, act, given in orders:
            (line,) = give()
            assert line.startswith(f"{act} taken (")
            order = last(paths)
            assert (order.act, order.by) == (act, "python")
            assert given.items() <= order.given.items()
    (points,) = [
        entry.given["points"] for entry in OrderFile(paths).read() if getattr(entry, "act", "") == "add_points"
    ]
    assert points == [{"lr": 0.05, "optimizer": "sgd"}]


@pytest.mark.parametrize(
    ("give", "said"),
    [
        (lambda sweep: sweep.set_workers(0), "workers: 0 is not a positive whole number"),
        (lambda sweep: sweep.set_count(2.5), "count: 2.5 is not a positive whole number"),
        (lambda sweep: sweep.set_gpus("0,0"), "gpus 0,0: names GPU 0 twice"),
        (lambda sweep: sweep.stop_trial("nobody"), "name nobody: no such trial; they are listed by: "),
        (lambda sweep: sweep.add_points([{"lr": 7.0}]), "add_points: point 1: lr: "),
    ],
)
def test_wrong_values(paths: SweepPaths, give: Callable[[Sweep], Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        give(Sweep.open(ID))
    assert not paths.control.exists()


def test_what_nobody_can_do_is_an_error(paths: SweepPaths) -> None:
    with pytest.raises(SweepError, match="no launch runs that could do it"):
        Sweep.open(ID).set_workers(2)


def test_a_sweep_that_does_not_exist_yet_takes_no_orders() -> None:
    sweep = Sweep({"method": "random", "parameters": {"lr": [0.1, 0.2]}}, train=lambda params: 1.0)
    with pytest.raises(SweepError, match="has not been created yet"):
        sweep.pause()


def test_the_thread_that_runs_the_sweep_waits_for_no_answer(paths: SweepPaths) -> None:
    sweep = Sweep.open(ID)
    sweep._running_in = threading.get_ident()
    with FakeLaunch(paths, answers=False):
        (line,) = sweep.pause()
    assert "has not answered yet" in line
