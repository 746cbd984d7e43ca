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
from typing import Any

from .locks import TOUCH, foreign
from .results import SweepPaths, utc_now

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


def read(path: Path) -> dict[str, Any]:
    """A JSON file's object; empty where it cannot be read."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


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
