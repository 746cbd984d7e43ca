"""Ctrl-Z: the trials stop with the launcher, `fg` continues both, and no limit counts the time between."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.sweeping import command, environment, sweep, write_sweep
from tests.terminals import Terminal
from tests.trainers import kill_all, living, roles, wait_until, write_trainer
from yacs_sweep.base.signals import AwakeClock
from yacs_sweep.launch.workers.freezer import Freezer, is_stopped
from yacs_sweep.trial.process import Guard

GRID = {
    "method": "grid",
    "metric": {"name": "val/mAP", "goal": "maximize"},
    "parameters": {"base_lr": {"values": [0.001, 0.002]}},
}
# Two processes, the second in a session of its own, each of which writes the time ten times a second.
TICKING = """
import signal, time
child = os.fork()
if child == 0:
    os.setsid()
name = "child" if child == 0 else "main"
with open(out / name, "a") as ticks:
    for number in range({ticks}):
        ticks.write(f"{time.time()}\\n")
        ticks.flush()
        if child:
            print(f"mAP: {number}%", flush=True)
        time.sleep(0.1)
"""


@pytest.fixture(autouse=True)
def nothing_stays(tmp_path: Path) -> Iterator[None]:
    yield
    kill_all(tmp_path)


def words(folder: Path, ticks: int, *options: str) -> list[str]:
    """A launcher's command line for two trials at the same time."""
    trainer = write_trainer(folder, TICKING.replace("{ticks}", str(ticks)))
    options = ("--workers", "2", "--controller", "local", "--wandb-mode", "disabled", *options)
    spec = write_sweep(folder, GRID)
    return command("--sweep-config", spec, *options, trainer=trainer, config=None, verbose=False)


def ticks(folder: Path) -> list[float]:
    """All ticks of all processes, in order."""
    texts = [
        path.read_text() for name in ("main", "child") for path in folder.glob(f"log/sweep/sweep/*/trial-*/{name}")
    ]
    return sorted(float(line) for text in texts for line in text.splitlines())


def all_tick(folder: Path, since: float = 0.0) -> bool:
    """Whether both trials with both their processes have ticked since then."""
    files = [path for name in ("main", "child") for path in folder.glob(f"log/sweep/sweep/*/trial-*/{name}")]
    return len(files) == 4 and all(path.stat().st_mtime > since for path in files)


def trials(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(folder.glob("log/sweep/sweep/*/trial-*/trial.json"))]


