"""Locks the kernel gives back when their holder dies, and the agents' files that say who lives."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from .errors import SweepError
from .process import kill_marked


def _kernel() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return socket.gethostname()


TOUCH = 5.0  # seconds between two touches of a living agent's lock file
KERNEL = _kernel()  # of this machine since it was started: what shares it sees the same locks


@contextlib.contextmanager
def exclusive(path: Path, wait: float | None = None) -> Iterator[None]:
    """Holds `flock` on the file `path`. With `wait` it goes on without the lock after so many seconds: for what is
    better done unlocked than not at all."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
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


def _lock_now(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


class OwnLock:
    """A locked file that says "this agent lives". Its line: host, process id, and the token (`process.MARKER`) in the
    environment of all that the agent starts, by which it is found should agent and guard both be killed."""

    def __init__(self, folder: Path, index: int, token: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{index}-{uuid.uuid4().hex[:12]}.lock"
        hidden = self.path.with_suffix(".new")  # nobody sees the file before it is locked
        self._descriptor = os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        os.write(self._descriptor, f"{socket.gethostname()} {os.getpid()} {token}\n".encode())
        os.rename(hidden, self.path)

    @property
    def name(self) -> str:
        return self.path.name

    def touch(self) -> None:
        """Shows machines that do not see the lock, but the file, that its agent lives."""
        with contextlib.suppress(OSError):
            os.utime(self.path)

    def release(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()
        os.close(self._descriptor)


def agent_lives(folder: Path, name: str) -> bool:
    """Whether the agent with that lock file is still running."""
    try:
        descriptor = os.open(folder / name, os.O_WRONLY | os.O_CLOEXEC)
    except (FileNotFoundError, IsADirectoryError):
        return False
    try:
        return not _lock_now(descriptor)
    finally:
        os.close(descriptor)


def foreign(folder: Path, here: str) -> dict[Path, tuple[str, int]]:
    """Lock files of other machines' agents: the host, and when they were last touched (by any clock; in ns)."""
    found = {}
    for path in folder.glob("*.lock"):
        with contextlib.suppress(OSError):
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)  # opening makes NFS ask its server
            try:
                words = os.read(descriptor, 4096).decode(errors="replace").split()
                if len(words) == 3 and words[0] != here:
                    found[path] = (words[0], os.fstat(descriptor).st_mtime_ns)
            finally:
                os.close(descriptor)
    return found


def one_machine(folder: Path, here: str, wait: float = 2.5 * TOUCH) -> None:
    """Refuses the embedded storage while another machine's agents work in the same folder: it relies on locks that file
    systems of a network do not keep reliably. They are known by their lock files, which a living agent touches.

    Raises:
        SweepError: another machine's agent lives.
    """
    before = foreign(folder, here)
    if not before:
        return
    time.sleep(wait)
    for path, (host, touched) in foreign(folder, here).items():
        if path in before and before[path][1] != touched:
            raise SweepError(
                f"{host} works on this sweep in the same folder ({folder.parent}); without a database it is for one machine: "
                "start it with --storage postgresql://USER@HOST/DATABASE to share it"
            )


def clear_dead_agents(folder: Path) -> int:
    """Ends what agents that were killed on this machine have left running, and removes their lock files; returns how
    many processes there were."""
    killed = 0
    for path in folder.glob("*.lock"):
        with contextlib.suppress(FileNotFoundError):
            words = path.read_text(encoding="utf-8", errors="replace").split()
            # ask.lock and its like are no agent's: their files are empty.
            if len(words) != 3 or words[0] != socket.gethostname() or agent_lives(folder, path.name):
                continue
            killed += kill_marked(words[2])
            path.unlink()
    return killed
