"""Collects the files that describe a sweep while they are checked, and tells when the originals differ from the copies."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...records.code.snapshot import check_snapshot
from ...records.code.watched import InputWatch
from ...records.folder import SweepPaths
from ...records.inputs import CONFIG, INCLUDE, PROFILE, SWEEP, Taken, take_files
from ...spec.sweep_files import find_sweep_file, preset_folders
from ...trainers.choose import DEFAULT_TRAINER
from ..options import Options
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
