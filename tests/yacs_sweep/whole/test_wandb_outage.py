"""A W&B server that is not there, or fails: before the sweep, in its middle, at a trial's ends, for too long."""

from __future__ import annotations

import json
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.wandb_server import WandbServer, start_server
from tests.wandb_server.launching import (
    end_of,
    environment,
    grid,
    new_sweep,
    read_until,
    runs,
    started,
    steps,
    sweep,
    until,
)
from yacs_sweep.spec.read_sweep import sweep_from_dict
from yacs_sweep.wandb import sweeps
from yacs_sweep.wandb.client import OUTAGE_VARIABLE, reason_of

SLOW = ("SOLVER.MAX_EPOCHS", "3", "TOY.SECONDS", "0.25")  # a trial of two seconds, twelve rows
ROWS = list(range(12))
OFTEN = {"WANDB_X_FILE_STREAM_TRANSMIT_INTERVAL": "1"}  # rows go out every second; the client's default is 15 s
SHORT = {OUTAGE_VARIABLE: "6"}


def states(server: WandbServer) -> list[str]:
    return [run.state for run in runs(server)]


def metrics(folder: Path) -> list[list[int]]:
    """The steps in every trial's metrics.jsonl, by trial number."""
    trials = [path.parent for path in folder.glob("log/sweep/sweep/*/*/trial.json")]
    trials.sort(key=lambda path: int(json.loads((path / "trial.json").read_text())["number"]))
    return [[json.loads(line)["step"] for line in (path / "metrics.jsonl").read_text().splitlines()] for path in trials]


# -- at the start -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"status": 503}, "HTTP 503"),
        ({"status": 401}, "401"),
        ({"status": 500, "operation": "UpsertSweep"}, "HTTP 500"),
        pytest.param({"status": 429, "retry_after": 30.0}, "no answer in time", marks=pytest.mark.slow),
        pytest.param({"status": 502}, "HTTP 502", marks=pytest.mark.slow),
        pytest.param({"kind": "drop"}, "EOF", marks=pytest.mark.slow),
        pytest.param({"kind": "delay", "delay": 60.0}, "no answer in time", marks=pytest.mark.slow),
    ],
)
def test_a_server_that_fails_at_the_start(tmp_path: Path, fault: dict[str, Any], reason: str) -> None:
    with start_server() as server:
        server.control.add_fault(**fault)
        words = new_sweep(tmp_path, grid(0.0001))
        began = time.monotonic()
        insisted = sweep(server, tmp_path, *words, "--controller", "wandb")
        assert time.monotonic() - began < 60
        assert insisted.code == 2, insisted.out + insisted.err
        line = insisted.err.splitlines()[-1]
        assert line.startswith("error: ")
        assert reason in line
        assert not (tmp_path / "log").exists()
        assert not server.state.sweeps


@pytest.mark.parametrize("refused", [False, True])
def test_without_a_server_or_a_valid_key_auto_takes_the_embedded_controller(tmp_path: Path, refused: bool) -> None:
    with start_server() as server:
        if refused:
            server.control.revoke_keys()
        else:
            server.close()
        began = time.monotonic()
        ran = sweep(server, tmp_path, *new_sweep(tmp_path, grid(0.0001)))
        assert time.monotonic() - began < 60
        assert ran.code == 0, ran.out + ran.err
        assert "warning: W&B at http://127.0.0.1" in ran.out
        assert "using the local controller instead (--controller wandb makes this an error)" in ran.out
        assert ran.summary["controller"] == "local"
        assert ran.summary["counts"] == {"finished": 1}
        assert not server.state.sweeps
        if not refused:
            server.reopen()


def test_a_refused_sweep_is_told_and_nothing_is_created(tmp_path: Path) -> None:
    with start_server() as server:
        server.control.add_fault(status=400, operation="UpsertSweep")
        ran = sweep(server, tmp_path, *new_sweep(tmp_path, grid(0.0001)))
        assert ran.code == 2, ran.out + ran.err
        assert "W&B refuses the sweep" in ran.err
        assert not (tmp_path / "log").exists()


