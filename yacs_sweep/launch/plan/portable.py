"""Writes a sweep's inputs for a database, and takes them from it on another machine: the same configuration and profile.

The files are those of which the sweep's folder has copies. On another machine they stand for checks in a temporary
folder; the sweep's folder gets its own copies of them when it is made.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from ...base.files import write_atomically
from ...records.folder import SweepPaths, folder_name
from ...records.inputs import CONFIG, INCLUDE, PROFILE, Inputs, Taken
from ...records.launch_file import LaunchFile
from ...trainers.profile import TrainerProfile
from .plan import Plan
from .trainer import Trainer

EXECUTED = ("command", "wrap", "python", "cwd", "env", "preload", "schema")  # keys of a profile that decide what starts


@dataclass(frozen=True)
class SharedInputs:
    """Holds what a database says of a sweep's inputs.

    Attributes:
        name: the profile's.
        profile: the profile's content, paths relative to the project; empty without one.
        files: copies, by their path in the sweep's folder; of each the kind, its names on the first machine, its text.
    """

    name: str = ""
    profile: Mapping[str, Any] = field(default_factory=dict)
    files: tuple[tuple[str, str, str, str, str], ...] = ()

    @classmethod
    def parse(cls, content: Any) -> SharedInputs:
        """Reads what `portable_inputs` wrote.

        Raises:
            TypeError, KeyError, ValueError: it is something else.
        """
        files = tuple(
            tuple(str(row[key]) for key in ("kind", "given", "path", "copy", "text")) for row in content["files"]
        )
        for *_, copy, _ in files:
            if not _is_inside(copy):
                raise ValueError(f"{copy!r} is not in the sweep's inputs")
        name, profile = str(content["name"]), content["profile"]
        if not isinstance(profile, dict):
            raise TypeError("profile: not a mapping")
        if profile and folder_name(name, "") != name:
            raise ValueError(f"{name!r} is not the name of a profile")
        return cls(name, profile, files)  # type: ignore[arg-type]

    def __bool__(self) -> bool:
        return bool(self.profile or self.files)

    def starts(self) -> str:
        """Formats what of the profile decides what is started; empty without a profile."""
        shown = {key: self.profile[key] for key in EXECUTED if key in self.profile}
        text = yaml.safe_dump(shown, default_flow_style=True, sort_keys=False, allow_unicode=True, width=1 << 20)
        return text.strip() if shown else ""

    def placed(self, launch: LaunchFile) -> LaunchFile:
        """Returns the launch with its inputs in a temporary folder, where they can be checked."""
        folder = Path(tempfile.mkdtemp(prefix="yacs-sweep-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        for kind, _, _, copy, text in self.files:
            (folder / copy).parent.mkdir(parents=True, exist_ok=True)
            (folder / copy).write_text(text, encoding="utf-8")
            if kind == CONFIG:
                launch = replace(launch, config_file=str(folder / copy))
        if self.profile:
            content = {
                **self.profile,
                **{key: os.path.join(launch.cwd, self.profile[key]) for key in _paths(self.profile)},
            }
            path = folder / "inputs" / "trainer" / f"{self.name}.yaml"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
            launch = replace(launch, trainer=str(path))
        return launch

    def taken(self, project: Path) -> tuple[Taken, ...]:
        """Returns the inputs as the sweep's folder gets them; the originals are those of this machine's project."""
        return tuple(
            Taken(kind, given, project / path, copy, text.encode()) for kind, given, path, copy, text in self.files
        )


def portable_inputs(plan: Plan, paths: SweepPaths) -> tuple[LaunchFile, dict[str, Any]]:
    """Returns the launch with paths as the user named them, and the inputs as `SharedInputs.parse` reads them."""
    launch, profile, project = plan.launch, plan.profile, Path(plan.launch.cwd)
    entries = Inputs.load(paths, project).entries
    files = []
    for entry in entries:
        if entry.copy is None or entry.kind not in (CONFIG, INCLUDE):  # trials read no other copy
            continue
        try:
            text = (paths.dir / entry.copy).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        files.append({"kind": entry.kind, "given": entry.given, "path": entry.path, "copy": entry.copy, "text": text})
    for entry in reversed(entries):
        if entry.kind == CONFIG and launch.config_file:
            launch = replace(launch, config_file=str(project / entry.path))
        elif entry.kind == PROFILE and profile.data:
            launch = replace(launch, trainer=entry.given)
    content = _profile(profile, project) if profile.data else {}
    return replace(launch, code=None), {"name": profile.name.replace(":", "+"), "profile": content, "files": files}


def with_inputs(trainer: Trainer, inputs: SharedInputs, project: Path) -> Trainer:
    """Returns a trainer that was checked in the temporary folder with the inputs that the sweep's folder gets.

    A configuration of this machine's own stays.
    """
    profile = replace(trainer.profile, read_from=()) if inputs.profile else trainer.profile
    return replace(trainer, profile=profile, config_inputs=trainer.config_inputs or inputs.taken(project))


def _profile(profile: TrainerProfile, project: Path) -> dict[str, Any]:
    """Returns a profile's content with the paths in the project relative to it."""
    content = {**profile.data, "cwd": str(profile.cwd)}
    if profile.python is not None:
        content["python"] = profile.python
    for key in _paths(content):
        if Path(content[key]).is_relative_to(project):
            content[key] = os.path.relpath(content[key], project)
    return content


def _paths(content: Mapping[str, Any]) -> Iterator[str]:
    """Yields the keys of a profile that are paths."""
    yield from (key for key in ("cwd", "python") if isinstance(content.get(key), str) and _is_path(key, content[key]))


def _is_path(key: str, text: str) -> bool:
    return key == "cwd" or os.sep in text  # python3 is looked for on PATH


def _is_inside(copy: str) -> bool:
    """Tells whether a path is below the sweep's inputs."""
    parts = Path(copy).parts
    return len(parts) > 2 and parts[0] == "inputs" and ".." not in parts
