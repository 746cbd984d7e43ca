"""Keeps how a sweep is launched (``launch.json``) and what is searched (``sweep.yaml``), so that its id is enough to resume."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ..base.errors import ConfigError
from ..base.files import read_json, write_atomically
from ..base.shipped import version
from ..base.values import of_field_types, to_json
from ..base.wording import one_line
from ..spec.read_sweep import sweep_from_dict
from ..spec.sweep import SweepSpec
from .folder import SweepPaths

# What paths in launch.json begin with, so that a moved or remounted project still finds its files.
_SWEEP, _PROJECT = "{sweep}/", "{project}/"
_PATHS = ("config_file", "trainer", "python", "code")


@dataclass(frozen=True)
class LaunchFile:
    """The content of launch.json; paths are absolute here, and relative to the sweep or the project in the file."""

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
    cwd: str  # the project: the folder where the launcher was started
    target: int  # trials that the sweep has when its last launch has done its part
    keep: str = "all"  # the trials that keep their checkpoints: `checkpoints.Keep`
    code: str | None = None  # the folder in the snapshot where trials start; None: the trainer's own
    search: str | None = None  # `SweepSpec.fingerprint` of the search that the trials are points of
    trainer_seed: int | None = None  # of --seed, for trials whose point has no seed; None: not given
    retry: tuple[str, ...] = ()  # ids of failed trials whose points are to be tried again
    words: tuple[str, ...] = ()  # the last launch's options that hold for one launch, such as --workers 4
    resumes: str | None = None  # by what it is known that the trainer resumes in a trial's folder; None: not asked yet
    counted: str | None = None  # id of the last order of a number of trials (`--set-count`) that `target` has taken in
    record: tuple[str, ...] | None = None  # the recorders of --record, without passwords; None: not given
    exhausted: bool = False  # with repeats: whether the search gives out no further trial, though it may have `target`

    def save(self, paths: SweepPaths) -> None:
        """Writes launch.json into the sweep's folder."""
        write_atomically(paths.launch, to_json(self._portable(paths), indent=1) + "\n")

    def _portable(self, paths: SweepPaths) -> dict[str, Any]:
        """Returns the content with paths relative to the sweep's folder, or to the project where they are in it."""
        content = {**dataclasses.asdict(self), "version": version()}  # for people: which launcher wrote it
        for key in _PATHS:
            if content[key]:
                *outer, file = content[key].split(":")  # a profile may stand before another one: torchrun:FILE
                content[key] = ":".join([*outer, _relative(file, paths.dir, Path(self.cwd))])
        if self.storage and self.storage.startswith(f"sqlite:///{self.cwd}{os.sep}"):
            content["storage"] = self.storage.replace(f"sqlite:///{self.cwd}{os.sep}", "sqlite:///", 1)
        if paths.dir.is_relative_to(self.cwd):
            content["cwd"] = os.path.relpath(self.cwd, paths.dir)
        return content

    @classmethod
    def load(cls, paths: SweepPaths) -> LaunchFile:
        """Reads how an existing sweep was launched from its launch.json.

        Raises:
            ConfigError: the file is missing or damaged.
        """
        try:
            return cls.from_row(located(json.loads(paths.launch.read_text(encoding="utf-8")), paths))
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise ConfigError(f"{paths.launch}: cannot be read: {one_line(error)}") from error

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> LaunchFile:
        """Converts launch.json's object; keys of other versions are left out.

        Raises:
            TypeError: a required key is missing, or a value is not of its type.
        """
        values = of_field_types(cls, row)
        lists: dict[str, Any] = {key: tuple(values.get(key, ())) for key in ("trailing", "retry", "words")}
        if values.get("record") is not None:
            lists["record"] = tuple(map(str, values["record"]))
        return cls(**{**values, **lists})


def read_launch(paths: SweepPaths) -> dict[str, Any]:
    """Reads launch.json for showing it, paths absolute; empty where it is missing or damaged."""
    content = read_json(paths.launch)
    try:
        return located(content, paths)
    except (TypeError, AttributeError):
        return content


def located(content: Mapping[str, Any], paths: SweepPaths) -> dict[str, Any]:
    """Makes the paths in a launch.json absolute: the sweep's folder is where it is now."""
    found = dict(content)
    cwd = found.get("cwd") or ""
    if cwd == ".." or cwd.startswith(f"..{os.sep}"):
        cwd = found["cwd"] = os.path.normpath(paths.dir / cwd)
    elif (now := _moved_to(cwd, paths)) is not None:
        for key in (*_PATHS, "storage"):
            if found.get(key):
                found[key] = found[key].replace(os.path.join(cwd, ""), os.path.join(now, ""), 1)
        cwd = found["cwd"] = now
    for key in _PATHS:
        if found.get(key):
            text = found[key].replace(_SWEEP, f"{paths.dir}{os.sep}", 1)
            found[key] = text.replace(_PROJECT, os.path.join(cwd, ""), 1)  # the project may be "/"
    return found


def _moved_to(cwd: str, paths: SweepPaths) -> str | None:
    """Finds where a project is now whose sweep names it by an absolute path, as version 0.1.0 did; None: it was not moved.

    The sweep's results folder, which sweep.yaml names relative to the project, tells.
    """
    if not cwd:
        return None
    try:
        results = yaml.safe_load(paths.spec.read_text(encoding="utf-8"))["results_dir_base"]
        inside = Path(os.path.normpath(results))
        there = (Path(cwd) / inside).resolve() == paths.base.resolve()
    except (OSError, ValueError, TypeError, KeyError, yaml.YAMLError):
        return None
    depth = len(inside.parts)
    if there or inside.is_absolute() or paths.base.parts[-depth:] != inside.parts:
        return None
    return str(Path(*paths.base.parts[:-depth]))


def _relative(path: str, sweep: Path, project: Path) -> str:
    """Writes a path as relative to the sweep or the project, where it is in one of them."""
    for root, mark in ((sweep, _SWEEP), (project, _PROJECT)):
        if os.path.isabs(path) and Path(path).is_relative_to(root):
            return mark + Path(path).relative_to(root).as_posix()
    return path


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
        raise ConfigError(f"{paths.spec}: cannot be read: it does not describe a sweep")
    return sweep_from_dict(described, str(paths.spec))
