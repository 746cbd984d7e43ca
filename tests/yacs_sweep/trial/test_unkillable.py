"""Tests that a process which survives SIGKILL is named in the trial's reason and in a note, and in no later trial's.

No test can make a process that the kernel does not kill. Here it is the signals that do not reach it: the guard is the
real one, but for a `kill` that leaves out every process that runs `sleep 74…`.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.single_trials import Hooks, launch_of
from tests.sweeping import processes_with
from tests.trainers import write_trainer
from yacs_sweep.base import processes
from yacs_sweep.base.processes import MARKER
from yacs_sweep.records.folder import TrialRecord
from yacs_sweep.trial import process
from yacs_sweep.trial.contract import Assignment
from yacs_sweep.trial.inside import guard as guarding
from yacs_sweep.trial.process import Guard, Limits, Stop
from yacs_sweep.trial.runner import TrialRunner

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")

SPARING = """
import importlib.util, os, socket, sys
spec = importlib.util.spec_from_file_location("guard", sys.argv[1])
guard = importlib.util.module_from_spec(spec)
spec.loader.exec_module(guard)
guard.UNKILLABLE = guard.LEFTOVER_GRACE = 0.3

def spared(pid):
    try:
        return open("/proc/%d/cmdline" % pid, "rb").read().startswith(b"sleep\\x0074")
    except OSError:
        return False

def sparing(kill):
    return lambda pid, number: None if spared(pid) else kill(pid, number)

os.kill, os.killpg = sparing(os.kill), sparing(os.killpg)
os.set_inheritable(int(sys.argv[2]), False)
guard.Guard(socket.socket(fileno=int(sys.argv[2]))).run()
"""


def sparing_guard(connection: socket.socket, token: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", SPARING, guarding.__file__, str(connection.fileno())],
        env={**os.environ, MARKER: token},
        pass_fds=[connection.fileno()],
    )


METRIC = "sys.stdout.flush(); os.write(1, b'mAP: 42.0%\\n')\n"
LEAVES_ONE = "\nif os.fork() == 0:\n    os.setsid(); os.execvp('sleep', ['sleep', '7401'])\n"
BECOMES_ONE = "\nos.execvp('sleep', ['sleep', '7402'])\n"


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[TrialRunner]:
    notes: list[str] = []
    launch = launch_of(tmp_path, METRIC, Limits(grace=0.3))
    runner = TrialRunner(launch, on_event=lambda kind, content: notes.append(content.get("text", kind)))
    runner.notes = notes  # type: ignore[attr-defined]
    runner.guards.current = Guard(start=sparing_guard)
    try:
        yield runner
    finally:
        for pid in processes_with("sleep\x0074"):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        runner.close()


def survivor() -> int:
    """Waits for the process that is spared, and returns its id."""
    deadline = time.monotonic() + 60
    while not (found := processes_with("sleep\x0074")) and time.monotonic() < deadline:
        time.sleep(0.01)
    (pid,) = found
    return pid


def test_one_that_a_trial_leaves_behind_is_named_once(
    runner: TrialRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_trainer(tmp_path, METRIC + LEAVES_ONE)
    first = runner.run(Assignment("s-0", "first", 0, {}), Hooks())
    named = f"process {survivor()} (sleep) survived SIGKILL (uninterruptible I/O)"
    assert (first.state, first.cause, first.reason) == ("finished", "finished", f"finished; {named}")
    assert TrialRecord.load(runner.launch.paths.trial("first").record).reason == first.reason
    notes = runner.notes  # type: ignore[attr-defined]
    assert [note for note in notes if "survived" in note] == [f"first: {named}"]
    write_trainer(tmp_path, METRIC + "import time; time.sleep(1.5)")  # its processes are looked at after a second
    waited: list[set[int]] = []
    monkeypatch.setattr(runner.gpu_memory, "wait", lambda pids, interrupted: waited.append(set(pids)))
    started = time.monotonic()
    second = runner.run(Assignment("s-1", "second", 1, {}), Hooks())
    assert (second.state, second.reason) == ("finished", "finished")
    assert time.monotonic() - started < 0.6 + 1.5 + 5 * 0.3  # it is not waited for again
    assert len([note for note in notes if "survived" in note]) == 1
    assert len(waited) == 1 and survivor() not in waited[0]  # nor for its GPU memory


def test_a_trainer_that_cannot_be_ended_is_named(runner: TrialRunner, tmp_path: Path) -> None:
    write_trainer(tmp_path, METRIC + BECOMES_ONE)
    record = runner.run(Assignment("s-0", "first", 0, {}), Hooks("it is the worst"))
    named = f"process {survivor()} (sleep) survived SIGKILL (uninterruptible I/O)"
    assert (record.state, record.exit_code) == ("stopped", None)
    assert record.reason == f"stopped early: it is the worst; {named}"


def test_one_of_every_attempt_whose_guard_was_lost_is_named(
    runner: TrialRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_trainer(tmp_path, METRIC + LEAVES_ONE + "import time; time.sleep(7403)")
    kill, killed = os.kill, set[int]()

    def kill_guard() -> Stop | None:
        """Kills each attempt's guard once the attempt has left a process."""
        guard = runner.guards.current
        if guard is not None and len(processes_with("sleep\x0074")) > len(killed - {guard.pid}):
            killed.add(guard.pid)
            kill(guard.pid, signal.SIGKILL)
        return None

    with monkeypatch.context() as patched:
        patched.setattr(
            os, "kill", lambda pid, number: None if pid in processes_with("sleep\x0074") else kill(pid, number)
        )
        patched.setattr(process, "kill_marked", functools.partial(processes.kill_marked, wait=0.3))
        runner.stop_requested = kill_guard
        record = runner.run(Assignment("s-0", "first", 0, {}), Hooks())
    left = processes_with("sleep\x0074")
    assert (record.cause, record.attempts, len(left)) == ("guard_lost", 2, 2)
    named = re.fullmatch(r".*; processes (.*) survived SIGKILL \(uninterruptible I/O\)", record.reason)
    assert named is not None
    assert set(named[1].split(", ")) == {f"{pid} (sleep)" for pid in left}
