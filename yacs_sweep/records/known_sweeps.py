"""Finds the folder of a sweep by its id, and names new sweeps."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import string
from pathlib import Path
from typing import Any

from ..base.errors import ConfigError
from ..base.files import write_atomically
from ..base.wording import one_line
from ..spec.sweep import DEFAULT_RESULTS_DIR
from .folder import SweepPaths

BATCH = "batch-"  # begins the id of several sweeps started together
ID_LETTERS = string.ascii_lowercase + string.digits


def new_sweep_id() -> str:
    """Eight letters and digits, like W&B's."""
    return "".join(random.SystemRandom().choices(ID_LETTERS, k=8))


def pointers() -> Path:
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "yacs-sweep" / "sweeps"


def remember(paths: SweepPaths) -> None:
    """Notes where a sweep's results are, so that its id alone finds them from any folder. A note that cannot be written
    costs only that."""
    try:
        folder = pointers()
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / paths.sweep_id, str(paths.base.resolve()) + "\n", durable=False)
    except OSError:
        pass


def find_bases(sweep_id: str, bases: list[Path], option: str = "--sweep_id", *, remembered: bool = True) -> list[Path]:
    """Where to look for a sweep: below `bases`, and where it was `remembered` to be unless the user has named a folder.
    `option`: what names the sweep.

    Raises:
        ConfigError: that is no sweep's id.
    """
    parts = sweep_id.split("/")
    name = parts[-1]
    if len(parts) > 3 or not all(re.fullmatch(r"\w[\w.-]*", part) for part in parts):
        raise ConfigError(f"{option} {sweep_id}: not a sweep id; write ID, PROJECT/ID or ENTITY/PROJECT/ID")
    candidates = list(bases)
    if remembered:
        with contextlib.suppress(OSError):
            candidates.append(Path((pointers() / name).read_text(encoding="utf-8").strip()))
    return candidates


def find_sweep(
    sweep_id: str, bases: list[Path], option: str = "--sweep_id", *, remembered: bool = True
) -> SweepPaths | None:
    """The folder of an existing sweep; raises as `find_bases` does, and when it is several sweeps."""
    for base in find_bases(sweep_id, bases, option, remembered=remembered):
        paths = SweepPaths(base, sweep_id.split("/")[-1])
        if paths.launch.is_file() and paths.spec.is_file():
            return paths
        if paths.sweep_id.startswith(BATCH) and paths.summary.is_file():
            names = ", ".join(str(row["sweep_id"]) for row in batch_rows(paths))
            raise ConfigError(f"{option} {sweep_id}: is a batch; name one of its sweeps: {names}")
    return None


def batch_rows(paths: SweepPaths) -> list[dict[str, Any]]:
    """The sweeps of a batch, as its summary has them. Raises ConfigError for a file that is damaged."""
    try:
        rows: list[dict[str, Any]] = json.loads(paths.summary.read_text(encoding="utf-8"))["sweeps"]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ConfigError(f"{paths.summary}: cannot be read: {one_line(error)}") from error
    return rows


def result_bases(results_dir: str | None) -> list[Path]:
    """Folders in which an existing sweep is looked for: the one the user names, else the usual one."""
    return [Path(results_dir or DEFAULT_RESULTS_DIR).expanduser().resolve()]


def find(sweep_id: str, results_dir: str | None, option: str = "--sweep_id") -> SweepPaths | None:
    """An existing sweep's folder: below the one the user names, else wherever it is. Raises ConfigError: no sweep's id."""
    return find_sweep(sweep_id, result_bases(results_dir), option, remembered=not results_dir)
