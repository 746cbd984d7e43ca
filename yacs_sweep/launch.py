"""How a sweep is launched: kept beside its results as ``launch.json``, so that its id is enough to go on with it."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import random
import re
import string
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from .command import trainer_of
from .errors import ConfigError, one_line
from .overrides import Overrides
from .process import Limits
from .results import SweepPaths, to_json, write_atomically
from .schema import read_schema
from .spec import SweepSpec
from .trainer import TrainerProfile
from .trial import Launch

BATCH = "batch-"  # begins the id of several sweeps started together
ID_LETTERS = string.ascii_lowercase + string.digits


@dataclass(frozen=True)
class LaunchFile:
    """The content of launch.json. Paths are absolute."""

    controller: str
    config_file: str | None
    trainer: str  # the profile's file, or that the sweep file names the trainer
    python: str | None
    trailing: tuple[str, ...]
    seed: int
    storage: str | None
    wandb_mode: str
    project: str | None
    entity: str | None
    cwd: str  # where the launcher was started
    target: int  # trials the sweep has when the last launch has ended as it was asked to
    keep: str = "all"  # whose checkpoints stay: `keeping.Keep`
    search: str | None = None  # `SweepSpec.fingerprint` of what trials were given out by

    def save(self, paths: SweepPaths) -> None:
        write_atomically(paths.launch, to_json(dataclasses.asdict(self), indent=1) + "\n")

    @classmethod
    def load(cls, paths: SweepPaths) -> LaunchFile:
        """Raises ConfigError for a file that is damaged."""
        try:
            content: Mapping[str, Any] = json.loads(paths.launch.read_text(encoding="utf-8"))
            return cls(**{**content, "trailing": tuple(content["trailing"])})
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise ConfigError(f"{paths.launch}: cannot be read: {one_line(error)}") from error


def save_spec(paths: SweepPaths, spec: SweepSpec) -> None:
    """Writes the normalised sweep."""
    text = yaml.safe_dump(spec.to_dict(), sort_keys=False, allow_unicode=True)
    write_atomically(paths.spec, text)


def load_spec_of(paths: SweepPaths) -> SweepSpec:
    """The normalised sweep of an existing sweep. Raises ConfigError for a file that is damaged."""
    try:
        described = yaml.safe_load(paths.spec.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ConfigError(f"{paths.spec}: cannot be read: {one_line(error)}") from error
    if not isinstance(described, dict):
        raise ConfigError(f"{paths.spec}: cannot be read: it is no description of a sweep")
    return SweepSpec.from_dict(described, str(paths.spec))


def load_launch(paths: SweepPaths, limits: Limits) -> Launch:
    """What an agent needs to run the sweep's trials."""
    file, spec = LaunchFile.load(paths), load_spec_of(paths)
    profile: TrainerProfile = trainer_of(file.trainer, spec, Path(file.cwd))
    schema = read_schema(profile, python=file.python, config_file=file.config_file)
    return Launch(
        paths=paths,
        profile=profile,
        overrides=Overrides(profile, schema),
        python=file.python,
        config_file=file.config_file,
        trailing=file.trailing,
        metric=spec.metric.name if spec.metric else None,
        goal=spec.metric.goal if spec.metric else "minimize",
        optimize=spec.optimize,
        limits=limits,
    )


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


def find_bases(
    sweep_id: str, bases: list[Path], option: str = "--sweep_id", *, remembered: bool = True
) -> list[Path]:
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
