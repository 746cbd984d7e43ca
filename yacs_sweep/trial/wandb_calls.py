"""Lets what a trainer logs through W&B's client reach the launcher.

`inside/calls` writes it in the trainer's interpreter, `logs/wandb_calls.py` reads it here.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..base.files import write_atomically
from ..base.values import to_json
from ..records.folder import SweepPaths, TrialPaths, TrialRecord
from .inside.calls import FOLDER, SETTINGS

STARTUP = Path(__file__).parent / "inside" / "startup"  # a folder with a sitecustomize.py


def take_calls(env: Mapping[str, str]) -> dict[str, str]:
    """Returns a trainer's environment in which `import wandb` is prepared; other programs are not touched by it."""
    return {**env, "PYTHONPATH": os.pathsep.join(filter(None, [str(STARTUP), env.get("PYTHONPATH")]))}


def takes_calls(env: Mapping[str, str]) -> bool:
    """Tells whether the environment is one of `take_calls`."""
    return env.get("PYTHONPATH", "").split(os.pathsep)[0] == str(STARTUP)


def make_folder(sweep: SweepPaths, record: TrialRecord, config: Mapping[str, Any], output_dir: Path) -> Path:
    """Makes an empty folder for the calls of one attempt. It is not in the trial's own, which a trainer may clear.

    Args:
        config: what `wandb.config` is filled with.
        output_dir: the trainer's; files of a run's own go below it.
    """
    folder = (sweep.calls / record.name).absolute()
    shutil.rmtree(folder, ignore_errors=True)  # of an agent that was killed
    folder.mkdir(parents=True)
    settings = {
        "id": record.id,
        "name": record.name,
        "sweep_id": sweep.sweep_id,
        "config": dict(config),
        "dir": str(output_dir.absolute()),
    }
    (folder / SETTINGS).write_text(to_json(settings), encoding="utf-8")
    return folder


def environment(folder: Path) -> dict[str, str]:
    """Returns the variable by which a trainer finds the folder."""
    return {FOLDER: str(folder)}


def keep_run(paths: TrialPaths, name: str, config: Mapping[str, Any]) -> None:
    """Keeps the name and the config that the trainer gives its run, for the launcher's W&B run of the trial."""
    if name or config:
        with contextlib.suppress(OSError):
            write_atomically(paths.wandb_run, to_json({"name": name, "config": config}) + "\n", durable=False)


def remove_folder(folder: Path) -> None:
    """Removes the folder: its rows are in metrics.jsonl."""
    shutil.rmtree(folder, ignore_errors=True)
