"""Copies the files that a sweep is described by into its folder, so that later edits change no trial.

``{sweep}/inputs/`` holds the base configuration with the files it includes, the profile with those it extends, the
sweep file, and the Python file of its scheduler. ``inputs.json`` lists them. A file that cannot be copied by itself (a
Python configuration, an include by an absolute path), or that a parameter names, is listed without a copy and only watched.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ..base.errors import ConfigError
from ..base.files import read_json, write_atomically
from ..base.values import to_json, utc_now
from .folder import SweepPaths

INCLUDES = ("_BASE_", "BASE")  # keys by which fvcore's and Swin's configurations include others
CONFIG, INCLUDE, PROFILE, SWEEP, SCHEDULER = "config", "include", "profile", "sweep", "scheduler"


@dataclass(frozen=True)
class Input:
    """One file that a sweep was described by."""

    kind: str  # config, include, profile, sweep or scheduler
    given: str  # as the user or another file names it
    path: str  # the original: relative to the project where it is in it
    copy: str | None  # relative to the sweep's folder; None: the original is used, and watched
    sha256: str
    time: str  # when it was read

    def difference(self, project: Path) -> str:
        """Says that the original is not what the sweep uses any more, and how to use an edited one."""
        if not (project / self.path).exists():
            return f"{self.path} no longer exists; the sweep uses its copy, {self.copy}"
        option = {CONFIG: f"--config_file {self.given}", PROFILE: f"--trainer {self.given}"}.get(self.kind)
        hint = f"; with --sweep_id, {option} takes the file as it is now" if option else ""
        return f"{self.path} has changed since the sweep began; the sweep uses its copy, {self.copy}{hint}"


@dataclass(frozen=True)
class Taken:
    """A file read for a sweep that does not exist yet: its bytes, and where the copy will be."""

    kind: str
    given: str
    original: Path
    copy: str | None
    content: bytes


class Inputs:
    """The inputs of a sweep, in its folder."""

    def __init__(self, paths: SweepPaths, project: Path, entries: Iterable[Input]) -> None:
        self.paths, self.project, self.entries = paths, project, tuple(entries)

    @classmethod
    def load(cls, paths: SweepPaths, project: Path) -> Inputs:
        """Reads inputs.json; a sweep of an earlier version has none, and no inputs."""
        rows = read_json(paths.inputs / "inputs.json").get("inputs")
        known = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
        return cls(paths, project, [entry for row in known if (entry := _entry(row)) is not None])

    def file(self, kind: str) -> Path | None:
        """Finds what trials are to read: the copy, or the original where it has none. None: no such input."""
        for entry in self.entries:
            if entry.kind == kind:
                return self.paths.dir / entry.copy if entry.copy else self.project / entry.path
        return None

    def differing(self) -> list[Input]:
        """Lists the inputs whose original has been edited, moved or deleted since it was read."""
        return [entry for entry in self.entries if _sha256(self.project / entry.path) != entry.sha256]


def in_inputs(path: str | os.PathLike[str]) -> bool:
    """Whether a path is that of a copy in the inputs of some sweep."""
    parts = Path(path).parts
    return any(first == "inputs" and second.startswith(CONFIG) for first, second in itertools.pairwise(parts))


def take_config(path: str, given: str | None = None, *, copied: bool = True) -> list[Taken]:
    """Reads a configuration file and, recursively, the files it includes by `_BASE_` or `BASE`.

    Args:
        given: the path as the user gave it.
        copied: whether trials get a copy; else the originals are watched.

    Raises:
        ConfigError: a file cannot be read, or an included one does not exist.
    """
    start, given = Path(path).absolute(), given or path
    if start.suffix == ".py":  # imports what it likes
        return [Taken(CONFIG, given, start, None, _read(start, given))]
    found: dict[Path, tuple[str, bytes, bool]] = {}
    _follow(start, given, found, copied=copied)
    parents = [path.parent for path, (_, _, inside) in found.items() if inside]
    folder = Path(os.path.commonpath(parents)) if parents else start.parent
    return [
        Taken(
            CONFIG if path == start else INCLUDE,
            name,
            path,
            f"inputs/config/{path.relative_to(folder).as_posix()}" if inside else None,
            content,
        )
        for path, (name, content, inside) in found.items()
    ]


def take_files(kind: str, files: Iterable[str | os.PathLike[str]], first: str | None = None) -> list[Taken]:
    """Reads profiles or sweep files, each copied under its own name; the user gave the `first`. Raises ConfigError."""
    taken: list[Taken] = []
    names: set[str] = set()
    for file in files:
        path, given = Path(file).absolute(), os.fspath(file) if taken or first is None else first
        name = path.name
        while name in names:
            name = f"_{name}"
        names.add(name)
        taken.append(Taken(kind, given, path, f"inputs/{kind}/{name}", _read(path, given)))
    return taken


def save_inputs(paths: SweepPaths, project: Path, taken: Iterable[Taken]) -> Inputs:
    """Writes the copies and inputs.json; inputs of the same kind that the sweep had are replaced. Raises OSError."""
    new = [_beside_earlier(item, paths, generation) for generation in [_generation(paths)] for item in taken]
    replaced = {INCLUDE if item.kind == CONFIG else item.kind for item in new} | {item.kind for item in new}
    kept = [entry for entry in Inputs.load(paths, project).entries if entry.kind not in replaced]
    entries = kept + [
        Input(
            item.kind,
            item.given,
            relative_to_project(item.original, project),
            item.copy,
            hashlib.sha256(item.content).hexdigest(),
            utc_now(),
        )
        for item in new
    ]
    for item in new:
        if item.copy:
            path = paths.dir / item.copy
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, item.content)
    paths.inputs.mkdir(parents=True, exist_ok=True)
    rows = [dataclasses.asdict(entry) for entry in entries]
    write_atomically(paths.inputs / "inputs.json", to_json({"inputs": rows}, indent=1) + "\n")
    return Inputs(paths, project, entries)


def _generation(paths: SweepPaths) -> int:
    """Counts how often the sweep has been given a configuration that differs from an earlier one."""
    return sum(1 for _ in paths.inputs.glob(f"{CONFIG}*"))


def _beside_earlier(item: Taken, paths: SweepPaths, generation: int) -> Taken:
    """Places a copy beside an earlier, different one, which stays what the trials before read."""
    if item.copy is None or item.kind not in (CONFIG, INCLUDE) or not generation:
        return item
    return dataclasses.replace(
        item, copy=item.copy.replace(f"inputs/{CONFIG}/", f"inputs/{CONFIG}-{generation + 1}/", 1)
    )


def relative_to_project(path: Path, project: Path) -> str:
    """Writes a path relative to the project when it is inside, so that a moved project still finds it."""
    return path.relative_to(project).as_posix() if path.is_relative_to(project) else str(path)


def includes_of(config: Mapping[str, Any]) -> list[str]:
    """Lists the files that a configuration includes, as it names them."""
    found: list[str] = []
    for key in INCLUDES:
        value = config.get(key)
        values = value if isinstance(value, list) else [value]
        found += [item for item in values if isinstance(item, str) and item]
    return found


def _follow(path: Path, given: str, found: dict[Path, tuple[str, bytes, bool]], *, copied: bool) -> None:
    if path in found:
        return
    content = _read(path, given)
    found[path] = (given, content, copied)
    try:
        config = yaml.safe_load(content)
    except (yaml.YAMLError, ValueError):
        return  # not plain YAML: the trainer's own reader decides
    for name in includes_of(config) if isinstance(config, dict) else ():
        if "://" in name:
            continue  # of a store that only the trainer can read
        target = Path(name).expanduser()
        inside = not target.is_absolute()
        target = Path(os.path.normpath(path.parent / target))
        if not target.is_file():
            if inside and config.get("BASE") and name in includes_of({"BASE": config["BASE"]}):
                continue  # some trainers use a key BASE for something else
            raise ConfigError(f"{path}: includes {name}: no such file")
        _follow(target, name, found, copied=copied and inside)


def _read(path: Path, given: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{given}: cannot be read: {error.strerror}") from None


def _sha256(path: Path) -> str | None:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None


def _entry(row: Mapping[str, Any]) -> Input | None:
    try:
        return Input(**{field.name: row[field.name] for field in dataclasses.fields(Input)})
    except KeyError:
        return None
