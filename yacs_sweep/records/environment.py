"""Describes the environment of a sweep for its report, and finds the commit that each trial ran."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from ..base.files import write_atomically
from ..base.values import to_json
from .folder import SweepPaths

FILE = "environment.json"
DIRTY = "+dirty"  # behind a commit, where tracked files differ from it
PACKAGES = ("yacs-sweep", "torch", "torchvision", "yacs", "numpy", "optuna", "wandb")


def describe() -> dict[str, Any]:
    """Lists interpreter, packages and kind of machine; nothing that names a person or a place."""
    versions, system = installed(), os.uname()
    return {
        "Python": "{}.{}.{}".format(*sys.version_info),
        "system": f"{system.sysname} {system.release}, {system.machine}",
        "CPUs": os.cpu_count(),
        "packages": {name: versions[name] for name in PACKAGES if name in versions},
    }


def installed() -> dict[str, str]:
    """Returns the versions of installed packages by name, from the names of their folders of metadata.

    `importlib.metadata` reads them too, with 6 MB of parsers for mail.
    """
    found: dict[str, str] = {}
    for folder in sys.path:
        with contextlib.suppress(OSError):
            for entry in os.listdir(folder or "."):
                stem, _, kind = entry.rpartition(".")
                name, _, version = stem.partition("-")
                if kind in ("dist-info", "egg-info") and version:
                    found.setdefault(name.replace("_", "-").lower(), version.partition("-")[0])
    return found


def save(paths: SweepPaths) -> None:
    """Writes environment.json unless the sweep has one."""
    path = paths.dir / FILE
    if not path.exists():
        write_atomically(path, to_json(describe(), indent=1) + "\n", durable=False)


class Commit:
    """Asks git what is checked out in a folder; it looks while the caller does something else."""

    def __init__(self, folder: str | Path) -> None:
        self._found: str | None = None
        self._lock = threading.Lock()
        self._asked: list[subprocess.Popen[str]] = []
        for words in (["rev-parse", "HEAD"], ["status", "--porcelain", "--untracked-files=no"]):
            with contextlib.suppress(OSError):
                self._asked.append(
                    subprocess.Popen(
                        ["git", "-C", str(folder), *words],
                        stdin=subprocess.DEVNULL,
                        stdout=subprocess.PIPE,
                        stderr=subprocess.DEVNULL,
                        text=True,
                    )
                )

    def get(self) -> str | None:
        """Returns the commit, `+dirty` behind it when tracked files differ; None outside a repository."""
        with self._lock:
            if self._asked:
                answers = [_answer(process) for process in self._asked]
                self._asked = []
                if len(answers) == 2 and None not in answers:
                    self._found = f"{answers[0]}{DIRTY}" if answers[1] else answers[0]
            return self._found


def _answer(process: subprocess.Popen[str]) -> str | None:
    try:
        out, _ = process.communicate(timeout=5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return None
    return out.strip() if process.returncode == 0 else None
