"""Trials that fail, and people and machines that end them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.sweeping import command, processes_with
from tests.wandb_server import start_server
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
from yacs_sweep.cli import main
from yacs_sweep.launch.workers import supervisor
from yacs_sweep.launch.workers.worker import Worker

SLOW = ("SOLVER.MAX_EPOCHS", "3", "TOY.SECONDS", "0.25")  # a trial of two seconds


def sweep_folder(folder: Path) -> Path:
    (found,) = (folder / "log" / "sweep" / "sweep").iterdir()
    return found


def processes_below(pid: int) -> list[int]:
    """Descendants, parents before their children."""
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False).stdout.split()
    return [int(child) for child in found] + [below for child in found for below in processes_below(int(child))]


def agents_of(folder: Path) -> list[int]:
    """Process ids of the sweep's agents, from their lock files; those of others are empty."""
    words = [path.read_text().split() for path in (sweep_folder(folder) / "agents").glob("*.lock")]
    return [int(found[1]) for found in words if found]


def test_failed_trials_are_failed_runs_with_exit_code_and_last_lines(tmp_path: Path) -> None:
    parameters = {"TOY.MODE": {"values": ["crash", "exit3", "kill", "silent", "train"]}}
    definition = grid(parameters=parameters)
    with start_server() as server:
        ran = sweep(server, tmp_path, *new_sweep(tmp_path, definition, "--max-failures", "10"))
        assert ran.code == 1, ran.out + ran.err
        found = runs(server)
        assert [run.point["TOY.MODE"] for run in found] == ["crash", "exit3", "kill", "silent", "train"]
        assert [run.state for run in found] == ["failed"] * 4 + ["finished"]
        assert [run.exit_code for run in found] == [1, 3, 128 + 9, 1, 0]
        summaries = [json.loads(run.summary) for run in found]
        assert [summary["sweep/exit_code"] for summary in summaries] == [1, 3, -9, 0, 0]
        assert "ValueError: toy crash" in summaries[0]["sweep/last_lines"]
        assert "val/mAP" in summaries[3]["sweep/reason"]  # never logged


def test_three_failures_in_a_row_end_the_sweep_and_show_the_first_error(tmp_path: Path) -> None:
    with start_server() as server:
        words = new_sweep(tmp_path, grid(1e-4, 2e-4, 3e-4, 4e-4, 5e-4), "TOY.MODE", "crash")
        ran = sweep(server, tmp_path, *words)
        assert ran.code == 1, ran.out + ran.err
        assert [run.state for run in runs(server)] == ["failed"] * 3
        assert "3 failed trials in a row" in ran.out
        assert "ValueError: toy crash" in ran.out


def test_ctrl_c_kills_the_run_and_going_on_completes_it(tmp_path: Path) -> None:
    with start_server() as server:
        with started(server, tmp_path, *new_sweep(tmp_path, grid(0.0001, 0.0002), *SLOW)) as launcher:
            read_until(launcher, "Epoch[2]")
            launcher.send_signal(signal.SIGINT)
            code, out = end_of(launcher, 30)
            assert code == 130, out
        (run,) = runs(server)
        assert (run.state, run.exit_code) == ("killed", 255)
        before = steps(run)
        assert before == list(range(len(before)))
        assert len(before) >= 5
        name = sweep_folder(tmp_path).name
        assert name in out  # how to go on
        # The server never hands out a killed run again: its point would be lost.
        again = sweep(server, tmp_path, "--sweep_id", name, "TOY.SECONDS", "0", "SOLVER.MAX_EPOCHS", "3")
        assert again.code == 0, again.out + again.err
        assert again.summary["counts"] == {"finished": 2}
        first, second = runs(server)
        assert [first.state, second.state] == ["finished", "finished"]
        assert steps(first) == list(range(len(before) + 12))  # the toy trainer starts anew; steps only grow
        assert json.loads(first.summary)["sweep/last_lines"] == ""
        assert again.trial(first.title)["attempts"] == 2


def test_sigterm_gives_the_run_back_and_the_next_agent_resumes_it(tmp_path: Path) -> None:
    with start_server() as server:
        with started(server, tmp_path, *new_sweep(tmp_path, grid(0.0001, 0.0002), *SLOW)) as launcher:
            read_until(launcher, "Epoch[2]")
            launcher.send_signal(signal.SIGTERM)
            code, out = end_of(launcher, 30)
            assert code == 130, out
        (run,) = runs(server)
        assert (run.state, run.exit_code) == ("preempted", 143)
        before = steps(run)
        title = run.title
        again = sweep(server, tmp_path, "--sweep_id", sweep_folder(tmp_path).name, "TOY.SECONDS", "0")
        assert again.code == 0, again.out + again.err
        first, second = runs(server)
        assert [first.state, second.state] == ["finished", "finished"]
        assert first.starts == 2
        assert first.name == run.name
        assert steps(first) == list(range(len(before) + 8))
        assert len(again.rows(title)) == len(before) + 8


def test_a_scheduler_that_signals_every_process_of_the_job_loses_nothing(tmp_path: Path) -> None:
    """The trainer first, the client's service process too, the launcher last."""
    with start_server() as server:
        with started(server, tmp_path, *new_sweep(tmp_path, grid(0.0001), *SLOW)) as launcher:
            read_until(launcher, "Epoch[2]")
            below = processes_below(launcher.pid)
            assert len(below) >= 4  # agent, service process, guard, trainer
            for pid in [*reversed(below), launcher.pid]:
                os.kill(pid, signal.SIGTERM)
                time.sleep(0.03)
            code, out = end_of(launcher, 30)
            assert code == 130, out
        (run,) = runs(server)
        assert (run.state, run.exit_code) == ("preempted", 143), out
        rows = (sweep_folder(tmp_path) / run.title / "metrics.jsonl").read_text().splitlines()
        assert steps(run) == list(range(len(rows)))
        assert json.loads((sweep_folder(tmp_path) / "summary.json").read_text())["counts"] == {"killed": 1}
        until(lambda: not processes_with(str(tmp_path)), 5)