def test_a_lost_answer_to_the_creation_is_told(tmp_path: Path) -> None:
    with start_server() as server:
        server.control.add_fault(kind="drop_after", operation="UpsertSweep", count=1)
        ran = sweep(server, tmp_path, *new_sweep(tmp_path, grid(0.0001)))
        assert ran.code == 0, ran.out + ran.err
        first, second = (found.name for found in server.state.sweeps.values())
        assert {ran.dir.name} < {first, second}
        (other,) = {first, second} - {ran.dir.name}
        assert re.search(rf"warning: .* created {other} as well; {ran.dir.name} is used", ran.out)


@pytest.mark.slow
def test_a_slow_answer_to_the_creation_makes_one_sweep(tmp_path: Path) -> None:
    """So slow that the plain client has asked again."""
    with start_server() as server:
        server.control.add_fault(kind="delay", delay=25.0, operation="UpsertSweep")
        ran = sweep(server, tmp_path, *new_sweep(tmp_path, grid(0.0001)))
        assert ran.code == 0, ran.out + ran.err
        assert "waiting for W&B, for 150 s at most" in ran.err
        assert [found.name for found in server.state.sweeps.values()] == [ran.dir.name]
        assert "as well" not in ran.out


def test_a_creation_that_is_given_up_says_that_it_may_have_come_about(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeps, "SILENT_WAIT", 0.5)
    monkeypatch.setattr(sweeps, "CALL_TIMEOUT", 6.0)
    with start_server() as server:
        for name, value in environment(server, tmp_path).items():
            monkeypatch.setenv(name, value)
        server.control.add_fault(kind="delay", delay=30.0, operation="UpsertSweep")
        with pytest.raises(sweeps.WandbUnavailable, match="may have created the sweep all the same"):
            sweeps.create_sweep(sweep_from_dict(grid(), "y"), "p", "tester")
        assert server.record.requests("UpsertSweep")


# -- in the middle ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_outages_of_all_kinds_in_the_middle_cost_nothing(tmp_path: Path) -> None:
    """One a trial, from its middle to its end and a little beyond."""
    faults: list[dict[str, Any]] = [
        {},  # nobody listens
        {"status": 503},
        {"status": 429, "retry_after": 1.0},
        {"kind": "drop"},
        {"kind": "delay", "delay": 3.0},
        {"status": 401},
    ]
    words = new_sweep(tmp_path, grid(*(n / 1e4 for n in range(1, 7))), *SLOW)
    with start_server() as server, started(server, tmp_path, *words, env={**OFTEN, OUTAGE_VARIABLE: "60"}) as launcher:
        for fault in faults:
            read_until(launcher, "▶")
            read_until(launcher, "Epoch[2]")
            if fault:
                server.control.add_fault(**fault)
            else:
                server.close()
            read_until(launcher, "✓")  # it trains on, to its end
            if not fault:
                server.reopen()
            server.control.clear_faults()
        code, out = end_of(launcher)
        assert code == 0, out
        assert states(server) == ["finished"] * 6
        assert [steps(run) for run in runs(server)] == metrics(tmp_path) == [ROWS] * 6


def test_an_outage_when_a_trial_starts_costs_nothing(tmp_path: Path) -> None:
    words = new_sweep(tmp_path, grid(0.0001, 0.0002), *SLOW)
    with start_server() as server, started(server, tmp_path, *words, env={OUTAGE_VARIABLE: "60"}) as launcher:
        # The run is handed out, and cannot be opened before its trial has ended.
        for operation in ("RunResumeStatus", "UpsertBucket", "file_stream"):
            server.control.add_fault(operation=operation, status=503)
        read_until(launcher, "✓")
        server.control.clear_faults()
        code, out = end_of(launcher)
        assert code == 0, out
        assert states(server) == ["finished", "finished"]
        assert [steps(run) for run in runs(server)] == [ROWS, ROWS]
        assert (tmp_path / "log/sweep/sweep").glob(f"*/{runs(server)[0].name}")  # its id was its name


@pytest.mark.slow
def test_no_server_for_half_a_minute_when_a_trial_starts_costs_nothing(tmp_path: Path) -> None:
    """Longer than the plain agent's client tries: that one loses the trial and waits for ever."""
    words = new_sweep(tmp_path, grid(0.0001, 0.0002), *SLOW)
    with start_server() as server, started(server, tmp_path, *words, env={OUTAGE_VARIABLE: "90"}) as launcher:
        read_until(launcher, "✓")
        with server.outage():
            time.sleep(30)
        code, out = end_of(launcher)
        assert code == 0, out
        assert "W&B answers again" in out
        assert [steps(run) for run in runs(server)] == [ROWS, ROWS]


