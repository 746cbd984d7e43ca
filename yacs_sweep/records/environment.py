"""Describes the environment of a sweep for its report, and finds the commit that each trial ran."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

from ..base.files import write_atomically
from ..base.values import to_json
from .folder import SweepPaths

FILE = "environment.json"
PACKAGES = ("yacs-sweep", "torch", "torchvision", "yacs", "numpy", "optuna", "wandb")


def describe() -> dict[str, Any]:
    """Lists interpreter, packages and kind of machine; nothing that names a person or a place."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {
        "Python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "CPUs": os.cpu_count(),
        "packages": versions,
    }


def save(paths: SweepPaths) -> None:
    """Writes environment.json unless the sweep has one."""
    path = paths.dir / FILE
    if not path.exists():
        write_atomically(path, to_json(describe(), indent=1) + "\n", durable=False)


def git_commit(folder: str | Path) -> str | None:
    """Finds the commit checked out in `folder`, with `+dirty` when tracked files differ; None outside a repository."""
    try:
        head, status = (
            subprocess.run(
                ["git", "-C", str(folder), *words], capture_output=True, text=True, timeout=5, check=True
            ).stdout.strip()
            for words in (["rev-parse", "HEAD"], ["status", "--porcelain", "--untracked-files=no"])
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return f"{head}+dirty" if status else head
