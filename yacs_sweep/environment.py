"""What a sweep ran on, for its report: written once, when the sweep is created."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from typing import Any

from .results import SweepPaths, to_json, write_atomically

FILE = "environment.json"
PACKAGES = ("yacs-sweep", "torch", "torchvision", "yacs", "numpy", "optuna", "wandb")


def describe() -> dict[str, Any]:
    """The launcher's interpreter, its packages, the machine's kind; nothing that names a person or a place."""
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
    """Writes environment.json unless it is there."""
    path = paths.dir / FILE
    if not path.exists():
        write_atomically(path, to_json(describe(), indent=1) + "\n", durable=False)