def test_a_refusal_after_which_the_client_sends_nothing_is_noticed(tmp_path: Path) -> None:
    words = new_sweep(tmp_path, grid(0.0001, 0.0002), *SLOW)
    with start_server() as server, started(server, tmp_path, *words, env={**OFTEN, OUTAGE_VARIABLE: "60"}) as launcher:
        read_until(launcher, "Epoch[2]")
        server.control.add_fault(operation="file_stream", status=403, count=1)
        code, out = end_of(launcher)
        assert code == 0, out
        assert "403" in {str(request.status) for request in server.record.requests("file_stream")}
        assert states(server) == ["finished", "finished"]
        assert [steps(run) for run in runs(server)] == [ROWS, ROWS]
        assert runs(server)[0].starts == 1  # it never stopped running, until all was there


def test_a_killed_service_process_of_the_client_costs_nothing(tmp_path: Path) -> None:
    words = new_sweep(tmp_path, grid(0.0001, 0.0002), *SLOW)
    with start_server() as server, started(server, tmp_path, *words, env={**OFTEN, OUTAGE_VARIABLE: "60"}) as launcher:
        read_until(launcher, "Epoch[2]")
        (folder,) = (tmp_path / "log/sweep/sweep").iterdir()
        agent = next(words for path in (folder / "agents").glob("*.lock") if (words := path.read_text().split()))[1]
        assert subprocess.run(["pkill", "-KILL", "-P", agent, "wandb-core"], check=False).returncode == 0
        code, out = end_of(launcher)
        assert code == 0, out
        assert states(server) == ["finished", "finished"]
        assert [steps(run) for run in runs(server)] == [ROWS, ROWS]


# -- for too long -------------------------------------------------------------------------------------------------------


def test_rows_of_too_long_an_outage_are_kept_and_the_command_shown_uploads_them(tmp_path: Path) -> None:
    words = new_sweep(tmp_path, grid(0.0001, 0.0002), *SLOW)
    with start_server() as server, started(server, tmp_path, *words, env={**OFTEN, **SHORT}) as launcher:
        read_until(launcher, "Epoch[2]")
        until(lambda: runs(server)[0].rows)
        with server.outage():
            ended = time.monotonic()
            code, out = end_of(launcher, 60)
            assert time.monotonic() - ended < 45
        assert code == 1, out
        assert metrics(tmp_path) == [ROWS]
        (command,) = re.findall(r"wandb sync --include-online .*", out)
        assert runs(server)[0].state == "running"
        program = [sys.executable, "-m", "wandb", *shlex.split(command)[1:]]
        done = subprocess.run(program, env=environment(server, tmp_path), capture_output=True, text=True, timeout=180)
        assert done.returncode == 0, done.stdout + done.stderr
        (run,) = runs(server)
        assert run.state == "finished"
        assert set(steps(run)) == set(ROWS)
        assert json.loads(run.summary)["sweep/state"] == "finished"


@pytest.mark.slow
def test_going_on_after_too_long_an_outage_sends_what_is_missing_once(tmp_path: Path) -> None:
    words = new_sweep(tmp_path, grid(0.0001, 0.0002), *SLOW)
    with start_server() as server:
        with started(server, tmp_path, *words, env={**OFTEN, **SHORT}) as launcher:
            read_until(launcher, "Epoch[2]")
            until(lambda: runs(server)[0].rows)
            with server.outage():
                code, out = end_of(launcher, 60)
        assert code == 1, out
        (folder,) = (tmp_path / "log/sweep/sweep").iterdir()
        assert f"--sweep_id {folder.name}" in out
        again = sweep(server, tmp_path, "--sweep_id", folder.name)
        assert again.code == 0, again.out + again.err
        assert "W&B has everything now" in again.out
        assert states(server) == ["finished", "finished"]
        assert [steps(run) for run in runs(server)] == metrics(tmp_path)
        assert steps(runs(server)[0]) == ROWS
        assert again.summary["counts"] == {"finished": 2}


