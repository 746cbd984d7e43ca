"""The state of a sweep on the server: changed by orders of ours, and what others have changed there is an order in the log."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.launches import sweep_folder
from tests.wandb_server import WandbServer
from tests.wandb_server.launching import grid, orders_of
from tests.wandb_server.model import Sweep
from yacs_sweep.base.errors import ConfigError
from yacs_sweep.records.control.order_file import OrderFile
from yacs_sweep.records.control.orders import Act, Order, new_order
from yacs_sweep.records.folder import SweepPaths
from yacs_sweep.records.launch_file import LaunchFile
from yacs_sweep.serve.orders import give_order
from yacs_sweep.wandb import sweep_states
from yacs_sweep.wandb.ask_client import WandbUnavailable
from yacs_sweep.wandb.sweep_states import ServerState, StateLog, change_state, count_limit


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client runs in this process, which is faster."""
    monkeypatch.setattr(sweep_states, "ask_bounded", lambda function, words, *rest: function(**words))


@pytest.fixture
def paths(tmp_path: Path) -> SweepPaths:
    paths = SweepPaths(tmp_path / "log", "k3v9x2ab")
    paths.agents.mkdir(parents=True)
    return paths


def made(server: WandbServer) -> Sweep:
    """A sweep of three points on the server."""
    return server.state.create_sweep("", grid(), "tester", "p")


def ordered(paths: SweepPaths, act: Act) -> Order:
    """An order of a command that is in the log."""
    order = new_order(act)
    OrderFile(paths).append(order)
    return order


# -- orders of ours ---------------------------------------------------------------------------------------------------
@pytest.mark.usefixtures("in_process")
def test_our_orders_change_the_server_and_the_log(server: WandbServer, paths: SweepPaths) -> None:
    sweep = made(server)
    path = f"tester/p/{sweep.name}"
    given: list[tuple[Act, str, str]] = [
        ("pause", "PAUSED", "is paused on the W&B server now (it was running)"),
        ("pause", "PAUSED", "is paused on the W&B server already"),
        ("resume", "RUNNING", "is running on the W&B server now (it was paused)"),
        ("stop", "FINISHED", "is finished on the W&B server now (it was running)"),
        ("cancel", "FINISHED", "is finished on the W&B server, and stays so there"),
        ("resume", "RUNNING", "is running on the W&B server now (it was finished)"),
        ("cancel", "CANCELED", "is canceled on the W&B server now (it was running)"),
    ]
    for act, state, line in given:
        assert change_state(path, new_order(act), paths) == f"{path} {line}"
        assert sweep.state == state
    assert orders_of(paths) == [(act, "command") for act, _, _ in given]
    assert change_state(sweep.name, new_order("resume"), None, project="p", entity="tester").startswith(path)


@pytest.mark.usefixtures("in_process")
def test_what_the_server_does_not_take_is_no_order(server: WandbServer, paths: SweepPaths) -> None:
    sweep = made(server)
    with pytest.raises(ConfigError, match=r"--pause tester/p/nowhere: no sweep tester/p/nowhere on the W&B server"):
        change_state("tester/p/nowhere", new_order("pause"), paths, option="--pause")
    with pytest.raises(ConfigError, match=r"--pause a/b/c/d: write ID, PROJECT/ID or ENTITY/PROJECT/ID"):
        change_state("a/b/c/d", new_order("pause"), paths, option="--pause")
    sweep.state = "CANCELED"
    with pytest.raises(
        ConfigError, match=r"--pause \S+: the sweep is canceled on the W&B server, so it cannot be paused"
    ):
        change_state(f"tester/p/{sweep.name}", new_order("pause"), paths, option="--pause")
    assert orders_of(paths) == []


