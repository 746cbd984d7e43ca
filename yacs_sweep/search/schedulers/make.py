"""Makes the engine that chooses a sweep's points."""

from __future__ import annotations

import os
from pathlib import Path

from ...records.folder import SweepPaths
from ...records.inputs import SCHEDULER, Inputs
from ...records.launch_file import LaunchFile
from ...spec.sweep import SweepSpec
from ..sampling import Chooser
from ..space import Space
from .ax_client import AxEngine
from .engine import Engine
from .optuna_study import OptunaEngine
from .own import OwnEngine
from .source import UserFile, sweep_info


def make_engine(spec: SweepSpec, space: Space, seed: int, chooser: Chooser, paths: SweepPaths) -> Engine:
    """Makes the engine of a sweep that has a folder; the user's file is the copy in that folder.

    Args:
        seed: of the search.
        chooser: the launcher's own search.

    Raises:
        SweepError: the scheduler cannot be used; the text says why.
    """
    if spec.scheduler is None:
        return OwnEngine(chooser, space)
    return scheduler_engine(spec, space, seed, _user_file(spec, paths), paths.sweep_id)


def scheduler_engine(spec: SweepSpec, space: Space, seed: int, file: UserFile | None, sweep_id: str) -> Engine:
    """Makes the engine that the sweep file's `scheduler` names.

    Args:
        file: the user's, loaded; None: the scheduler has none.

    Raises:
        SweepError: the engine is not installed, or the user's functions are wrong.
    """
    assert spec.scheduler is not None
    if spec.scheduler.engine == "ax":
        return AxEngine(spec, space, seed, file, sweep_info(spec, sweep_id))
    return OptunaEngine(spec, space, seed, file, sweep_info(spec, sweep_id))


def _user_file(spec: SweepSpec, paths: SweepPaths) -> UserFile | None:
    """Loads the user's file: the copy in the sweep's folder, which may import what lies beside the original."""
    scheduler = spec.scheduler
    if scheduler is None or scheduler.source is None:
        return None
    project = Path(LaunchFile.load(paths).cwd) if paths.launch.is_file() else Path.cwd()
    inputs = Inputs.load(paths, project)
    entry = next((item for item in inputs.entries if item.kind == SCHEDULER), None)
    if entry is None:
        return UserFile(scheduler.source, scheduler.source)
    original = project / entry.path
    copy = inputs.file(SCHEDULER)
    return UserFile(copy or original, scheduler.source, os.path.dirname(original))
