"""The unmodified client of the pinned version against the server, in processes of its own, as users run it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.wandb_server import WandbServer, start_server

# The pause between heartbeats is the knob that the client keeps for tests; 5 s is its default. Rows go out every 15 s
# by default; the interval is cut to whole seconds, and 0 means the default.
PRELUDE = """
import os, sys, time, wandb
from wandb.agents import pyagent
pyagent.Agent.HEARTBEAT_SLEEP_SECONDS = 0.25
settings = wandb.Settings(console="off", x_disable_stats=True, x_file_stream_transmit_interval=1)
def say(*words): print(*words, flush=True)
def make(**parameters):
    sweep = {"method": "grid", "metric": {"name": "val/mAP", "goal": "maximize"}, "parameters": parameters}
    return wandb.sweep(sweep, project="p", entity="tester")
"""


@contextmanager
def client(server: WandbServer, folder: Path, script: str) -> Iterator[subprocess.Popen[str]]:
    """A process that runs `script`; killed at the end of the block if it has not ended by itself."""
    process = subprocess.Popen(
        [sys.executable, "-c", PRELUDE + script],
        env=server.env(folder),
        cwd=folder,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def output(process: subprocess.Popen[str], timeout: float = 180) -> str:
    """All that the process says until it ends by itself, well."""
    text, _ = process.communicate(timeout=timeout)
    assert process.returncode == 0, text
    return text


def until(condition: Callable[[], bool], timeout: float = 180) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.02)


def states(server: WandbServer) -> list[str]:
    return [run["state"] for run in server.control.snapshot()["runs"].values()]


def test_a_grid_sweep_from_login_to_its_results(tmp_path: Path) -> None:
    script = """
say("login", wandb.login(verify=True))
def trial():
    with wandb.init(settings=settings) as run:
        for step in range(3):
            run.log({"val/mAP": run.config.a * step, "epoch": step})
        if run.config.b == 3:
            run.finish(exit_code=4)
sweep = make(b={"values": [1, 2, 3]}, a={"values": [0.5, 2.0]})
wandb.agent(sweep, trial, project="p", entity="tester")
result = wandb.Api().sweep(f"tester/p/{sweep}")
say("sweep", result.state, len(result.runs), result.expected_run_count, result.best_run().summary["val/mAP"])
for run in result.runs:
    say("run", run.state, run.config["a"], run.config["b"], run.summary["val/mAP"],
        *(row["epoch"] for row in run.scan_history()))
"""
    with start_server() as server, client(server, tmp_path, script) as process:
        said = output(process)
        assert "login True" in said
        assert "sweep FINISHED 6 6 4" in said
        assert [line for line in said.splitlines() if line.startswith("run ")] == [
            "run finished 0.5 1 1 0 1 2",
            "run finished 0.5 2 1 0 1 2",
            "run failed 0.5 3 1 0 1 2",
            "run finished 2 1 4 0 1 2",
            "run finished 2 2 4 0 1 2",
            "run failed 2 3 4 0 1 2",
        ]
        assert {run["exit_code"] for run in server.control.snapshot()["runs"].values()} == {0, 4}
        files = {name for run in server.control.snapshot()["runs"].values() for name in run["files"]}
        assert {"config.yaml", "wandb-summary.json", "wandb-metadata.json"} <= files
        unknown = [r.operation for r in server.record.requests() if r.status == 400]
        assert unknown == []


def test_stops_by_hyperband_and_by_hand_reach_the_function(tmp_path: Path) -> None:
    script = """
def trial():
    with wandb.init(settings=settings) as run:
        quality = run.config.quality
        try:
            for step in range(400):
                run.log({"val/mAP": quality})
                time.sleep(0.05 if quality < 3 else 0)
        except Exception as stop:
            say("stopped", quality, repr(stop))
definition = {"method": "grid", "metric": {"name": "val/mAP", "goal": "maximize"},
              "early_terminate": {"type": "hyperband", "min_iter": 2, "eta": 3},
              "parameters": {"quality": {"values": [3, 2, 2.5]}}}
sweep = wandb.sweep(definition, project="p", entity="tester")
wandb.agent(sweep, trial, project="p", entity="tester", count=3)
"""
    with start_server() as server, client(server, tmp_path, script) as process:
        until(lambda: len(states(server)) == 3)
        last = list(server.control.snapshot()["runs"])[2]
        until(lambda: states(server)[2] == "running")
        beats = len(server.record.requests("Heartbeat"))
        until(lambda: len(server.record.requests("Heartbeat")) > beats)  # by then it is inside the loop
        server.control.stop_run(last)
        said = output(process)
        assert "stopped 2 Exception()" in said
        assert "stopped 2.5 Exception()" in said
        assert states(server) == ["finished"] * 3


@pytest.mark.slow  # the launcher is tested through the same
def test_pause_resume_and_delete(tmp_path: Path) -> None:
    script = """
def trial():
    wandb.init(settings=settings).finish()
