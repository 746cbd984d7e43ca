"""Locks files between processes and machines (flock)."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from .files import NEW_FILE


def _kernel() -> str:
    """Identifies the running kernel, or the host where the kernel has no id."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return socket.gethostname()


KERNEL = _kernel()  # processes with the same value see the same locks


@contextlib.contextmanager
def exclusive(path: Path, wait: float | None = None) -> Iterator[None]:
    """Holds the lock on the file `path`.

    Args:
        wait: seconds after which the body runs without the lock, for work that is better done unlocked than not at all;
            None waits without end.
    """
    descriptor = _open(path)
    try:
        if wait is None:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        else:
            deadline = time.monotonic() + wait
            while not _lock_now(descriptor) and time.monotonic() < deadline:
                time.sleep(0.01)
        yield
    finally:
        os.close(descriptor)


def lock_if_free(path: Path) -> int | None:
    """Takes the lock on a file without waiting; returns the descriptor that holds it, None where another process has it.

    Raises:
        OSError: the file cannot be opened.
    """
    descriptor = _open(path)
    if _lock_now(descriptor):
        return descriptor
    os.close(descriptor)
    return None


def create_locked(path: Path, content: bytes) -> int:
    """Creates a file that is locked before anybody sees it; returns the descriptor that holds the lock.

    Raises:
        OSError: the file cannot be written.
    """
    hidden = path.with_suffix(".new")
    descriptor = os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, NEW_FILE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.write(descriptor, content)
        os.rename(hidden, path)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def is_locked(path: Path) -> bool:
    """Tells whether a process holds the lock on a file; False when there is no such file. Two that ask at the same time
    do not see each other.

    Raises:
        OSError: the file cannot be opened.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _open(path: Path) -> int:
    """Opens a lock file, which another user may have made: who may only read the file can lock it as well (on NFS, who
    may write)."""
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, NEW_FILE)
    except PermissionError:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


def _lock_now(descriptor: int) -> bool:
    """Takes the lock if nobody holds it; returns whether that worked."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
