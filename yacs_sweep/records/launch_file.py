"""Keeps how a sweep is launched (``launch.json``) and what is searched (``sweep.yaml``), so that its id is enough to resume."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from ..base.errors import ConfigError
from ..base.files import write_atomically
from ..base.values import to_json
from ..base.wording import one_line
from ..spec.read_sweep import sweep_from_dict
from ..spec.sweep import SweepSpec
from .folder import SweepPaths


@dataclass(frozen=True)
class LaunchFile:
    """The content of launch.json; paths are absolute."""

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
    target: int  # trials that the sweep has when its last launch has done its part
    keep: str = "all"  # the trials that keep their checkpoints: `checkpoints.Keep`
    search: str | None = None  # `SweepSpec.fingerprint` of the search that the trials are points of

    def save(self, paths: SweepPaths) -> None:
        """Writes launch.json into the sweep's folder."""
        write_atomically(paths.launch, to_json(dataclasses.asdict(self), indent=1) + "\n")

    @classmethod
    def load(cls, paths: SweepPaths) -> LaunchFile:
        """Reads how an existing sweep was launched from its launch.json.

        Raises:
            ConfigError: the file is missing or damaged.
        """
        try:
            content: Mapping[str, Any] = json.loads(paths.launch.read_text(encoding="utf-8"))
            return cls(**{**content, "trailing": tuple(content["trailing"])})
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise ConfigError(f"{paths.launch}: cannot be read: {one_line(error)}") from error


def save_spec(paths: SweepPaths, spec: SweepSpec) -> None:
    """Writes the normalised sweep: sweep.yaml."""
    text = yaml.safe_dump(spec.to_dict(), sort_keys=False, allow_unicode=True)
    write_atomically(paths.spec, text)


def load_spec_of(paths: SweepPaths) -> SweepSpec:
    """Reads the search of an existing sweep from its sweep.yaml.

    Raises:
        ConfigError: the file is missing or damaged.
    """
    try:
        described = yaml.safe_load(paths.spec.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ConfigError(f"{paths.spec}: cannot be read: {one_line(error)}") from error
    if not isinstance(described, dict):
        raise ConfigError(f"{paths.spec}: cannot be read: it is no description of a sweep")
    return sweep_from_dict(described, str(paths.spec))
