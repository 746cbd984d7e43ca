"""Describes the environment of a sweep for its report, and finds the commit that each trial ran."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..base.files import read_json, write_atomically
from ..base.shipped import NAME, installed, version_with_commit
from ..base.values import to_json
from .folder import SweepPaths

FILE = "environment.json"
DEFAULTS = "defaults.json"  # in inputs/: what the trainer's parameters are where nothing sets them
UNCOMMITTED = "code.diff"  # in inputs/: how the working tree differed from the commit as the sweep began
MOST = 1 << 18  # bytes of it
DIRTY = "+dirty"  # behind a commit, where tracked files differ from it
PACKAGES = ("torch", "torchvision", "yacs", "numpy", "optuna", "wandb")


def describe() -> dict[str, Any]:
    """Lists interpreter, packages and kind of machine; nothing that names a person or a place."""
    versions, system = installed(), os.uname()
    return {
        "Python": "{}.{}.{}".format(*sys.version_info),
        "system": f"{system.sysname} {system.release}, {system.machine}",
        "CPUs": os.cpu_count(),
        "packages": {
            NAME: version_with_commit(),
            **{name: versions[name] for name in PACKAGES if name in versions},
        },
    }


def save(paths: SweepPaths) -> None:
    """Writes environment.json unless the sweep has one; a failure to write is no error."""
    path = paths.dir / FILE
    with contextlib.suppress(OSError):
        if not path.exists():
            write_atomically(path, to_json(describe(), indent=1) + "\n", durable=False)


def save_defaults(paths: SweepPaths, values: Mapping[str, Any]) -> None:
    """Writes inputs/defaults.json unless the sweep has one: the trainer's defaults by the parameters' names. Raises OSError."""
    path = paths.inputs / DEFAULTS
    if values and not path.exists():
        path.parent.mkdir(exist_ok=True)
        write_atomically(path, to_json(values, indent=1) + "\n", durable=False)


def read_defaults(folder: Path) -> dict[str, Any]:
    """Reads the trainer's defaults from a sweep's folder; empty for a sweep that did not keep them."""
    return read_json(folder / "inputs" / DEFAULTS)


def save_uncommitted(paths: SweepPaths, project: str | Path) -> None:
    """Writes inputs/code.diff where tracked files differ from the commit: the first `MOST` bytes of the patch. Raises OSError."""
    command = [
        "git",
        "-C",
        str(project),
        "-c",
        "core.quotePath=false",
        "diff",
        "--no-color",
        "--no-ext-diff",
        "HEAD",
        "--",
        ".",
    ]
    found = b""
    with (
        contextlib.suppress(OSError),
        subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as process,
    ):
        assert process.stdout is not None
        found = process.stdout.read(MOST)
        process.kill()  # of more than that, git would wait for a reader
    if found:
        write_atomically(paths.inputs / UNCOMMITTED, found.decode(errors="replace"), durable=False)


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
