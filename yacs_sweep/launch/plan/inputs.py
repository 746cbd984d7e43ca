"""Collects the files that describe a sweep, and tells when the originals differ from the copies.

One of them is code that the launcher itself runs: the Python file of a scheduler, which is tried here.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ...base.errors import ConfigError
from ...base.wording import counted
from ...records.code.snapshot import check_snapshot
from ...records.code.watched import InputWatch
from ...records.folder import SweepPaths
from ...records.inputs import CONFIG, INCLUDE, PROFILE, SCHEDULER, SWEEP, Inputs, Taken, take_files
from ...search.schedulers.check import FIRST_POINTS, Tried, try_scheduler
from ...spec.sweep import SweepSpec
from ...spec.sweep_files import find_sweep_file, preset_folders
from ...trainers.choose import DEFAULT_TRAINER
from ...trainers.overrides import Overrides
from ..options.table import Options
from .source import Source
from .trainer import Trainer


def collect_inputs(options: Options, trainer: Trainer, paths: SweepPaths | None) -> tuple[Taken, ...]:
    """Reads what the sweep's folder is to keep a copy of; what it has a copy of already is left out.

    Raises:
        ConfigError: a file cannot be read, or `--snapshot` has nothing to freeze.
    """
    taken = [*trainer.config_inputs]
    profile = trainer.profile
    copied = paths is not None and profile.path.is_relative_to(paths.inputs)
    if profile.read_from and not copied:
        taken += take_files(PROFILE, profile.read_from, str(options.trainer or DEFAULT_TRAINER))
    files = [item for item in (options.sweep_config or ())[:1] if isinstance(item, str | Path)]
    if files:
        taken += take_files(SWEEP, [find_sweep_file(files[0], preset_folders())], str(files[0]))
    if options.snapshot:
        check_snapshot(profile.cwd)
    return tuple(taken)


def difference_notes(source: Source) -> Sequence[str]:
    """Says which originals of a resumed sweep's inputs differ from the copies, and what of its code has changed."""
    if source.paths is None:
        return ()
    given = {CONFIG: source.options.config_file, INCLUDE: source.options.config_file, PROFILE: source.options.trainer}
    replaced = [kind for kind, option in given.items() if option is not None]
    return InputWatch(source.paths, source.cwd, replaced).look()[1]


# -- the file of a scheduler -------------------------------------------------------------------------------------------
def scheduler_problems(options: Options, spec: SweepSpec) -> list[str]:
    """Lists the options that do not go with a scheduler."""
    if spec.scheduler is None:
        return []
    given = {"--enqueue": options.enqueue, "--from-sweep": options.from_sweep}
    text = "does not go with a scheduler; let its `optimizer` function call study.enqueue_trial or study.add_trial"
    return [f"{option}: {text}" for option, value in given.items() if value]


def try_scheduler_of(spec: SweepSpec, source: Source, overrides: Overrides, seed: int) -> Tried | None:
    """Loads the user's functions and draws the first points; None without a scheduler.

    Raises:
        ConfigError: something is wrong with the file, or the trainer has no such parameters.
    """
    scheduler = spec.scheduler
    if scheduler is None:
        return None
    path, beside = _file(scheduler.source, source)
    tried = try_scheduler(spec, scheduler, seed=seed, path=path, beside=beside, cwd=source.cwd)
    if scheduler.own_space is not None:
        names = dict.fromkeys(name for point in tried.points for name in point)
        problems = [
            f"scheduler {scheduler.own_space}: {problem}"
            for name in names
            for problem in overrides.check(name, [point[name] for point in tried.points if name in point])
        ]
        if spec.repeats is not None:
            aliases, key = overrides.profile.aliases, spec.repeats.name
            same = [name for name in names if aliases.get(name, name) == aliases.get(key, key)]
            problems += [
                f"scheduler {scheduler.own_space}: {name} is set by `repeats`; leave it out there, or name another key"
                for name in same
            ]
        if problems:
            raise ConfigError(problems)
    return tried


def scheduler_notes(spec: SweepSpec, tried: Tried | None) -> list[str]:
    """Returns the lines that say which code runs, what it does, and what of the sweep file it leaves unused."""
    scheduler = spec.scheduler
    if scheduler is None or tried is None:
        return []
    runs = f"{scheduler.source} runs in the launcher's interpreter: " if scheduler.source else ""
    notes = [f"scheduler: {runs}{tried.says}", *tried.notes]
    if scheduler.own_space is not None and spec.parameters:
        unused = ", ".join(item.name for item in spec.parameters)
        notes.append(f"warning: `parameters` has no effect beside the scheduler's {scheduler.own_space}: {unused}")
    if len(tried.points) < FIRST_POINTS:
        notes.append(f"the scheduler has {counted(len(tried.points), 'point')} to try")
    return notes


def scheduler_inputs(spec: SweepSpec, paths: SweepPaths | None, cwd: Path) -> list[Taken]:
    """Reads the user's file for the sweep's folder; empty without one, or where the folder has a copy."""
    scheduler = spec.scheduler
    if scheduler is None or scheduler.source is None or _copy(paths, cwd) is not None:
        return []
    return take_files(SCHEDULER, [cwd / Path(scheduler.source).expanduser()], scheduler.source)


def scheduler_modules(spec: SweepSpec, cwd: Path) -> list[Path]:
    """Lists the Python files that the user's file may import from its own folder; empty without one."""
    scheduler = spec.scheduler
    if scheduler is None or scheduler.source is None:
        return []
    source = cwd / Path(scheduler.source).expanduser()
    return [path for path in sorted(source.parent.glob("*.py")) if path != source]


def _file(named: str | None, source: Source) -> tuple[Path | None, Path | None]:
    """Returns the file to load and the folder of the original; None for both without a file.

    Raises:
        ConfigError: there is no such file.
    """
    if named is None:
        return None, None
    original = source.cwd / Path(named).expanduser()
    copy = _copy(source.paths, source.cwd)
    if copy is not None:
        return copy, original.parent
    if not original.is_file():
        raise ConfigError(f"scheduler source {named}: no such file in {source.cwd}")
    return original, original.parent


def _copy(paths: SweepPaths | None, cwd: Path) -> Path | None:
    """Returns the copy of the user's file in the sweep's folder; None where there is none."""
    if paths is None or not paths.inputs.is_dir():
        return None
    found = Inputs.load(paths, cwd).file(SCHEDULER)
    return found if found is not None and os.path.isfile(found) else None
