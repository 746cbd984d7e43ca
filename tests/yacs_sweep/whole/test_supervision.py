"""One trial's life is airtight: hostile output, and every process of it gone whoever is killed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.single_trials import Hooks, launch_of
from tests.sweeping import GRID, start, sweep, write_sweep
from tests.trainers import NASTY, kill_all, living, roles, wait_until, write_trainer
from yacs_sweep.base.processes import MARKER
from yacs_sweep.records.folder import TrialPaths, TrialRecord
from yacs_sweep.trial.contract import Assignment
from yacs_sweep.trial.process import Limits
from yacs_sweep.trial.runner import TrialRunner

ONE = {
    "method": "grid",
    "metric": {"name": "val/mAP", "goal": "maximize"},
    "parameters": {"base_lr": {"values": [0.001]}},
}


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Any]:
    """Runs a trainer of so many lines as one trial."""
    runners = []

    def run(code: str, limits: Limits | None = None) -> tuple[TrialRecord, TrialPaths]:
        launch = launch_of(tmp_path, code, limits or Limits(grace=2))
        runner = TrialRunner(launch)
        runners.append(runner)
        record = runner.run(Assignment("s-0", "t", 0, {}), Hooks())
        return record, launch.paths.trial("t")

    yield run
    for runner in runners:
        runner.close()


METRIC = "\nsys.stdout.flush(); os.write(1, b'\\nmAP: 42.0%\\n')\n"
HOSTILE = {
    "no newline": "for _ in range(100): sys.stdout.write('x' * 1000000)",
    "many lines": "for i in range(200000): print('line', i)",
    "progress bar": "for i in range(2000): print('\\r%3d%% ' % i + '#' * 60, end='', flush=i % 10 == 0)",
    "ANSI colour": "for i in range(100): print('\\x1b[31mmAP: 3%d\\x1b[0m \\x1b[2K\\x1b]0;title\\x07' % i)",
    "NUL and invalid UTF-8": "sys.stdout.buffer.write(bytes(range(256)) * 2000)",
    "cut characters": "for _ in range(2000): os.write(1, 'ä€'.encode()[:4])",
    "never flushes": "sys.stdout = open(1, 'w', buffering=1 << 24, closefd=False); print('late ' * 500000)",
    "carriage returns only": "sys.stdout.write('mAP: 1.0%\\r' * 100000)",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_any_output_is_kept_byte_for_byte_and_the_metric_found(run: Any, tmp_path: Path, name: str) -> None:
    code = HOSTILE[name] + METRIC
    record, paths = run(code)
    assert (record.state, record.value) == ("finished", 42.0), record.reason
    expected = subprocess.run([sys.executable, tmp_path / "train.py", "x"], stdout=subprocess.PIPE, check=True).stdout
    assert paths.stdout.read_bytes() == expected


@pytest.mark.slow
def test_a_gigabyte_without_a_newline_takes_bounded_time(run: Any) -> None:
    started = time.monotonic()
    record, paths = run("for _ in range(1000): sys.stdout.write('x' * 1000000)" + METRIC)
    assert record.value == 42.0
    assert paths.stdout.stat().st_size == 1_000_000_000 + len("\nmAP: 42.0%\n")
    assert time.monotonic() - started < 60


def test_a_child_that_closes_its_output_and_lives_on_is_stalled(run: Any) -> None:
    code = "import time\nprint('up', flush=True)\nos.close(1); os.close(2)\ntime.sleep(1000)"
    record, _ = run(code, Limits(stall=0.5, grace=2))
    assert (record.state, record.cause, record.exit_code) == ("failed", "stalled", -signal.SIGTERM)


def test_a_daemon_that_holds_the_output_does_not_hold_up_the_end(run: Any) -> None:
    started = time.monotonic()
    record, _ = run("import subprocess\nsubprocess.Popen(['sleep', '7401'], start_new_session=True)" + METRIC)
    assert (record.state, record.value) == ("finished", 42.0)
    assert time.monotonic() - started < 5


def test_a_trial_that_will_not_end_says_why_with_its_last_lines(run: Any) -> None:
    record, _ = run("for i in range(50): print('line', i)\n" + NASTY, Limits(timeout=1.0, grace=0.3))
    assert (record.state, record.cause, record.exit_code) == ("failed", "timeout", -signal.SIGKILL)
    assert record.reason == "ran longer than 1 s, ended by SIGKILL"
    assert record.last_lines == [*(f"line {i}" for i in range(31, 50)), "up"]


# -- whoever is killed ----------------------------------------------------------------------------------

OPTIONS = ("--wandb-mode", "disabled", "--grace", "0.5")
NASTY_ONCE = (
    "if (out.parent / 'flag').exists():\n    print('mAP: 1.5%'); sys.exit()\n(out.parent / 'flag').touch()\n" + NASTY
)


@pytest.fixture(autouse=True)
def nothing_stays(tmp_path: Path) -> Iterator[None]:
    yield
    kill_all(tmp_path)


def launch(folder: Path) -> subprocess.Popen[str]:
    """A launcher whose first trial is up, and nasty; a further one finishes at once."""
    trainer = write_trainer(folder, NASTY_ONCE)
    launcher = start(folder, "--sweep-config", write_sweep(folder, ONE), *OPTIONS, trainer=trainer, config=None)
    assert launcher.stdout is not None
    for line in launcher.stdout:
        if line == "up\n":
            break
    wait_until(lambda: len(living(folder)) >= 6, 5)  # launcher, agent, guard, child, two of its own
    return launcher


def go_on(folder: Path) -> dict[str, Any]:
    (place,) = (folder / "log" / "sweep" / "sweep").iterdir()
    ran = sweep(folder, "--sweep_id", place.name, *OPTIONS, trainer=folder / "trainer.yaml", config=None)
    assert ran.code == 0, ran.out + ran.err
    return ran.summary


def test_a_killed_launcher_takes_everything_along_within_five_seconds(tmp_path: Path) -> None:
    launcher = launch(tmp_path)
    launcher.kill()
    launcher.communicate()
    wait_until(lambda: not living(tmp_path), 5)
    assert go_on(tmp_path)["counts"] == {"finished": 1, "lost": 1}


def test_a_killed_agent_is_replaced_and_its_trial_tried_again(tmp_path: Path) -> None:
    launcher = launch(tmp_path)
    (agent,) = roles(tmp_path)["agent"]
    (child,) = roles(tmp_path)["child"]
    os.kill(agent, signal.SIGKILL)
    wait_until(lambda: child not in living(tmp_path), 5)
    rest, _ = launcher.communicate(timeout=180)
    assert launcher.returncode == 0, rest
    assert "died (SIGKILL); the trial is lost" in rest
    assert "1 finished, 1 lost" in rest
    assert not living(tmp_path)


def test_a_killed_guard_is_replaced_and_the_trial_started_again(tmp_path: Path) -> None:
    launcher = launch(tmp_path)
    os.kill(roles(tmp_path)["guard"][0], signal.SIGKILL)
    rest, _ = launcher.communicate(timeout=180)
    assert launcher.returncode == 0, rest
    assert "attempt 2 of 2" in rest
    assert "1 finished;" in rest
    assert not living(tmp_path)


def test_what_is_left_when_all_three_are_killed_at_once_ends_with_the_next_start(tmp_path: Path) -> None:
    launcher = launch(tmp_path)
    found = roles(tmp_path)
    for pid in (launcher.pid, *found["agent"], *found["guard"]):
        os.kill(pid, signal.SIGSTOP)  # so that none sees another one's end
    for pid in (launcher.pid, *found["agent"], *found["guard"]):
        os.kill(pid, signal.SIGKILL)
    launcher.communicate()
    wait_until(lambda: found["child"][0] not in living(tmp_path), 5)
    assert len(living(tmp_path)) == 2  # nobody was left who could end its grandchildren
    assert go_on(tmp_path)["counts"] == {"finished": 1, "lost": 1}
    assert not living(tmp_path)


def test_what_a_killed_launch_of_a_done_sweep_has_left_ends_with_the_next_start(tmp_path: Path) -> None:
    ran = sweep(tmp_path, "--sweep-config", write_sweep(tmp_path, GRID), "--wandb-mode", "disabled")
    assert ran.code == 0, ran.out
    left = subprocess.Popen(
        ["sleep", "1000"], start_new_session=True, env={**os.environ, MARKER: "token-of-a-killed-agent"}
    )
    lock = ran.dir / "agents" / "0-abcdef123456.lock"
    lock.write_text(f"{socket.gethostname()} 1 token-of-a-killed-agent\n")
    for count in ([], ["--count", "1"]):
        again = sweep(tmp_path, "--sweep_id", ran.dir.name, *count)
        assert again.code == 0, again.out
        assert "ended 1 process left over" in again.out or count
    assert left.wait(60) == -signal.SIGKILL
    assert not lock.exists()


def test_a_guard_that_hangs_does_not_keep_a_trial_from_being_ended(tmp_path: Path) -> None:
    launcher = launch(tmp_path)
    (child,) = roles(tmp_path)["child"]
    os.kill(roles(tmp_path)["guard"][0], signal.SIGSTOP)
    launcher.send_signal(signal.SIGINT)
    launcher.communicate(timeout=180)
    assert launcher.returncode == 130
    assert child not in living(tmp_path)
    assert not living(tmp_path)
