"""Projects with sweeps that earlier versions have made, to be resumed by the present one.

``VERSION/project`` is a project as that version's launcher left it: its trainer, its sweep files and ``log/sweep``. It was
made in /srv/project, on a machine called workstation, which is what its records say. So wherever a test copies it to, it
is a project that was moved on its machine, whose name is put in. Left out are W&B's log files, and the kernel's name in
environment.json. The SQLite database is kept as text.

``VERSION/contracts.json`` lists what that version's documents promise by name.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import sqlite3
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
VERSIONS = sorted(path.name for path in HERE.iterdir() if (path / "project").is_dir())
A_DAY = 86400.0
HOST = "workstation"


def copy_project(version: str, to: Path) -> Path:
    """Copies a version's project into a new folder `to`; its files are a day old, so that nothing in it seems to run."""
    shutil.copytree(HERE / version / "project", to)
    dump = to / "trials.sql"
    with sqlite3.connect(to / "trials.db") as database:
        database.executescript(dump.read_text(encoding="utf-8"))
    database.close()
    dump.unlink()
    for path in to.rglob("*"):
        if path.suffix in (".json", ".journal", ".lock"):
            path.write_text(path.read_text(encoding="utf-8").replace(HOST, socket.gethostname()), encoding="utf-8")
        then = path.stat().st_mtime - A_DAY
        os.utime(path, (then, then))
    return to


def sweeps(version: str) -> dict[str, str]:
    """Returns the ids of the project's sweeps, by the names of their sweep files."""
    folders = (HERE / version / "project" / "log" / "sweep" / "sweep").iterdir()
    return {json.loads((folder / "summary.json").read_text())["name"]: folder.name for folder in folders}


def contracts(version: str) -> dict[str, Any]:
    """Reads what a version promises by name: options, keys, profiles, presets, names in Python."""
    found: dict[str, Any] = json.loads((HERE / version / "contracts.json").read_text(encoding="utf-8"))
    return found
