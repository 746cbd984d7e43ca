"""Makes a sweep on each of the storages, for the tests that all storages and all controllers must pass."""

from __future__ import annotations

from pathlib import Path

from tests.postgres import Postgres
from yacs_sweep.records.folder import SweepPaths
from yacs_sweep.records.launch_file import LaunchFile
from yacs_sweep.search.storage.coordinator import Coordinator
from yacs_sweep.search.storage.database_coordinator import DatabaseCoordinator
from yacs_sweep.search.storage.folder_coordinator import FolderCoordinator
from yacs_sweep.search.storage.shared_sweep import SharedSweep
from yacs_sweep.search.storage.url import shared
from yacs_sweep.search.warm_start import WarmStart
from yacs_sweep.spec.sweep import SweepSpec

STORAGES = ("journal", "sqlite", "postgresql")

# An agent in a process of its own that stops while it has the right to give out points: base folder, url.
AGENT_PROCESS = """
import sys
from pathlib import Path
from tests.yacs_sweep.search.sweeps import make_coordinator
from yacs_sweep.records.alive import AgentLock
from yacs_sweep.records.folder import SweepPaths
paths = SweepPaths(Path(sys.argv[1]), "s")
lock = AgentLock(paths.agents, 9, "token")
with make_coordinator(paths, lock.name, sys.argv[2] or None).exclusively():
    print("held", flush=True)
    sys.stdin.read()
"""


def storage_url(kind: str, folder: Path, server: Postgres | None) -> str | None:
    """Returns the URL of a storage of a kind; None for the journal file."""
    if kind == "postgresql":
        assert server is not None
        return server.url
    return f"sqlite:///{folder / 'trials.db'}" if kind == "sqlite" else None


def describe(paths: SweepPaths, spec: SweepSpec, url: str | None) -> None:
    """Describes the sweep to a database that machines share, as its launcher does."""
    if url is not None and shared(url):
        launch = LaunchFile("local", None, "toy", None, (), 1, None, "disabled", None, None, str(paths.dir), 3)
        SharedSweep(url, paths.sweep_id).describe(spec, launch, WarmStart())


def make_coordinator(paths: SweepPaths, lock_name: str, url: str | None) -> Coordinator:
    """Makes an agent's coordinator on the storage at `url`."""
    if url is not None and shared(url):
        return DatabaseCoordinator(paths, lock_name, url)
    return FolderCoordinator(paths, lock_name, url)