def test_a_server_that_is_not_there_is_one_clear_line(
    server: WandbServer, paths: SweepPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    began = time.monotonic()
    with pytest.raises(WandbUnavailable, match=r"^W&B at http://127\.0\.0\.1:9 cannot be used: .*refused"):
        change_state("tester/p/abc", new_order("pause"), paths)
    assert orders_of(paths) == [] and time.monotonic() - began < 45


def test_a_run_cap_bounds_the_count() -> None:
    assert count_limit(None, 9) is None and count_limit(9, 9) is None
    assert count_limit(5, 9) == ("the W&B server gives out 5 trials of this sweep (run_cap), so it does not reach 9")


# -- what others change on the server ---------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("log", "state", "added"),
    [
        ([], "RUNNING", []),
        ([], "PAUSED", ["pause"]),
        (["pause"], "PAUSED", []),
        (["pause"], "RUNNING", ["resume"]),
        (["pause", "resume"], "PAUSED", ["pause"]),
        (["stop"], "FINISHED", ["stop"]),  # it has been resumed since
        (["cancel"], "CANCELED", ["cancel"]),
        ([], "PENDING", []),
    ],
)
def test_the_log_follows_the_server_once(paths: SweepPaths, log: list[Act], state: str, added: list[str]) -> None:
    for act in log:
        ordered(paths, act)
    logs = [StateLog(paths), StateLog(paths)]  # of two agents
    for each in (*logs, *logs):
        each.note(ServerState(state))
    assert orders_of(paths)[len(log) :] == [(act, "wandb") for act in added]


def test_a_sweep_that_finished_by_itself_was_not_stopped(paths: SweepPaths) -> None:
    assert StateLog(paths).note(ServerState("FINISHED", complete=True)) is None
    assert orders_of(paths) == []


def test_a_command_is_named_for_what_it_has_done_on_the_server(paths: SweepPaths) -> None:
    log = StateLog(paths)
    order = ordered(paths, "cancel")
    assert log.note(ServerState("CANCELED")) == order
    assert orders_of(paths) == [("cancel", "command")]


@pytest.mark.usefixtures("in_process")
def test_orders_of_the_served_page_change_the_server(server: WandbServer, tmp_path: Path) -> None:
    sweep = made(server)
    paths = sweep_folder(tmp_path / "log", sweep.name)
    replace(LaunchFile.load(paths), controller="wandb", project="p", entity="tester").save(paths)
    given = [("pause", "PAUSED", "paused"), ("resume", "RUNNING", "running"), ("cancel", "CANCELED", "canceled")]
    for act, state, word in given:
        status, lines = give_order(paths, None, json.dumps({"act": act}).encode())
        assert (status, sweep.state) == (200, state)
        assert lines[0].startswith(f"tester/p/{sweep.name} is {word} on the W&B server now")
    status, lines = give_order(paths, None, b'{"act": "add_points", "text": "- {lr: 0.01}"}')
    assert status == 422 and "the W&B server chooses the points" in lines[0]
    assert orders_of(paths) == [(act, "page") for act, _, _ in given]


# -- `wandb sweep`, and this client's own words -----------------------------------------------------------------------
def test_the_client_changes_the_state_as_we_do(server: WandbServer, tmp_path: Path) -> None:
    """The query and the mutation of `wandb sweep --pause` have our variables and values."""
    sweep = made(server)
    path = f"tester/p/{sweep.name}"
    for flag, state in (("--pause", "PAUSED"), ("--stop", "FINISHED")):
        words = [sys.executable, "-m", "wandb", "sweep", flag, path]
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0 and sweep.state == state, done.stdout + done.stderr
    theirs = [json.dumps(request.body, sort_keys=True) for request in server.record.requests("UpsertSweep")]
    sweep.state = "RUNNING"
    acts: list[Act] = ["pause", "stop"]
    for act in acts:
        change_state(path, new_order(act))
    ours = [json.dumps(request.body, sort_keys=True) for request in server.record.requests("UpsertSweep")]
    assert len(theirs) == 2 and ours[2:] == theirs
