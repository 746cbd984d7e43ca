"""The server ends trials and sweeps: stop, early termination, pause, cancel, delete."""

from __future__ import annotations

import itertools
import json
import signal
import time
from pathlib import Path

import pytest

from tests.sweeping import processes_with
from tests.wandb_server import start_server
from tests.wandb_server.launching import end_of, grid, new_sweep, orders, read_until, runs, started, steps, sweep, until


def test_a_stopped_trial_is_gone_within_five_seconds_even_if_it_is_silent_and_deaf(tmp_path: Path) -> None:
    # The first point ignores SIGTERM and prints nothing more; the second is an ordinary trial.
    definition = grid(0.0001, parameters={"TOY.MODE": {"values": ["deaf", "train"]}})
    with start_server() as server, started(server, tmp_path, *new_sweep(tmp_path, definition)) as launcher:
        read_until(launcher, "TOY.MODE=deaf")  # the launcher's line
        read_until(launcher, "deaf")  # the trial's
        marker = str(tmp_path / "log")
        until(lambda: [run.state for run in runs(server)] == ["running"])
        run = runs(server)[0]
        pids = [pid for pid in processes_with("TOY.MODE") if pid in processes_with(marker)]
        assert pids
        server.control.stop_run(run.name)
        pressed = time.monotonic()
        until(lambda: not set(pids) & set(processes_with(marker)))
        assert time.monotonic() - pressed < 5.0
        code, out = end_of(launcher)
        assert code == 0, out
        first, second = runs(server)
        summary = json.loads(first.summary)
        assert (first.state, first.exit_code) == ("finished", 0)
        assert summary["sweep/stopped_early"] is True
        assert summary["sweep/state"] == "stopped"
        # The next trial starts only after that: its first message follows the last one of the stopped trial.
        order = [request.run for request in server.record.requests("file_stream")]
        assert order.index(second.name) > max(place for place, name in enumerate(order) if name == first.name)
        assert second.state == "finished"
        assert "sweep/stopped_early" not in json.loads(second.summary)


@pytest.mark.slow
def test_a_run_of_the_local_controller_that_is_stopped_on_its_page_is_stopped(tmp_path: Path) -> None:
    # The client would interrupt the agent, whose trial would be tried again.
    words = ("--controller", "local", "--wandb-mode", "online", "SOLVER.MAX_EPOCHS", "200", "TOY.SECONDS", "0.2")
    often = {"WANDB_X_FILE_STREAM_TRANSMIT_INTERVAL": "1"}
    with (
        start_server() as server,
        started(server, tmp_path, *new_sweep(tmp_path, grid(0.0001), *words), env=often) as launcher,
    ):
        until(lambda: any(run.rows for run in runs(server)))
        server.control.stop_run(runs(server)[0].name)  # the client asks every 15 s
        code, out = end_of(launcher)
        assert code == 0, out
        (run,) = runs(server)
        summary = json.loads(run.summary)
        assert (run.state, summary["sweep/state"], summary["sweep/stopped_early"]) == ("finished", "stopped", True)
        assert "stopped by the W&B server" in summary["sweep/reason"]


def test_early_termination_by_the_server_keeps_the_last_rows(tmp_path: Path) -> None:
    definition = grid(0.00034, 0.00035, 0.01, early_terminate={"type": "hyperband", "min_iter": 1, "eta": 2})
    words = new_sweep(tmp_path, definition, "SOLVER.MAX_EPOCHS", "40", "TOY.SECONDS", "0.04")
    often = {"WANDB_X_FILE_STREAM_TRANSMIT_INTERVAL": "1"}  # the client's default is 15 s
    with start_server() as server, started(server, tmp_path, *words, env=often) as launcher:
        code, out = end_of(launcher, 120)
        assert code == 0, out
        (folder,) = (tmp_path / "log" / "sweep" / "sweep").iterdir()
        states = []
        for run in runs(server):
            states.append(json.loads(run.summary)["sweep/state"])
            rows = (folder / run.title / "metrics.jsonl").read_text().splitlines()
            assert steps(run) == list(range(len(rows)))
        assert states[0] == "finished"
        assert "stopped" in states[1:]
        beats = [(request.time, request.body["runState"]) for request in server.record.requests("Heartbeat")]
        busy = [later - earlier for (earlier, run), (later, same) in itertools.pairwise(beats) if run == same != "{}"]
        assert len(busy) >= 2
        assert min(busy) > 1.0  # while a trial runs, none comes sooner