wandb.agent(make(a={"values": list(range(100))}), trial, project="p", entity="tester")
say("agent ended")
"""
    with start_server() as server, client(server, tmp_path, script) as process:
        until(lambda: "finished" in states(server))
        sweep = next(iter(server.control.snapshot()["sweeps"]))
        server.control.set_sweep_state(sweep, "PAUSED")
        until(lambda: "running" not in states(server) and "pending" not in states(server))
        held, beats = len(states(server)), len(server.record.requests("Heartbeat"))
        until(lambda: len(server.record.requests("Heartbeat")) >= beats + 4)
        assert len(states(server)) == held
        server.control.set_sweep_state(sweep, "RUNNING")
        until(lambda: len(states(server)) > held)
        server.control.delete_sweep(sweep)
        assert "agent ended" in output(process)


@pytest.mark.slow  # the launcher is tested through the same
def test_no_row_and_no_point_is_lost_to_any_kind_of_fault(tmp_path: Path) -> None:
    script = """
def trial():
    with wandb.init(settings=settings) as run:
        for step in range(5):
            run.log({"val/mAP": step})
sweep = make(a={"values": [1, 2, 3, 4]})
say("ready", sweep)
wandb.agent(sweep, trial, project="p", entity="tester", count=4)
"""
    with start_server() as server:
        for fault in (
            {"operation": "CreateAgent", "status": 500},
            {"operation": "Heartbeat", "kind": "drop_after", "count": 1},
            {"operation": "Heartbeat", "kind": "drop", "skip": 2},
            {"operation": "UpsertBucket", "status": 502},
            {"operation": "UpsertBucket", "kind": "drop_after", "skip": 1},
            {"operation": "file_stream", "status": 503},
            {"operation": "file_stream", "kind": "delay", "delay": 0.5, "skip": 1},
            {"operation": "file_stream", "kind": "drop_after", "skip": 2},
            {"operation": "CreateRunFiles", "status": 429, "retry_after": 1.0},
            {"operation": "upload", "status": 503},
        ):
            server.control.add_fault(**{"count": 1, **fault})
        with client(server, tmp_path, script) as process:
            output(process, timeout=60)
        runs = server.control.snapshot()["runs"].values()
        assert [run["point"]["a"] for run in runs] == [1, 2, 3, 4]
        assert [run["state"] for run in runs] == ["finished"] * 4
        assert [[row["val/mAP"] for row in run["rows"]] for run in runs] == [[0, 1, 2, 3, 4]] * 4
        met = {request.fault for request in server.record.requests()}
        assert met == {"", "status", "delay", "drop", "drop_after"}


def test_a_wrong_key_and_an_unknown_sweep_are_told(tmp_path: Path) -> None:
    script = """
try:
    wandb.agent("tester/p/nosuch", lambda: None)
except Exception as error:
    say("agent:", type(error).__name__, error)
os.environ["WANDB_API_KEY"] = "f" * 40
wandb.teardown()
try:
    wandb.login(verify=True)
except Exception as error:
    say("login:", type(error).__name__, error)
"""
    with start_server() as server, client(server, tmp_path, script) as process:
        said = output(process)
        assert "agent: CommError" in said
        assert "nosuch not found" in said
        assert "login: AuthenticationError" in said


def test_a_preempted_run_is_resumed_with_its_history(tmp_path: Path) -> None:
    script = """
seen = []
def trial():
    run = wandb.init(settings=settings, resume="allow")
    seen.append(run.id)
    say("trial", len(seen), "of", run.id, "from step", run.starting_step)
    run.log({"val/mAP": run.starting_step})
    if len(seen) < 3:
        run.mark_preempting()
        run.finish(exit_code=1)
wandb.agent(make(a={"values": [1]}), trial, project="p", entity="tester", count=3)
"""
    with start_server() as server, client(server, tmp_path, script) as process:
        said = output(process)
        (run,) = server.control.snapshot()["runs"].values()
        assert [line.rsplit(" ", 1)[1] for line in said.splitlines() if line.startswith("trial ")] == ["0", "1", "2"]
        assert (run["state"], run["starts"]) == ("finished", 3)
        assert [(row["_step"], row["val/mAP"]) for row in run["rows"]] == [(0, 0), (1, 1), (2, 2)]


@pytest.mark.parametrize("kind", ["refused", "dropped"])
def test_rows_survive_an_outage_in_the_middle_of_a_trial(tmp_path: Path, kind: str) -> None:
    script = """
def trial():
    with wandb.init(settings=settings) as run:
        for step in range(40):
            run.log({"val/mAP": step})
            time.sleep(0.05)
wandb.agent(make(a={"values": [1]}), trial, project="p", entity="tester", count=1)
"""
    with start_server() as server, client(server, tmp_path, script) as process:
        until(lambda: any(run["rows"] for run in server.control.snapshot()["runs"].values()))
        if kind == "refused":
            with server.outage():
                time.sleep(1.5)  # the length of the outage, not a synchronisation
        else:
            server.control.add_fault(kind="drop", duration=1.5)
        output(process)
        (run,) = server.control.snapshot()["runs"].values()
        assert [row["val/mAP"] for row in run["rows"]] == list(range(40))
        assert run["state"] == "finished"
