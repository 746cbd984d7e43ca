"""Tells which agents and launchers are alive: each holds the lock on a file of its own in the sweep's `agents` folder.

An agent's file is `{index}-{random}.lock`, with host, process id and token in one line; a launcher's is
`launcher-{random}.json`. Locks are seen on one machine only (and not on every network file system), so an agent also
touches its file now and then for other machines.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..base.errors import SweepError
from ..base.files import read_json, remove_parts
from ..base.locks import create_locked, is_locked
from ..base.processes import kill_marked
from ..base.streams import waiting_for
from ..base.values import utc_now
from ..base.wording import counted
from .folder import SweepPaths

TOUCH = 5.0  # seconds between two touches of a living agent's lock file
SILENT = 12 * TOUCH  # seconds without a touch after which another machine's agent is taken to be gone
LAUNCHER_PATTERN = "launcher-*.json"


# -- agents -----------------------------------------------------------------------------------------------------------
class AgentLock:
    """The lock file of this process's agent.

    Its token (the value of `processes.MARKER`) is in the environment of everything that the agent starts, so that
    these processes are found should agent and guard both be killed.
    """

    def __init__(self, folder: Path, index: int, token: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{index}-{os.urandom(6).hex()}.lock"
        self._descriptor = create_locked(self.path, f"{socket.gethostname()} {os.getpid()} {token}\n".encode())

    @property
    def name(self) -> str:
        """The file's name: the agent's name in trial.json and in the storage."""
        return self.path.name

    def touch(self) -> None:
        """Shows machines that see the file, but not its lock, that the agent is alive."""
        with contextlib.suppress(OSError):
            os.utime(self.path)

    def release(self) -> None:
        """Removes the file and its lock."""
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()
        os.close(self._descriptor)


def agent_lives(folder: Path, name: str) -> bool:
    """Tells whether the agent with this lock file is alive on this machine."""
    return is_locked(folder / name)


def count_agents(paths: SweepPaths) -> int:
    """Counts this machine's living agents; they may outlive their launcher for a moment."""
    return sum(_seen_locked(path) for path in paths.agents.glob("*.lock") if path.name[:1].isdigit())


def foreign_agents(folder: Path, here: str) -> dict[Path, tuple[str, int]]:
    """Finds the lock files of other machines' agents: host, and the time of the last touch (any clock's; in ns).

    Args:
        here: this machine's host name.
    """
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


def refuse_foreign_agents(folder: Path, here: str, wait: float = 2.5 * TOUCH) -> None:
    """Refuses the embedded storage while another machine's agents work in the same folder: the storage relies on locks
    that network file systems do not keep reliably. Waits for a touch of their lock files, if there are any.

    Raises:
        SweepError: another machine's agent is alive.
    """
    before = foreign_agents(folder, here)
    if not before:
        return
    hosts = ", ".join(sorted({host for host, _ in before.values()}))
    with waiting_for(f"a heartbeat of {hosts}, which may still work on this sweep, {wait:.0f} s"):
        time.sleep(wait)
    for path, (host, touched) in foreign_agents(folder, here).items():
        if path in before and before[path][1] != touched:
            raise SweepError(
                f"{host} works on this sweep in the same folder ({folder.parent}); without a database it is for one machine: "
                "start it with --storage postgresql://USER@HOST/DATABASE to share it"
            )


def clear_dead_agents(folder: Path) -> int:
    """Kills the processes that this machine's killed agents have left, and removes those agents' lock files; returns
    the number of processes."""
    killed = 0
    for path in folder.glob("*.lock"):
        with contextlib.suppress(FileNotFoundError):
            words = path.read_text(encoding="utf-8", errors="replace").split()
            # The files of other locks (summary.lock) are empty.
            if len(words) != 3 or words[0] != socket.gethostname() or agent_lives(folder, path.name):
                continue
            killed += kill_marked(words[2])
            path.unlink()
    return killed


