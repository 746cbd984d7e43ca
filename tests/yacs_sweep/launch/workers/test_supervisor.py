"""The supervisor: signals, agents that hang, a terminal that goes away, and the limit of failures."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.sweeping import ROOT, command, environment, start, start_hasty, sweep, write_sweep
from tests.trainers import NASTY, kill_all, living, roles, write_trainer
from yacs_sweep.launch.workers.channel import Channel, Job
from yacs_sweep.launch.workers.supervisor import Supervisor
from yacs_sweep.launch.workers.sweep_state import FailureLimit, SweepState
from yacs_sweep.records.folder import SweepPaths, TrialRecord
from yacs_sweep.records.summary import Summary

GRID = {
    "method": "grid",
    "metric": {"name": "val/mAP", "goal": "maximize"},
    "parameters": {"base_lr": {"values": [0.001, 0.002]}},
}
POLITE = """
import signal, time
def end(*_):
    (out / "checkpoint").write_text("1")
    print("saved", flush=True)
    sys.exit(143)
signal.signal(signal.SIGTERM, end)
print("mAP: 1.0%\\nup", flush=True)
time.sleep(1000)
"""


@pytest.fixture(autouse=True)
def heard() -> Iterator[None]:
    """A signal that whoever runs the tests ignores, as nohup does, would be ignored by the launchers too."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture(autouse=True)
def nothing_stays(tmp_path: Path) -> Iterator[None]:
    yield
    kill_all(tmp_path)


def launch(folder: Path, code: str, *options: str, **more: Any) -> subprocess.Popen[str]:
    """A launcher whose trainer is up."""
    trainer, spec = write_trainer(folder, code), write_sweep(folder, GRID)
    words = ["--sweep-config", spec, "--wandb-mode", "disabled", *options]
    launcher = start(folder, *words, trainer=trainer, config=None, **more)
    assert launcher.stdout is not None
    for line in launcher.stdout:
        if line == "up\n":
            return launcher
    raise AssertionError("the trainer never came up")


def place(folder: Path) -> Path:
    (found,) = (folder / "log" / "sweep" / "sweep").iterdir()
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_one_signal_ends_the_trial_saves_and_summarises(tmp_path: Path, number: signal.Signals) -> None:
    launcher = launch(tmp_path, POLITE)
    launcher.send_signal(number)
    rest, _ = launcher.communicate(timeout=180)
    assert launcher.returncode == 130, rest
    assert f"{number.name}: ending the running trial (again: at once)" in rest
    assert "saved\n" in rest
    assert "1 killed; results in" in rest
    assert f"--sweep_id {place(tmp_path).name}" in rest
    trial = json.loads((place(tmp_path) / "trial-0000" / "trial.json").read_text())
    assert (trial["state"], trial["exit_code"], trial["cause"]) == ("killed", 143, "interrupted")
    assert trial["last_lines"] == ["mAP: 1.0%", "up", "saved"]
    assert json.loads((place(tmp_path) / "summary.json").read_text())["counts"] == {"killed": 1}
    assert not living(tmp_path)


def test_a_second_one_ends_a_deaf_trial_at_once(tmp_path: Path) -> None:
    launcher = launch(tmp_path, NASTY, "--grace", "60")
    launcher.send_signal(signal.SIGINT)
    assert launcher.stdout is not None
    assert "again: at once" in launcher.stdout.readline()
    with pytest.raises(subprocess.TimeoutExpired):
        launcher.wait(1.0)
    launcher.send_signal(signal.SIGINT)
    started = time.monotonic()
    rest, _ = launcher.communicate(timeout=180)
    assert time.monotonic() - started < 30
    assert launcher.returncode == 130
    assert "SIGINT again: ending at once" in rest
    assert not living(tmp_path)


def test_one_deaf_trial_gets_its_grace_period_and_no_more(tmp_path: Path) -> None:
    launcher = launch(tmp_path, NASTY, "--grace", "1")
    started = time.monotonic()
    launcher.send_signal(signal.SIGTERM)
    launcher.communicate(timeout=180)
    assert launcher.returncode == 130
    assert 1.0 <= time.monotonic() - started < 20
    assert not living(tmp_path)


def test_a_terminal_that_goes_away_takes_no_results_along(tmp_path: Path) -> None:
    launcher = launch(tmp_path, POLITE)
    assert launcher.stdout is not None
    launcher.stdout.close()
    launcher.send_signal(signal.SIGHUP)
    assert launcher.wait(60) == 130
    assert json.loads((place(tmp_path) / "summary.json").read_text())["counts"] == {"killed": 1}
    assert not living(tmp_path)


