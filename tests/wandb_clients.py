"""Interpreters with other W&B clients than this environment's, for tests of what must hold with any of them."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def clients() -> list[str]:
    """Returns this interpreter, and those that the variable WANDB_CLIENTS names (a list like PATH)."""
    others = [word for word in os.environ.get("WANDB_CLIENTS", "").split(os.pathsep) if word]
    return [sys.executable, *(word for word in others if Path(word).is_file())]


def interpreters() -> list[str]:
    """Returns an interpreter without a W&B client of every version from 3.7 on that pyenv has here."""
    found = {}
    for python in sorted(Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")).glob("versions/3.*/bin/python")):
        version = tuple(map(int, python.parts[-3].split(".")[:2]))
        if version >= (3, 7) and not list(python.parents[1].glob("lib/python*/site-packages/wandb")):
            found.setdefault(version, str(python))
    return [found[version] for version in sorted(found)]