def clear_leftovers(paths: SweepPaths, say: Callable[[str], None]) -> None:
    """Ends the processes, and removes the half-written files, that killed launches of the sweep have left; `say` shows the
    user a line."""
    if left := clear_dead_agents(paths.agents):
        say(f"ended {counted(left, 'process', 'processes')} left over from agents that had been killed")
    remove_parts(paths.dir)


# -- launchers --------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Launcher:
    """A launcher that works on the sweep."""

    host: str
    pid: int
    started: str  # UTC, ISO 8601
    workers: int
    asleep: str | None = None  # since when it is stopped by Ctrl-Z, UTC; None: it is not


class Announcement:
    """Keeps what others see of this launcher: a locked file in the sweep's folder.

    A file that cannot be written is no error: the sweep is only not shown as running.
    """

    def __init__(self, paths: SweepPaths, workers: int) -> None:
        self._path, self._descriptor = paths.agents / f"launcher-{os.urandom(6).hex()}.json", -1
        self._shown = Launcher(socket.gethostname(), os.getpid(), utc_now(), workers)
        with contextlib.suppress(OSError):
            paths.agents.mkdir(parents=True, exist_ok=True)
            for old in paths.agents.glob(LAUNCHER_PATTERN):
                if not _seen_locked(old) and read_json(old).get("host") == socket.gethostname():
                    old.unlink(missing_ok=True)
            self._descriptor = create_locked(self._path, self._row())

    def _row(self) -> bytes:
        """Returns the content of the file."""
        return json.dumps(dataclasses.asdict(self._shown)).encode()

    def set_workers(self, number: int) -> None:
        """Shows another number of workers."""
        self._show(dataclasses.replace(self._shown, workers=number))

    def set_asleep(self, asleep: bool) -> None:
        """Shows whether the launch is stopped by Ctrl-Z from now on."""
        self._show(dataclasses.replace(self._shown, asleep=utc_now() if asleep else None))

    def _show(self, launcher: Launcher) -> None:
        """Writes the file again."""
        self._shown = launcher
        if self._descriptor >= 0:
            with contextlib.suppress(OSError):
                row = self._row().ljust(os.fstat(self._descriptor).st_size)
                os.pwrite(self._descriptor, row, 0)  # at once: others read it

    def end(self) -> None:
        """Removes the file and its lock."""
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)
            if self._descriptor >= 0:
                os.close(self._descriptor)


@contextlib.contextmanager
def announced(paths: SweepPaths, workers: int) -> Iterator[Announcement]:
    """Shows others during a block that this launcher works on the sweep."""
    announcement = Announcement(paths, workers)
    try:
        yield announcement
    finally:
        announcement.end()


def launchers(paths: SweepPaths) -> list[Launcher]:
    """Lists the launchers that work on the sweep: this machine's by their locks, other machines' by their agents'
    touches."""
    now = time.time()
    touched = foreign_agents(paths.agents, socket.gethostname()).values()
    lively = {host for host, nanoseconds in touched if now - nanoseconds / 1e9 < SILENT}
    found = []
    for path in sorted(paths.agents.glob(LAUNCHER_PATTERN)):
        locked, content = _seen_locked(path), read_json(path)
        if locked or str(content.get("host")) in lively:
            with contextlib.suppress(KeyError, TypeError, ValueError):
                content["host"] = str(content["host"])
                names = [field.name for field in dataclasses.fields(Launcher) if field.name in content]
                found.append(Launcher(**{name: content[name] for name in names}))
    return found


def other_launchers(paths: SweepPaths) -> list[Launcher]:
    """Lists the launchers that work on the sweep, less this process."""
    ours = (socket.gethostname(), os.getpid())
    return [launcher for launcher in launchers(paths) if (launcher.host, launcher.pid) != ours]


def launches_text(found: Iterable[Launcher]) -> str:
    """Names launchers by their machines and processes."""
    return "; ".join(f"{launcher.host}, process {launcher.pid}" for launcher in found)


def _seen_locked(path: Path) -> bool:
    """Tells whether a file is locked; False for one that cannot be opened."""
    try:
        return is_locked(path)
    except OSError:
        return False
