"""Which launchers work on a sweep: each holds a locked file in the sweep's folder while it does."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import socket
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..base.errors import SweepError
from ..base.files import read
from ..base.locks import _lock_now
from ..base.processes import kill_marked
from .folder import SweepPaths, utc_now

TOUCH = 5.0  # seconds between two touches of a living agent's lock file


class OwnLock:
    """A locked file that says "this agent lives". Its line: host, process id, and the token (`processes.MARKER`) in the
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


PATTERN = "launcher-*.json"
SILENT = 12 * TOUCH  # seconds without a touch after which another machine's agent is taken to be gone


@dataclass(frozen=True)
class Launcher:
    """One that works on the sweep now."""

    host: str
    pid: int
    started: str  # UTC, ISO 8601
    workers: int


@contextlib.contextmanager
def present(paths: SweepPaths, workers: int) -> Iterator[None]:
    """Says in the sweep's folder that we work on it. A file that cannot be written costs only that."""
    descriptor = -1
    path = paths.agents / f"launcher-{uuid.uuid4().hex[:12]}.json"
    try:
        paths.agents.mkdir(parents=True, exist_ok=True)
        for old in paths.agents.glob(PATTERN):
            if not _held(old) and read(old).get("host") == socket.gethostname():
                old.unlink(missing_ok=True)
        hidden = path.with_suffix(".new")  # nobody sees the file before it is locked
        descriptor = os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        content = {"host": socket.gethostname(), "pid": os.getpid(), "started": utc_now(), "workers": workers}
        os.write(descriptor, json.dumps(content).encode())
        os.rename(hidden, path)
    except OSError:
        pass
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
            if descriptor >= 0:
                os.close(descriptor)


def _held(path: Path) -> bool:
    """Whether somebody has the file locked. Needs no permission to write, and two that look do not see each other."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def launchers(paths: SweepPaths) -> list[Launcher]:
    """Those that work on the sweep, by their locks; on other machines, whose locks are not seen here, by their agents'
    signs of life."""
    fresh = {host for host, touched in foreign(paths.agents, socket.gethostname()).values() if _fresh(touched)}
    found = []
    for path in sorted(paths.agents.glob(PATTERN)):
        held, content = _held(path), read(path)
        if held or content.get("host") in fresh:
            with contextlib.suppress(KeyError, TypeError, ValueError):
                content["host"] = str(content["host"])
                found.append(Launcher(**{field.name: content[field.name] for field in dataclasses.fields(Launcher)}))
    return found


def agents(paths: SweepPaths) -> int:
    """Agents of this machine that live: they may for a moment when their launcher is gone."""
    return sum(_held(path) for path in paths.agents.glob("*.lock") if path.name[:1].isdigit())


def _fresh(touched: int) -> bool:
    return time.time() - touched / 1e9 < SILENT
