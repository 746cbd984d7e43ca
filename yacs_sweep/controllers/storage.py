"""Where the embedded controller keeps its trials: one journal file, or any database SQLAlchemy reaches.

The journal's lock is `flock(2)`, which the kernel releases when its holder dies; Optuna's own lock files stay behind a
killed process and make everybody wait 30 s. A line cut off by such a death is removed by the next writer.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import optuna
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.storages.journal._file import BaseJournalFileLock

from ..errors import ConfigError


class JournalLock(BaseJournalFileLock):
    """Exclusive use of a journal file while it is appended to."""

    def __init__(self, journal: Path) -> None:
        self._journal = journal
        self._descriptor: int | None = None

    def acquire(self) -> bool:
        descriptor = os.open(self._journal, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        _cut_unfinished_line(descriptor)
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        assert self._descriptor is not None
        os.close(self._descriptor)
        self._descriptor = None


def _cut_unfinished_line(descriptor: int) -> None:
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


@contextlib.contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Holds `flock` on the file `path`; the kernel gives it back when the process dies."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def open_storage(journal: Path, url: str | None) -> BaseStorage:
    """The storage at `url`, or the embedded file when there is none.

    Raises:
        ConfigError: the URL cannot be used.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if url is None:
        return JournalStorage(JournalFileBackend(str(journal), lock_obj=JournalLock(journal)))
    try:
        return RDBStorage(url)
    except Exception as error:
        raise ConfigError(f"--storage: cannot use that database: {type(error).__name__}: {str(error).splitlines()[0]}") from error
