"""Finds the folder of a sweep by its id, and names new sweeps."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import string
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..base.errors import ConfigError
from ..base.files import write_atomically
from ..base.wording import one_line
from ..spec.sweep import DEFAULT_RESULTS_DIR
from .folder import SweepPaths

BATCH = "batch-"  # begins the id of several sweeps started together
BEST_SEEDS = "-best"  # ends the id of the seeds with which the best of a sweep was trained (`--train-best`)
ID_LETTERS = string.ascii_lowercase + string.digits


def new_sweep_id() -> str:
    """Draws a sweep id of eight letters and digits, like W&B's."""
    return "".join(random.SystemRandom().choices(ID_LETTERS, k=8))


def origin_of(sweep_id: str) -> str:
    """Returns the id of the sweep whose best configuration the sweep trains; empty for a search."""
    return sweep_id.rpartition(BEST_SEEDS)[0]


def notes_folder() -> Path:
    """Returns the user's folder of notes: one file a sweep, with its results folder."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "yacs-sweep" / "sweeps"


def remember(paths: SweepPaths) -> None:
    """Notes where a sweep's results are, so that its id finds them from any folder; a failure to write is no error."""
    with contextlib.suppress(OSError):
        folder = notes_folder()
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / paths.sweep_id, str(paths.base.resolve()) + "\n", durable=False)


def find_bases(sweep_id: str, bases: list[Path], option: str = "--sweep_id", *, remembered: bool = True) -> list[Path]:
    """Lists the results folders in which to look for a sweep.

    Args:
        bases: folders to look in first.
        option: the option that names the sweep, for messages.
        remembered: whether to look also in the folder noted by `remember`; not where the user has named one.

    Raises:
        ConfigError: `sweep_id` is no sweep's id.
    """
    parts = sweep_id.split("/")
    name = parts[-1]
    if len(parts) > 3 or not all(re.fullmatch(r"\w[\w.-]*", part) for part in parts):
        raise ConfigError(f"{option} {sweep_id}: not a sweep id; write ID, PROJECT/ID or ENTITY/PROJECT/ID")
    candidates = list(bases)
    if remembered:
        with contextlib.suppress(OSError):
            candidates.append(Path((notes_folder() / name).read_text(encoding="utf-8").strip()))
    return candidates


def find_sweep(
    sweep_id: str, bases: list[Path], option: str = "--sweep_id", *, remembered: bool = True
) -> SweepPaths | None:
    """Finds the folder of an existing sweep below `bases`; None when there is none. Arguments as for `find_bases`.

    Raises:
        ConfigError: `sweep_id` is no sweep's id, or a batch's.
    """
    for base in find_bases(sweep_id, bases, option, remembered=remembered):
        paths = SweepPaths(base, sweep_id.split("/")[-1])
        if paths.launch.is_file() and paths.spec.is_file():
            return paths
        if paths.sweep_id.startswith(BATCH) and paths.summary.is_file():
            names = ", ".join(str(row["sweep_id"]) for row in batch_rows(paths))
            raise ConfigError(f"{option} {sweep_id}: is a batch; name one of its sweeps: {names}")
    return None


def batch_rows(paths: SweepPaths) -> list[dict[str, Any]]:
    """Reads the rows of a batch's summary.json, one a sweep.

    Raises:
        ConfigError: the file is damaged.
    """
    try:
        rows: list[dict[str, Any]] = json.loads(paths.summary.read_text(encoding="utf-8"))["sweeps"]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ConfigError(f"{paths.summary}: cannot be read: {one_line(error)}") from error
    return rows


def result_bases(results_dir: str | None) -> list[Path]:
    """Returns the folder in which to look for sweeps: the one the user names, else the default one."""
    return [Path(results_dir or DEFAULT_RESULTS_DIR).expanduser().resolve()]


def find(sweep_id: str, results_dir: str | None, option: str = "--sweep_id") -> SweepPaths | None:
    """Finds an existing sweep: below the results folder the user names, else also where `remember` has noted it.

    Raises:
        ConfigError: `sweep_id` is no sweep's id, or a batch's.
    """
    return find_sweep(sweep_id, result_bases(results_dir), option, remembered=not results_dir)


def refuse_unwritable(paths: SweepPaths, places: Iterable[Path]) -> None:
    """Raises ConfigError where another user has made one of these places in the sweep's folder, and we may not write there."""
    for place in places:
        if place.exists() and not os.access(place, os.W_OK | os.X_OK if place.is_dir() else os.W_OK):
            try:
                owner = place.owner()
            except KeyError:  # a user of another machine
                owner = f"user {place.stat().st_uid}"
            raise ConfigError(
                f"{place}: cannot be written to; its owner, {owner}, can let the group in: chmod -R g+rwX {paths.dir}"
            )
