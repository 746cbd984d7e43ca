"""Keeps the trials of an embedded sweep in one journal file.

The journal's lock is `flock(2)`, which the kernel releases when its holder dies; Optuna's own lock files stay behind a
killed process and make everybody wait 30 s. A line cut off by such a death is removed by the next writer.
"""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.storages.journal._file import BaseJournalFileLock, get_lock_file
from optuna.storages.journal._storage import JournalOperation
from optuna.trial import FrozenTrial

from ...base.files import NEW_FILE


class JournalLock(BaseJournalFileLock):
    """Locks a journal file while one process appends to it."""

    def __init__(self, journal: Path) -> None:
        self._journal = journal
        self._descriptor: int | None = None

    def acquire(self) -> bool:
        """Waits for the lock, then removes a line that a killed writer has left unfinished."""
        descriptor = os.open(self._journal, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, NEW_FILE)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        _cut_unfinished_line(descriptor)
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Releases the lock."""
        assert self._descriptor is not None
        os.close(self._descriptor)
        self._descriptor = None


class Journal(JournalFileBackend):
    """Appends to Optuna's journal file, with an fsync only at the end of a trial.

    A running trial is lost with the machine anyway, and what was written survives the death of any process without an
    fsync, which would hold up the trial at each logged value.
    """

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Appends entries in one write, so that no reader sees some of them without the others."""
        text = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs)
        with get_lock_file(self._lock), open(self._file_path, "ab") as file:
            file.write(text.encode())
            file.flush()
            if any(log["op_code"] == JournalOperation.SET_TRIAL_STATE_VALUES for log in logs):
                os.fsync(file.fileno())


class Embedded(JournalStorage):
    """Reads trials from a journal; the newest ones without listing all."""

    def trials_from(self, study_id: int, first: int) -> list[FrozenTrial]:
        """Reads the trials whose number is `first` or more."""
        with self._thread_lock:
            self._sync_with_backend()
            result = self._replay_result
            return [result.get_trial(trial_id) for trial_id in result._study_id_to_trial_ids[study_id][first:]]


def _cut_unfinished_line(descriptor: int) -> None:
    """Truncates a file after its last newline."""
    size = os.fstat(descriptor).st_size
    end = size
    while end > 0:
        start = max(0, end - 4096)
        newline = os.pread(descriptor, end - start, start).rfind(b"\n")
        if newline >= 0:
            end = start + newline + 1
            break
        end = start
    if end != size:
        os.ftruncate(descriptor, end)


def open_storage(journal: Path, url: str | None) -> BaseStorage:
    """Opens the storage at `url`; the journal file where no URL is given.

    Raises:
        ConfigError: the URL cannot be used.
    """
    if url is None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        return Embedded(Journal(str(journal), lock_obj=JournalLock(journal)))
    from .relational import open_database  # a journal needs no SQLAlchemy, which takes a while to import

    return open_database(url)