def test_pause_waits_resume_goes_on_cancel_ends_the_trial(tmp_path: Path) -> None:
    definition = grid(0.0001, 0.0002, 0.0003, 0.0004)
    words = ("SOLVER.MAX_EPOCHS", "1000", "TOY.SECONDS", "0.3")
    with start_server() as server, started(server, tmp_path, *new_sweep(tmp_path, definition, *words)) as launcher:
        read_until(launcher, "Epoch[1]")
        (sweep,) = server.state.sweeps.values()
        server.control.set_sweep_state(sweep.name, "PAUSED")
        read_until(launcher, "paused on W&B: the running trial goes on, no further one starts")
        server.control.stop_run(runs(server)[0].name)
        until(lambda: runs(server)[0].state == "finished")
        asked = len(server.record.requests("GetSweepState"))
        until(lambda: len(server.record.requests("GetSweepState")) >= asked + 3)
        assert len(runs(server)) == 1
        server.control.set_sweep_state(sweep.name, "RUNNING")
        resumed = time.monotonic()
        read_until(launcher, "resumed on W&B: trials start again")
        read_until(launcher, "▶")
        assert time.monotonic() - resumed < 10.0
        read_until(launcher, "Epoch[1]")
        server.control.set_sweep_state(sweep.name, "CANCELED")
        cancelled = time.monotonic()
        code, out = end_of(launcher)
        assert time.monotonic() - cancelled < 10.0
        assert code == 130, out
        assert "cancelled on W&B: ending the running trial" in out
        assert [run.state for run in runs(server)] == ["finished", "killed"]
        ended = [json.loads(run.summary) for run in runs(server)]
        assert [summary["sweep/state"] for summary in ended] == ["stopped", "killed"]
        assert ended[1]["sweep/reason"] == "cancelled on W&B"
        assert orders(tmp_path) == [("pause", "wandb"), ("resume", "wandb"), ("cancel", "wandb")]


@pytest.mark.slow
def test_a_sweep_that_was_cancelled_on_its_page_is_resumed_by_its_id(tmp_path: Path) -> None:
    words = new_sweep(tmp_path, grid(0.0001, 0.0002), "SOLVER.MAX_EPOCHS", "4", "TOY.SECONDS", "0.3")
    with start_server() as server:
        with started(server, tmp_path, *words) as launcher:
            read_until(launcher, "Epoch[2]")
            (made,) = server.state.sweeps.values()
            server.control.set_sweep_state(made.name, "CANCELED")
            code, out = end_of(launcher)
            assert code == 130 and "cancelled on W&B" in out, out
        assert [run.state for run in runs(server)] == ["killed"]
        again = sweep(server, tmp_path, "--sweep_id", made.name)
        assert again.code == 0, again.out + again.err
        assert f"tester/p/{made.name} is running on the W&B server now (it was canceled)" in again.out
        assert [(run.state, run.starts) for run in runs(server)] == [("finished", 2), ("finished", 1)]
        assert again.summary["counts"] == {"finished": 2}
        assert orders(tmp_path) == [("cancel", "wandb"), ("resume", "command")]


@pytest.mark.slow
def test_a_pause_that_lasts_is_told_and_ctrl_c_ends_it(tmp_path: Path) -> None:
    with start_server() as server:
        name = sweep(server, tmp_path, *new_sweep(tmp_path, grid(), "--count", "1")).dir.name
        server.control.set_sweep_state(name, "PAUSED")
        began = len(server.record.requests("Heartbeat"))
        with started(server, tmp_path, "--sweep_id", name) as launcher:
            read_until(launcher, "paused on W&B: no trial runs here, no further one starts")
            beats = [request.time for request in server.record.requests("Heartbeat")[began:]]
            assert (beats[-1] - beats[0]) / (len(beats) - 1) > 0.99
            launcher.send_signal(signal.SIGINT)
            told = time.monotonic()
            code, out = end_of(launcher, 30)
            assert time.monotonic() - told < 5.0
            assert code == 130, out
        assert len(runs(server)) == 1
        server.control.set_sweep_state(name, "RUNNING")
        assert sweep(server, tmp_path, "--sweep_id", name).summary["counts"] == {"finished": 3}


def test_a_deleted_sweep_ends_the_agent_after_the_running_trial(tmp_path: Path) -> None:
    words = ("SOLVER.MAX_EPOCHS", "3", "TOY.SECONDS", "0.8")
    with start_server() as server, started(server, tmp_path, *new_sweep(tmp_path, grid(), *words)) as launcher:
        read_until(launcher, "Epoch[1]")
        (sweep,) = server.state.sweeps.values()
        server.control.delete_sweep(sweep.name)
        code, out = end_of(launcher)
        assert code == 1, out
        assert "the sweep does not exist on the W&B server any more" in out
        (run,) = runs(server)
        assert run.state == "finished"
        assert len(steps(run)) == 12  # three epochs of three rows and a validation
