"""The embedded storage and its locks, under processes that die in the middle of things."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from tests.sweeping import ROOT
from yacs_sweep.base.errors import ConfigError, SweepError
from yacs_sweep.base.processes import MARKER, marked_processes
from yacs_sweep.records.alive import AgentLock, agent_lives, clear_dead_agents, refuse_foreign_agents
from yacs_sweep.search.storage.journal import JournalLock, open_storage


def test_a_torn_line_is_cut_off_by_the_next_writer(tmp_path: Path) -> None:
    journal = tmp_path / "storage.journal"
    study = optuna.create_study(storage=open_storage(journal, None), study_name="s")
    study.tell(study.ask(), 1.0)
    whole = journal.read_bytes()
    with journal.open("ab") as file:
        file.write(b'{"op_code": 6, "trial_' + b"x" * 10000)
    again = optuna.load_study(storage=open_storage(journal, None), study_name="s")
    again.tell(again.ask(), 2.0)
    assert journal.read_bytes().startswith(whole + b"{")
    fresh = optuna.load_study(storage=open_storage(journal, None), study_name="s")
    assert [trial.value for trial in fresh.get_trials()] == [1.0, 2.0]


def test_a_journal_that_is_one_torn_line_becomes_empty(tmp_path: Path) -> None:
    journal = tmp_path / "storage.journal"
    journal.write_bytes(b"{" * 9000)
    lock = JournalLock(journal)
    lock.acquire()
    lock.release()
    assert journal.read_bytes() == b""


def test_optunas_own_storage_opens_the_journal_as_its_dashboard_does(tmp_path: Path) -> None:
    journal = tmp_path / "storage.journal"
    study = optuna.create_study(storage=open_storage(journal, None), study_name="s", direction="maximize")
    trial = study.ask()
    trial.suggest_float("lr", 1e-5, 1e-2, log=True)
    study.tell(trial, 1.0)
    own = JournalStorage(JournalFileBackend(str(journal)))
    (found,) = optuna.get_all_study_summaries(own)
    assert (found.study_name, found.n_trials) == ("s", 1)
    assert optuna.load_study(storage=own, study_name="s").best_params.keys() == {"lr"}


HOLDER = """
import sys; sys.path.insert(0, {root!r})
from pathlib import Path
from yacs_sweep.search.storage.journal import JournalLock
JournalLock(Path({journal!r})).acquire(); print("held", flush=True); sys.stdin.read()
"""


def test_a_killed_holder_of_the_journals_lock_holds_nobody_up(tmp_path: Path) -> None:
    journal = tmp_path / "storage.journal"
    code = HOLDER.format(root=str(ROOT), journal=str(journal))
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        holder.kill()
    started = time.monotonic()
    lock = JournalLock(journal)
    lock.acquire()
    lock.release()
    assert time.monotonic() - started < 1.0


def test_a_storage_that_cannot_be_reached_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--storage") as caught:
        open_storage(tmp_path / "x", "nosuchdatabase://nowhere/x")
    assert "\n" not in str(caught.value)


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
    until = time.monotonic() + 5
    while not marked_processes(f"t{os.getpid()}") and time.monotonic() < until:  # it is there a moment after its start
        time.sleep(0.01)
    (tmp_path / "ask.lock").touch()  # no agent's
    (tmp_path / "1-abc.lock").write_text("another-machine 17 token\n")  # not ours to judge
    (tmp_path / "2-abc.lock").write_bytes(b"\xff\x00")  # torn
    assert clear_dead_agents(tmp_path) == 1
    assert left.wait(5) == -signal.SIGKILL
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
    assert time.monotonic() - started < 1