def test_a_preempted_run_goes_on_where_nothing_of_it_is_on_disk(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    with start_server() as server:
        with started(server, here, *new_sweep(here, grid(0.0001), *SLOW)) as launcher:
            read_until(launcher, "Epoch[2]")
            launcher.send_signal(signal.SIGTERM)
            end_of(launcher, 30)
        before = steps(runs(server)[0])
        name = sweep_folder(here).name
        again = sweep(server, there, "--sweep_id", f"tester/p/{name}")
        assert again.code == 0, again.out + again.err
        (run,) = runs(server)
        assert run.state == "finished"
        assert steps(run) == list(range(len(before) + 8))
        assert [row["step"] for row in again.rows(run.title)] == steps(run)[len(before) :]


def test_second_ctrl_c_ends_a_deaf_trial_at_once(tmp_path: Path) -> None:
    words = new_sweep(tmp_path, grid(0.0001), "TOY.MODE", "deaf")
    with start_server() as server, started(server, tmp_path, *words) as launcher:
        read_until(launcher, "▶")
        read_until(launcher, "deaf")
        until(lambda: [run.state for run in runs(server)] == ["running"])
        launcher.send_signal(signal.SIGINT)
        read_until(launcher, "again: at once")
        again = time.monotonic()
        launcher.send_signal(signal.SIGINT)
        code, out = end_of(launcher, 30)
        assert code == 130, out
        assert time.monotonic() - again < 8.0
        assert runs(server)[0].state == "killed"
        assert not processes_with(str(tmp_path))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_the_sweep_is_created_says_what_may_be_there(tmp_path: Path, number: int) -> None:
    with start_server() as server:
        server.control.add_fault(kind="delay", delay=30.0, operation="UpsertSweep")
        with started(server, tmp_path, *new_sweep(tmp_path, grid())) as launcher:
            until(lambda: server.record.requests("UpsertSweep"))
            launcher.send_signal(number)
            code, out = end_of(launcher, 20)  # not the answer, which takes 30 s
        assert code == 130, out
        assert "may have created the sweep all the same" in out
        assert "Traceback" not in out
        assert not (tmp_path / "log").exists()


def test_a_killed_agent_is_replaced_and_its_run_goes_on(tmp_path: Path) -> None:
    with start_server() as server:
        words = new_sweep(tmp_path, grid(0.0001, 0.0002), *SLOW)
        with started(server, tmp_path, *words) as launcher:
            read_until(launcher, "Epoch[2]")
            (agent,) = agents_of(tmp_path)
            os.kill(agent, signal.SIGKILL)
            code, out = end_of(launcher)
            assert code == 0, out
        first, second = runs(server)
        assert [first.state, second.state] == ["finished", "finished"]
        rows = (sweep_folder(tmp_path) / first.title / "metrics.jsonl").read_text().splitlines()
        assert steps(first) == [json.loads(row)["step"] for row in rows] == list(range(len(rows)))
        assert len(rows) > 12
        summary = json.loads((sweep_folder(tmp_path) / "summary.json").read_text())
        assert summary["counts"] == {"finished": 2}
        until(lambda: not processes_with(str(tmp_path)), 5)


def test_a_killed_launcher_leaves_no_running_run_and_its_point_is_tried_again(tmp_path: Path) -> None:
    with start_server() as server:
        words = new_sweep(tmp_path, grid(0.0001, 0.0002), *SLOW)
        with started(server, tmp_path, *words) as launcher:
            read_until(launcher, "Epoch[2]")
            launcher.kill()
            launcher.wait()
        until(lambda: not processes_with(str(tmp_path)), 10)
        until(lambda: runs(server)[0].state == "failed", 5)
        again = sweep(server, tmp_path, "--sweep_id", sweep_folder(tmp_path).name, "TOY.SECONDS", "0")
        assert again.code == 0, again.out + again.err
        assert [run.state for run in runs(server)] == ["finished", "finished"]
        assert again.summary["counts"] == {"finished": 2}


def test_an_agent_that_hangs_is_replaced_on_the_same_sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The launcher in this process, so that its patience can be cut from two minutes to seconds."""

    class Impatient(supervisor.Supervisor):
        """Waits for seconds, but only for the agent that was stopped: another one may take long to start."""

        def _handle_message(self, worker: Worker, message: dict[str, object]) -> None:
            super()._handle_message(worker, message)
            if message["event"] == "start" and not stopped:
                stopped.append(worker.process.pid)
                os.kill(worker.process.pid, signal.SIGSTOP)
                self.silence = 3.0

        def _handle_closed_channel(self, worker: Worker) -> None:
            super()._handle_closed_channel(worker)
            self.silence = supervisor.SILENCE

    stopped: list[int] = []
    monkeypatch.setattr("yacs_sweep.launch.machine.Supervisor", Impatient)
    monkeypatch.chdir(tmp_path)
    with start_server() as server:
        for name, value in environment(server, tmp_path).items():
            monkeypatch.setenv(name, value)
        words = command(*new_sweep(tmp_path, grid(0.0001, 0.0002), "--no-preload"))[2:]
        assert main([str(word) for word in words]) == 0
        assert "its agent is replaced" in capfd.readouterr().out
        assert [run.state for run in runs(server)] == ["finished", "finished"]
        assert [steps(run) for run in runs(server)] == [list(range(8))] * 2