@pytest.mark.slow
def test_a_sweep_that_has_ended_on_the_server_still_gets_the_rows_it_lacks(tmp_path: Path) -> None:
    words = new_sweep(tmp_path, grid(0.0001, 0.0002), *SLOW)
    with start_server() as server:
        with started(server, tmp_path, *words, env={**OFTEN, **SHORT}) as launcher:
            read_until(launcher, "Epoch[2]")
            with server.outage():
                end_of(launcher, 60)
        (folder,) = (tmp_path / "log/sweep/sweep").iterdir()
        server.control.set_sweep_state(folder.name, "FINISHED")
        again = sweep(server, tmp_path, "--sweep_id", folder.name)
        assert again.code == 0, again.out + again.err
        assert "the sweep is finished on the W&B server, which lacks rows of some trials: they are sent" in again.out
        (run,) = runs(server)
        assert (run.state, steps(run)) == ("finished", ROWS)
        # Now it has them.
        assert sweep(server, tmp_path, "--sweep_id", folder.name).code == 2


@pytest.mark.slow
def test_ctrl_c_in_an_outage_ends_in_time_and_says_how_to_upload(tmp_path: Path) -> None:
    words = new_sweep(tmp_path, grid(0.0001), "SOLVER.MAX_EPOCHS", "100", "TOY.SECONDS", "0.25")
    with start_server() as server:
        with started(server, tmp_path, *words, env=OFTEN) as launcher:
            read_until(launcher, "Epoch[2]")
            with server.outage():
                time.sleep(3.0)
                launcher.send_signal(signal.SIGINT)
                began = time.monotonic()
                code, out = end_of(launcher, 60)
                assert time.monotonic() - began < 20.0
        assert code == 130, out
        assert "wandb sync --include-online" in out
        (folder,) = (tmp_path / "log/sweep/sweep").iterdir()
        assert f"--sweep_id {folder.name}" in out
        again = sweep(server, tmp_path, "--sweep_id", folder.name, "SOLVER.MAX_EPOCHS", "1")
        assert again.code == 0, again.out + again.err
        (run,) = runs(server)
        assert run.state == "finished"
        assert [steps(run)] == metrics(tmp_path)


@pytest.mark.slow
def test_a_run_that_could_never_be_opened_is_kept_for_upload(tmp_path: Path) -> None:
    words = new_sweep(tmp_path, grid(0.0001, 0.0002))
    with start_server() as server, started(server, tmp_path, *words, env=SHORT) as launcher:
        for operation in ("RunResumeStatus", "UpsertBucket", "file_stream", "Heartbeat"):
            server.control.add_fault(operation=operation, status=503, skip=1 if operation == "Heartbeat" else 0)
        code, out = end_of(launcher)
        assert code == 1, out
        assert "W&B did not answer for 6 s" in out
        server.control.clear_faults()
        (command,) = re.findall(r"wandb sync --include-online .*", out)
        program = [sys.executable, "-m", "wandb", *shlex.split(command)[1:]]
        done = subprocess.run(program, env=environment(server, tmp_path), capture_output=True, text=True, timeout=180)
        assert done.returncode == 0, done.stdout + done.stderr
        (run,) = runs(server)
        (sweep_of_run,) = server.state.sweeps.values()
        assert (run.state, run.sweep, steps(run)) == ("finished", sweep_of_run.name, list(range(8)))


def test_a_key_that_is_revoked_for_good(tmp_path: Path) -> None:
    words = new_sweep(tmp_path, grid(0.0001, 0.0002), *SLOW)
    with start_server() as server, started(server, tmp_path, *words, env={**OFTEN, **SHORT}) as launcher:
        read_until(launcher, "Epoch[2]")
        server.control.revoke_keys()
        code, out = end_of(launcher)
        assert code == 1, out
        assert "HTTP 401" in out
        assert "wandb sync --include-online" in out
        assert metrics(tmp_path) == [ROWS]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            'POST http://h/graphql giving up after 2 attempt(s): Post "http://h/graphql": dial tcp: refused\n'
            'while retrying: Post "http://h/graphql": dial tcp: refused',
            "dial tcp: refused",
        ),
        ("POST http://h/graphql giving up after 2 attempt(s)\nwhile retrying: HTTP 503: busy", "HTTP 503: busy"),
        ("Sweep x is not running", "Sweep x is not running"),
        ("1 validation error for Settings\nbase_url\n  Value error, no scheme", "base_url: Value error, no scheme"),
        ("cannot reach https://me:secret@h/x", "cannot reach https://h/x"),
        ("", "ValueError"),
    ],
)
def test_reasons_are_shown_without_the_clients_attempts(text: str, shown: str) -> None:
    assert reason_of(ValueError(text)) == shown