def test_nohup_is_respected(tmp_path: Path) -> None:
    code = "import time\nprint('up', flush=True)\nwhile not (out.parent / 'go').exists(): time.sleep(0.02)\n"
    code += "print('mAP: 1%')"
    trainer, spec = write_trainer(tmp_path, code), write_sweep(tmp_path, GRID)
    words = command("--sweep-config", spec, "--wandb-mode", "disabled", trainer=trainer, config=None)
    launcher = subprocess.Popen(
        ["nohup", *words], cwd=tmp_path, env=environment(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert launcher.stdout is not None
    assert any(line == b"up\n" for line in launcher.stdout)
    launcher.send_signal(signal.SIGHUP)
    (place(tmp_path) / "go").touch()
    rest, _ = launcher.communicate(timeout=180)
    assert launcher.returncode == 0, rest
    assert b"2 finished" in rest


def test_an_agent_that_hangs_is_replaced_and_its_trial_tried_again(tmp_path: Path) -> None:
    code = "if (out.parent / 'flag').exists():\n    print('mAP: 1.5%'); sys.exit()\n(out.parent / 'flag').touch()\n"
    trainer, spec = write_trainer(tmp_path, code + NASTY), write_sweep(tmp_path, GRID)
    words = ("--sweep-config", spec, "--wandb-mode", "disabled")
    launcher = start_hasty(tmp_path, *words, trainer=trainer, config=None)
    assert launcher.stdout is not None
    assert any(line == "up\n" for line in launcher.stdout)
    os.kill(roles(tmp_path)["agent"][0], signal.SIGSTOP)
    rest, _ = launcher.communicate(timeout=180)
    assert launcher.returncode == 0, rest
    assert "sent no heartbeat for 6 s; its agent is replaced" in rest
    assert "2 finished, 1 lost" in rest
    assert not living(tmp_path)


def make_supervisor(folder: Path) -> Supervisor:
    paths = SweepPaths(folder, "s")
    summary = Summary(paths, name="n", controller="local", method="grid", metric="m", goal="maximize")
    state = SweepState(Job(str(folder), "s"), 1, summary)
    return Supervisor([state], say=lambda text: None, silence=10.0)


def test_a_trial_that_is_resumed_is_no_further_one_to_go(tmp_path: Path) -> None:
    (plain,) = make_supervisor(tmp_path).sweeps
    pausing = SweepState(Job(str(tmp_path), "s", target=4), 4, plain.summary, pauses=True)
    for number, state in enumerate(["paused", "finished", "running"]):
        plain.summary.records[str(number)] = TrialRecord(str(number), str(number), number, {}, state)
        pausing.grant_trial()
    assert (plain.to_go, pausing.to_go) == (1, 1)
    plain.summary.records["0"].state = "running"
    pausing.grant_trial()
    assert pausing.to_go == 1
    pausing.left = 0  # the controller has none left
    assert pausing.to_go == 0


@pytest.mark.parametrize(("stopped", "killed"), [(True, False), (False, True)])
def test_a_supervisor_that_was_stopped_itself_blames_no_agent(tmp_path: Path, stopped: bool, killed: bool) -> None:
    supervisor = make_supervisor(tmp_path)
    (worker,) = supervisor.workers
    worker.sweep = supervisor.sweeps[0]
    worker.process = subprocess.Popen(["sleep", "1000"])
    try:
        now = time.monotonic()
        worker.last_heard = now - 20.0
        supervisor._last_round = now - (20.0 if stopped else 0.1)
        supervisor._replace_hung()
        if killed:
            assert worker.process.wait(60) == -signal.SIGKILL
        else:
            with pytest.raises(subprocess.TimeoutExpired):
                worker.process.wait(0.2)
    finally:
        worker.process.kill()
        worker.process.wait()


def test_a_disk_that_is_full_for_the_trainer_ends_the_sweep_and_its_point_is_tried_again(tmp_path: Path) -> None:
    error = "OSError(28, 'No space left on device', str(out / 'x.pth'))"
    code = f"if not (out.parent / 'room').exists(): raise {error}\nprint('mAP: 1%')"
    trainer, spec = write_trainer(tmp_path, code), write_sweep(tmp_path, GRID)
    ran = sweep(tmp_path, "--sweep-config", spec, "--wandb-mode", "disabled", trainer=trainer, config=None)
    assert ran.code == 1
    assert ran.summary["counts"] == {"failed": 1}
    assert "disk full: OSError: [Errno 28] No space left on device: " in ran.out
    assert "/x.pth'; what was done is kept: make room" in ran.out
    (ran.dir / "room").touch()
    again = sweep(tmp_path, "--sweep_id", ran.dir.name, "--wandb-mode", "disabled", trainer=trainer, config=None)
    assert again.code == 0, again.out
    assert again.summary["counts"] == {"finished": 2, "failed": 1}


def ended(*states: str) -> list[TrialRecord]:
    return [TrialRecord(str(i), f"t{i}", i, {}, state=state, reason="why") for i, state in enumerate(states)]


@pytest.mark.parametrize(
    ("limit", "states", "reached"),
    [
        (None, ["failed"] * 3, True),
        (None, ["failed"] * 2, False),
        (None, ["finished", *["failed"] * 9], False),  # some do well: not the sweep's fault
        (None, ["failed", "lost", "failed", "killed", "failed"], True),
        (None, ["failed", "stopped", "failed", "failed"], False),
        (2, ["finished", "failed", "failed"], True),
        (2, ["failed", "finished", "failed"], False),
        (1, ["failed"], True),
    ],
)
def test_failures_in_a_row_end_a_sweep(limit: int | None, states: list[str], reached: bool) -> None:
    message = FailureLimit(limit).reached(ended(*states))
    assert (message is not None) is reached
    assert message is None or "why" in message


def test_the_message_that_ends_a_sweep_says_nothing_twice() -> None:
    record = replace(ended("failed")[0], reason="exit code 1: t.py: no data", last_lines=["t.py: no data"])
    message = FailureLimit(1).reached([record])
    assert message is not None and message.count("no data") == 1
    message = FailureLimit(1).reached([replace(record, last_lines=["reading /data", "t.py: no data"])])
    assert message is not None and message.endswith("\n    reading /data\n    t.py: no data")


@pytest.mark.parametrize(
    ("states", "seconds", "running", "reached"),
    [
        (["failed"] * 3, 1.0, [], False),  # fewer than there are workers: the others may do well
        (["failed"] * 4, 1.0, [0.5, 0.9], True),
        (["failed"] * 4, 1.0, [0.5, 30.0], False),  # one has lasted longer than they did
        (["failed"] * 16, 1.0, [3600.0], True),  # but it does not stand for that many
        (["failed"] * 4, 60.0, [30.0], True),
    ],
)
def test_with_several_workers_trials_that_last_speak_for_the_sweep(
    states: list[str], seconds: float, running: list[float], reached: bool
) -> None:
    records = ended(*states)
    for record in records:
        record.started, record.ended = "2026-01-01T00:00:00.000Z", f"2026-01-01T00:{int(seconds) // 60:02d}:01.000Z"
    assert (FailureLimit(None, 4).reached(records, running) is not None) is reached


def test_a_channel_waits_with_what_must_arrive_and_leaves_out_what_need_not() -> None:
    ours, theirs = map(Channel, socket.socketpair())
    sent = 0
    while ours.offer(number=sent, filler="x" * 1000):
        sent += 1
        assert sent < 10000
    started = time.monotonic()
    assert not ours.offer(number=-1)
    assert time.monotonic() - started < 1
    heard: list[int] = []
    while len(heard) < sent:
        heard += [message["number"] for message in theirs.receive() or []]
    assert heard == list(range(sent))
    assert ours.offer(number=-1)
    theirs.close()
    assert not ours.send(number=0)
    ours.close()


@pytest.mark.parametrize(("wait", "told"), [(0.0, 1), (3600.0, 0)])
def test_the_start_says_what_it_waits_for(tmp_path: Path, wait: float, told: int) -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        f"from yacs_sweep.launch.workers import supervisor\nsupervisor.SILENT_WAIT = {wait}\n"
        "from yacs_sweep.cli import main\nsys.exit(main(sys.argv[1:]))"
    )
    words = ("--sweep-config", write_sweep(tmp_path, GRID), "--wandb-mode", "disabled", "--workers", "2")
    done = subprocess.run(
        [sys.executable, "-c", code, *command(*words)[2:]],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("[sweep] waiting for the first agent: it imports") == told