@pytest.fixture
def launched(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts a launcher as a shell does a job, and returns once its trials tick."""
    started: list[subprocess.Popen[str]] = []

    def begin(ticks: int, *options: str, session: bool = False) -> subprocess.Popen[str]:
        started.append(
            subprocess.Popen(
                words(tmp_path, ticks, *options),
                cwd=tmp_path,
                env=environment(tmp_path),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                **({"start_new_session": True} if session else {"process_group": 0}),  # type: ignore[arg-type]
            )
        )
        wait_until(lambda: all_tick(tmp_path), 60)
        return started[0]

    yield begin
    for process in started:
        process.kill()
        process.wait(10)


def put_to_sleep(launcher: subprocess.Popen[str]) -> None:
    launcher.send_signal(signal.SIGTSTP)
    wait_until(lambda: is_stopped(launcher.pid), 10)


def test_ctrl_z_and_fg_in_a_shell(tmp_path: Path) -> None:
    terminal = Terminal(["bash", "--norc", "--noprofile", "-i"], tmp_path, PS1="ready> ")
    try:
        line = shlex.join(words(tmp_path, 15, "--timeout", "4", "--stall-timeout", "3"))
        os.write(terminal.master, f"{line}\n".encode())
        terminal.wait(lambda lines: all_tick(tmp_path) and any(line.startswith("trial-0001") for line in lines), 60)
        os.write(terminal.master, b"\x1a")
        lines = terminal.wait(lambda lines: any("Stopped" in line for line in lines), 15)
        asleep = time.time()
        before = "\n".join(lines)
        assert "Ctrl-Z: 2 trials stopped" in before and "Stopped" in before
        assert any(line.startswith("trial-0001") for line in lines)  # the last frame stays whole
        time.sleep(4.2)
        awake = time.time()
        assert not [tick for tick in ticks(tmp_path) if tick > asleep]
        os.write(terminal.master, b"fg\n")
        wait_until(lambda: all_tick(tmp_path, awake), 10)
        os.write(terminal.master, b"echo status $?\n")
        lines = terminal.wait(lambda lines: any(line.startswith("status ") for line in lines), 60)
        assert "status 0" in lines, "\n".join(lines)
        assert "continued after" in terminal.written.decode()
    finally:
        terminal.process.kill()
        terminal.process.wait(10)
        terminal.hang_up()
    for trial in trials(tmp_path):
        assert (trial["state"], trial["rows"]) == ("finished", 15)
        assert trial["asleep"] >= 4.2
    assert len(ticks(tmp_path)) == 60
    assert not living(tmp_path)


def test_ctrl_c_after_it_and_sigterm_during_it(tmp_path: Path, launched: Callable[..., subprocess.Popen[str]]) -> None:
    launcher = launched(1000)
    put_to_sleep(launcher)
    launcher.send_signal(signal.SIGCONT)
    awake = time.time()
    wait_until(lambda: all_tick(tmp_path, awake), 10)
    put_to_sleep(launcher)
    launcher.send_signal(signal.SIGTERM)  # a stopped process takes it when it continues
    time.sleep(0.3)
    assert is_stopped(launcher.pid)
    (folder,) = tmp_path.glob("log/sweep/sweep/*/")
    began = time.monotonic()
    order = sweep(tmp_path, "--pause", folder.name, trainer=None, config=None, verbose=False)
    assert order.code == 0 and time.monotonic() - began < 5  # it waits for no answer
    assert (
        f"process {launcher.pid}: is stopped by Ctrl-Z in its terminal; the order (pause) is written down" in order.out
    )
    launcher.send_signal(signal.SIGCONT)
    out, _ = launcher.communicate(timeout=60)
    assert launcher.returncode == 130
    assert out.count("Ctrl-Z: 2 trials stopped") == 2 and "SIGTERM: ending the 2 running trials" in out
    assert [trial["state"] for trial in trials(tmp_path)] == ["killed", "killed"]
    assert not living(tmp_path)


def test_where_nobody_could_continue_it_the_launch_does_not_stop(
    tmp_path: Path, launched: Callable[..., subprocess.Popen[str]]
) -> None:
    launcher = launched(10, session=True)  # as by setsid, or in a job of Slurm
    launcher.send_signal(signal.SIGTSTP)
    out, _ = launcher.communicate(timeout=60)
    assert launcher.returncode == 0 and "continued after" in out
    assert [trial["state"] for trial in trials(tmp_path)] == ["finished", "finished"]


def test_trials_that_are_being_ended_come_to_their_end(
    tmp_path: Path, launched: Callable[..., subprocess.Popen[str]]
) -> None:
    launcher = launched(1000)
    launcher.send_signal(signal.SIGINT)
    put_to_sleep(launcher)
    wait_until(lambda: all(trial["state"] == "killed" for trial in trials(tmp_path)), 10)
    launcher.send_signal(signal.SIGCONT)
    assert launcher.wait(60) == 130
    assert not living(tmp_path)


def test_no_trial_stays_stopped_when_the_supervisor_is_killed_asleep(
    tmp_path: Path, launched: Callable[..., subprocess.Popen[str]]
) -> None:
    launcher = launched(20)
    put_to_sleep(launcher)
    assert roles(tmp_path)["agent"]
    launcher.kill()
    launcher.wait(10)
    wait_until(lambda: not living(tmp_path), 5)  # as for one that is killed awake
    assert [trial["state"] for trial in trials(tmp_path)] == ["lost", "lost"]
    (folder,) = tmp_path.glob("log/sweep/sweep/*")
    again = sweep(tmp_path, "--sweep_id", folder.name, "--workers", "2", trainer=None, config=None)
    assert again.code == 0, again.out
    assert again.summary["counts"]["finished"] == 2


def test_an_agent_that_is_killed_asleep_takes_its_trial_along(
    tmp_path: Path, launched: Callable[..., subprocess.Popen[str]]
) -> None:
    launcher = launched(40)
    put_to_sleep(launcher)
    (victim, *_) = roles(tmp_path)["agent"]
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: len(roles(tmp_path).get("child", [])) == 2, 5)  # of four processes in sessions of their own
    launcher.send_signal(signal.SIGCONT)
    out, _ = launcher.communicate(timeout=60)
    assert launcher.returncode == 0, out
    assert sorted(trial["state"] for trial in trials(tmp_path)) == ["finished", "finished", "lost"]
    assert not living(tmp_path)


def test_processes_that_were_stopped_before_stay_stopped(tmp_path: Path) -> None:
    code = "import os, signal, time\nif os.fork() == 0: os.kill(os.getpid(), signal.SIGSTOP)\ntime.sleep(60)"
    with Guard() as guard, open(os.devnull, "wb") as null:
        main = guard.start(["python3", "-c", code], dict(os.environ), tmp_path, null.fileno())
        children = Path(f"/proc/{main}/task/{main}/children")
        wait_until(lambda: children.read_text().split() and is_stopped(int(children.read_text())), 10)
        child = int(children.read_text())
        freezer = Freezer(lambda: guard)
        freezer.sleep()
        wait_until(lambda: is_stopped(main), 5)
        freezer.wake()
        wait_until(lambda: not is_stopped(main), 5)
        assert is_stopped(child)


def test_the_clock_stands_still_asleep() -> None:
    clock = AwakeClock()
    began, mark = clock.now(), clock.mark()
    clock.stop()
    clock.stop()
    at = clock.now()
    time.sleep(0.2)
    assert abs(clock.now() - at) < 0.01
    clock.go()
    time.sleep(0.1)
    real, asleep = clock.since(mark)
    assert 0.2 <= asleep < real - 0.09
    assert 0.09 < clock.now() - began < real - 0.19
