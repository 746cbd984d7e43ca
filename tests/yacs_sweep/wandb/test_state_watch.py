"""One agent of a folder asks the server for the sweep's state, and writes down what somebody has changed there."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import pytest

from tests.wandb_server import WandbServer
from tests.wandb_server.launching import grid, orders_of, until
from yacs_sweep.records.control.order_file import OrderFile
from yacs_sweep.records.control.orders import new_order
from yacs_sweep.records.folder import SweepPaths
from yacs_sweep.wandb import state_watch
from yacs_sweep.wandb.client import Transport
from yacs_sweep.wandb.state_watch import StateWatch


def test_the_watch_writes_what_it_sees(server: WandbServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_watch, "PERIOD", 0.1)
    monkeypatch.setattr(state_watch, "PAUSED_PERIOD", 0.1)
    sweep = server.state.create_sweep("", grid(), "tester", "p")
    here = SweepPaths(tmp_path / "log", sweep.name)
    here.agents.mkdir(parents=True)
    # A sweep that had ended before is not stopped now.
    server.control.set_sweep_state(sweep.name, "FINISHED")
    watch = StateWatch(here, "p", "tester")
    until(lambda: len(server.record.requests("GetSweepState")) >= 2, 30)
    watch.close()
    assert orders_of(here) == []
    server.control.set_sweep_state(sweep.name, "RUNNING")
    watches = [StateWatch(here, "p", "tester"), StateWatch(here, "p", "tester")]
    try:
        server.control.set_sweep_state(sweep.name, "PAUSED")
        until(lambda: orders_of(here) == [("pause", "wandb")], 30)
        with server.outage():
            time.sleep(0.3)
        server.control.set_sweep_state(sweep.name, "RUNNING")
        until(lambda: orders_of(here)[1:] == [("resume", "wandb")], 30)
        # A pause by command is in the log before it is on the server, and is not taken back meanwhile.
        OrderFile(here).append(new_order("pause"))
        asked = len(server.record.requests("GetSweepState"))
        until(lambda: len(server.record.requests("GetSweepState")) >= asked + 3, 30)
        assert orders_of(here)[2:] == [("pause", "command")]
        times = [request.time for request in server.record.requests("GetSweepState")]
        assert min(later - earlier for earlier, later in itertools.pairwise(times)) > 0.09  # one of them asks
        # Whoever is stopped asks by which order, and writes it down once.
        server.control.set_sweep_state(sweep.name, "CANCELED")
        why = [watch.why_ended(Transport()) for watch in watches]
        assert [order and (order.act, order.origin) for order in why] == [("cancel", "on W&B")] * 2
        assert orders_of(here)[3:] == [("cancel", "wandb")]
    finally:
        for watch in watches:
            watch.close()


def test_an_agent_that_begins_in_a_paused_sweep_sees_that_it_was_cancelled(
    server: WandbServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state_watch, "PAUSED_PERIOD", 0.1)
    sweep = server.state.create_sweep("", grid(), "tester", "p")
    here = SweepPaths(tmp_path / "log", sweep.name)
    here.agents.mkdir(parents=True)
    OrderFile(here).append(new_order("pause"))
    server.control.set_sweep_state(sweep.name, "CANCELED")
    watch = StateWatch(here, "p", "tester")
    try:
        until(lambda: orders_of(here) == [("pause", "command"), ("cancel", "wandb")], 60)
    finally:
        watch.close()
