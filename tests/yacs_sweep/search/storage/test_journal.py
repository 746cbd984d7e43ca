"""Tests the journal file and its lock with processes that are killed while they write."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from tests.sweeping import ROOT
from yacs_sweep.base.errors import ConfigError
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
    assert time.monotonic() - started < 10


def test_a_storage_that_cannot_be_reached_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--storage") as caught:
        open_storage(tmp_path / "x", "nosuchdatabase://nowhere/x")
    assert "\n" not in str(caught.value)
