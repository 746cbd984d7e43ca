"""Who works on a sweep: lock files of agents that live, that were killed, and of other machines."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.sweeping import ROOT
from yacs_sweep.base.errors import SweepError
from yacs_sweep.base.processes import MARKER, marked_processes
from yacs_sweep.records.alive import AgentLock, agent_lives, clear_dead_agents, refuse_foreign_agents


def test_an_agents_lock_says_whether_it_lives(tmp_path: Path) -> None:
    lock = AgentLock(tmp_path, 0, "token")
    assert agent_lives(tmp_path, lock.name)
    assert clear_dead_agents(tmp_path) == 0
    assert lock.path.exists()
    lock.release()
    assert not agent_lives(tmp_path, lock.name)
    assert list(tmp_path.iterdir()) == []


def test_what_dead_agents_left_running_is_ended_and_their_locks_go(tmp_path: Path) -> None:
    code = (
        f"import os, sys; sys.path.insert(0, {str(ROOT)!r})\nfrom pathlib import Path\n"
        f"from yacs_sweep.records.alive import AgentLock\nAgentLock(Path({str(tmp_path)!r}), 0, {f't{os.getpid()}'!r})\n"
        "os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -signal.SIGKILL
    left = subprocess.Popen(["sleep", "1000"], env={**os.environ, MARKER: f"t{os.getpid()}"}, start_new_session=True)
    until = time.monotonic() + 60
    while not marked_processes(f"t{os.getpid()}") and time.monotonic() < until:  # it is there a moment after its start
        time.sleep(0.01)
    (tmp_path / "ask.lock").touch()  # no agent's
    (tmp_path / "1-abc.lock").write_text("another-machine 17 token\n")  # not ours to judge
    (tmp_path / "2-abc.lock").write_bytes(b"\xff\x00")  # torn
    assert clear_dead_agents(tmp_path) == 1
    assert left.wait(60) == -signal.SIGKILL
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1-abc.lock", "2-abc.lock", "ask.lock"]


def test_another_machines_agent_in_the_folder_is_seen_by_its_touches(tmp_path: Path) -> None:
    dead, alive = tmp_path / "0-dead.lock", tmp_path / "0-alive.lock"
    dead.write_text("elsewhere 17 token\n")
    refuse_foreign_agents(tmp_path, "here", wait=0.2)  # nobody touches it: left behind
    alive.write_text("faraway 18 token\n")
    os.utime(alive, ns=(10**18, 10**18))  # that machine's clock is years off
    threading.Timer(0.1, os.utime, [alive]).start()
    with pytest.raises(SweepError, match=r"faraway works on this sweep.*--storage postgresql"):
        refuse_foreign_agents(tmp_path, "here", wait=0.5)
    started = time.monotonic()
    refuse_foreign_agents(tmp_path / "nothing", "here", wait=60)
    assert time.monotonic() - started < 30
