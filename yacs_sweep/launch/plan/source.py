"""Defines a source: where a sweep comes from, and what is known of it before this launch's options count."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...records.folder import SweepPaths, TrialRecord
from ...records.launch_file import LaunchFile
from ...spec.sweep import SweepSpec
from ...trainers.overrides import Overrides
from ...wandb.sweeps import RemoteSweep
from ..options.table import Options
from .checks import masked
from .trainer import Trainer


@dataclass(frozen=True)
class Source:
    """Says where a sweep comes from: a new one's options, a folder, a database, the W&B server, or a best trial."""

    options: Options  # as they hold for this sweep
    controller: str
    spec: SweepSpec | None = None  # None: the options describe the sweep
    launch: LaunchFile | None = None  # the last launch; None: there is no record of one
    paths: SweepPaths | None = None  # its folder, which may not exist yet; None: a new sweep
    remote: RemoteSweep | None = None
    storage: str | None = None  # the database, with its password
    trainer: Trainer | None = None  # None: chosen by the options and the last launch
    settled: int = 0  # trials that are done, or paused,
    paused: int = 0  # and those of them that may be resumed
    retry: tuple[str, ...] = ()  # ids of failed trials whose points are tried again,
    again: int = 0  # points among them that were taken for done before this launch
    given: tuple[Mapping[str, Any], ...] = ()  # points that users have added, and that no trial has tried yet,
    owed: int = 0  # and those of them for which there are to be trials, whatever number the sweep was asked for
    over: bool = False  # whether no further trial starts
    fall_back: bool = False  # whether the embedded controller will do when W&B cannot be used
    resumed: bool = False  # whether the sweep existed before this launch
    progress: str | None = None  # "resuming sweep ID", to which the plan adds how many trials are done and left
    notes: tuple[str, ...] = ()  # lines for the user
    searched: TrialRecord | None = None  # the best trial of the search, which --train-best trains again
    cwd: Path = field(default_factory=Path.cwd)  # where the trainer is looked for

    @property
    def has_folder(self) -> bool:
        """Whether the sweep's folder is on this machine."""
        return self.paths is not None and self.paths.launch.is_file()


def describe_launch(source: Source, spec: SweepSpec, trainer: Trainer, *, seed: int, target: int) -> LaunchFile:
    """Describes a launch of the sweep: what its options say, else what the last launch said."""
    options, last, remote = source.options, source.launch, source.remote
    project, entity = (last.project, last.entity) if last is not None else (None, None)
    if remote is not None:
        project, entity = remote.project, remote.entity
    elif last is None:
        project = spec.project or os.environ.get("WANDB_PROJECT") or _configured(trainer.overrides, "WANDB.PROJECT")
        entity = spec.entity or os.environ.get("WANDB_ENTITY") or _configured(trainer.overrides, "WANDB.ENTITY")
    usual_mode = "disabled" if options.wandb_off else "offline"
    return LaunchFile(
        controller=source.controller,
        config_file=trainer.config_file,
        trainer=trainer.reference,
        python=trainer.python,
        trailing=tuple(trainer.words),
        seed=seed,
        storage=masked(source.storage),
        wandb_mode=options.wandb_mode or (usual_mode if last is None else last.wandb_mode),
        project=project,
        entity=entity,
        cwd=str(source.cwd),
        target=target,
        keep=options.keep or ("all" if last is None else last.keep),
        code=None if last is None else last.code,
        search=spec.fingerprint if last is None else last.search,
        trainer_seed=options.seed if last is None else last.trainer_seed,
        retry=source.retry,
        counted=None if last is None else last.counted,
        words=tuple(options.launch_words()),
        resumes=None if last is None else last.resumes,
        record=None if last is None else last.record,
    )


def _configured(overrides: Overrides, key: str) -> str | None:
    """Returns a text of the trainer's configuration, where its tree is known and has the key."""
    value = overrides.schema.values.get(key) if overrides.schema else None
    return value if isinstance(value, str) and value else None
