"""Trainer profiles: all the launcher knows of a trainer (`configs/trainers/*.yaml`, see docs/trainers.md)."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import Any

from .errors import ConfigError
from .metric_files import FileSource
from .naming import FIELD
from .parsing import LogFormat
from .profile_reader import ProfileReader, overlay
from .shared_files import TRAINERS, project_root_of
from .starting import missing
from .words import override_words
from .yaml_reader import Document, did_you_mean, read_yaml_file

PROFILES = Path("configs", "trainers")
PYTHON = "python"  # as the command's first word: the trainer's interpreter
OUTPUT = "output"  # the trainer's own folder in the trial's, where it writes files of the launcher's names
LAUNCHER_FILES = ("metrics.jsonl", "trial.json", "stdout.log")  # in a trial's folder


@dataclass(frozen=True)
class TrainerProfile:
    """How to start a trainer, give it parameters, and read its output.

    `cwd` is the child's working directory, absolute; relative words of the command and `schema` are relative to it.
    `python` is the interpreter the profile asks for; None leaves it to the caller. `schema` is `FILE:NAME`, where the
    trainer's YACS tree is. `wrap` are words before the command that start it several times over (torchrun), `processes`
    how often (None: once for each GPU of the trial). `reference` is what `load_profile` loads it again from.
    """

    name: str
    path: Path
    command: tuple[str, ...]
    cwd: Path
    overrides: str
    metrics: LogFormat
    output_dir_key: str | None = None
    aliases: Mapping[str, str] = field(default_factory=dict)
    schema: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    preload: tuple[str, ...] = ()
    python: str | None = None
    wrap: tuple[str, ...] = ()
    processes: int | None = None
    files: tuple[FileSource, ...] = ()
    reference: str = ""
    checkpoints: tuple[str, ...] = ()  # patterns of the files a trial may lose once it has ended

    @property
    def needs_config_file(self) -> bool:
        """Whether the command cannot be built without a configuration file."""
        return any("{config_file}" in word for word in self.command)

    @property
    def reserved(self) -> frozenset[str]:
        """Keys the launcher itself sets, so that no parameter may: the output directory, options of the command."""
        keys = {self.output_dir_key} if self.output_dir_key else set()
        for word in self.command:
            option = re.match(r"--?([A-Za-z][\w.-]*)", word)
            if self.overrides == "argparse" and option:
                keys.add(option[1])
        return frozenset(keys)

    def interpreter(self, python: str | None = None) -> str:
        """The trainer's interpreter: `python` (the command line's), else the profile's, else the launcher's own."""
        return python or self.python or sys.executable

    def command_line(
        self,
        *,
        python: str | None = None,
        config_file: str | os.PathLike[str] | None = None,
        output_dir: str | os.PathLike[str] | None = None,
        trial_id: str = "",
        gpu_ids: str = "",
        overrides: Sequence[str] = (),
        params: Mapping[str, Any] | None = None,
    ) -> list[str]:
        """The child's argv: the command with its placeholders filled in, `overrides`, and the output directory.

        `params` are the values behind `overrides`, for a profile that passes them otherwise than as words.
        `gpu_ids` is a comma-separated list. Relative paths are the launcher's; they are made absolute when the child
        runs elsewhere. Raises ConfigError when the command needs something that is not given.
        """
        values = {
            "config_file": self.as_seen_by_child(config_file),
            "output_dir": self.as_seen_by_child(output_dir),
            "trial_id": trial_id,
            "gpu_ids": gpu_ids,
            "processes": str(self.processes or max(1, len([gpu for gpu in gpu_ids.split(",") if gpu]))),
        }
        used = {name for word in (*self.wrap, *self.command) for name in FIELD.findall(word)}
        missing = [name for name in sorted(used) if values[name] is None]
        if missing:
            raise ConfigError([f"{self.path}: command: needs {{{name}}}, and no {name} was given" for name in missing])
        words = []
        for part in (self.wrap, self.command):
            filled = [FIELD.sub(lambda match: values[match[1]] or "", word) for word in part]
            if part[:1] == (PYTHON,):
                filled[0] = self.interpreter(python)
            words += filled
        words += overrides
        if self.output_dir_key and values["output_dir"] is not None:
            words += override_words(self.overrides, self.output_dir_key, values["output_dir"])
        return words

    def output_dir(self, trial_dir: Path) -> Path:
        """The trainer's output directory: the trial's folder, but one in it where the trainer's metric files would
        otherwise be the launcher's own."""
        return trial_dir / OUTPUT if any(source.collides(LAUNCHER_FILES) for source in self.files) else trial_dir

    def write_parameters(self, output_dir: Path, params: Mapping[str, Any]) -> dict[str, str]:
        """Writes the files the trainer is given its parameters in, if any; returns what of them its environment says."""
        return {}

    def install(self, sweep_dir: Path) -> None:
        """Writes what the trials need of the trainer into the sweep's folder, if anything."""

    def start_problems(self, python: str | None = None, *, here: bool = True) -> list[str]:
        """Why the trainer cannot be started, as far as can be told without starting it. `here`: on this machine."""
        interpreter, path = self.interpreter(python), {**os.environ, **self.env}.get("PATH", os.defpath)
        for words in self.beginnings(interpreter):
            if why := missing(words, self.cwd, interpreter, path if here else None):
                hint = "; --trainer NAME|FILE names your trainer's profile" if why.startswith("no file") else ""
                return [f"trainer {self.name}: {why}{hint}"]
        return []

    def beginnings(self, interpreter: str) -> list[list[str]]:
        """What is executed: of the words before the command, and of the command unless another program than Python
        executes it, perhaps elsewhere; each up to the first word that only a trial knows."""
        parts = [self.wrap, self.command]
        if self.wrap and not self.wrap[:1] == self.command[:1] == (PYTHON,):
            parts.pop()
        known = [list(takewhile(lambda word: not FIELD.search(word), part)) for part in parts]
        return [[interpreter, *words[1:]] if words[:1] == [PYTHON] else words for words in known]

    def as_seen_by_child(self, path: str | os.PathLike[str] | None) -> str | None:
        """A path of the launcher's as the child, in its own working directory, has to be given it."""
        if path is None:
            return None
        text = os.fspath(path)
        return text if Path.cwd() == self.cwd else os.path.abspath(text)


def profile_folders(project_root: Path) -> list[Path]:
    """Where named profiles are looked for: the project's, then those that come with the launcher."""
    folders = [project_root / PROFILES, TRAINERS]
    return list(dict.fromkeys(folder.resolve() for folder in folders if os.path.isdir(folder)))


def load_profile(name_or_path: str | os.PathLike[str], *, project_root: str | os.PathLike[str]) -> TrainerProfile:
    """Read and check a profile: a name (`reid`), a file, or one in front of another (`torchrun:reid`).

    Raises ConfigError with every mistake in the files (file, line, key), or with the names there are.
    """
    text = os.fspath(name_or_path)
    chain = _Chain(Path(project_root))
    outer, _, inner = text.partition(":")
    names = [outer, inner] if inner and re.fullmatch(r"[\w-]+", outer) and not Path(text).is_file() else [text]
    documents = [chain.read(name) for name in names]
    document = documents[0] if len(documents) == 1 else overlay(*documents)
    path = chain.paths[names[-1]]
    reader = ProfileReader(document, chain.roots, chain.project_root)
    fields = reader.fields()
    if problems := [*document.problems, *reader.problems]:
        raise ConfigError(list(dict.fromkeys(problems)))
    fields["preload"] = () if fields["wrap"] else fields["preload"]
    reference = ":".join([*names[:-1], str(path)])
    name = ":".join([*names[:-1], path.stem])
    return TrainerProfile(name=name, path=path, reference=reference, **fields)


def shortest_reference(reference: str, project_root: Path) -> str:
    """What a user of that project writes for a profile's `reference`: its name where that finds the file."""
    outer, colon, file = reference.rpartition(":")
    try:
        named = _find(Path(file).stem, project_root)
    except ConfigError:
        return reference
    return f"{outer}{colon}{named.stem}" if named == Path(file) else reference


class _Chain:
    """Reads profiles and those they extend. `roots` keeps what a path under a key is relative to."""

    def __init__(self, project_root: Path) -> None:
        self.project_root = project_root
        self.paths: dict[str, Path] = {}
        self.roots: dict[str, Path] = {}

    def read(self, name: str) -> Document:
        self.paths[name] = path = _find(name, self.project_root)
        return self._read(path, ())

    def _read(self, path: Path, below: tuple[Path, ...]) -> Document:
        document = read_yaml_file(str(path))
        if not isinstance(document.data, dict):
            raise ConfigError(f"{path}: a trainer profile is a mapping with at least `command`")
        for key in ("cwd", "python"):
            if document.data.get(key) is not None:
                self.roots.setdefault(key, project_root_of(path))
        extends = document.data.get("extends")
        bases = extends if isinstance(extends, list) else [] if extends is None else [extends]
        for base in bases:
            document = overlay(document, self._base(document, base, path, below))
        return document

    def _base(self, document: Document, base: object, path: Path, below: tuple[Path, ...]) -> Document:
        if not isinstance(base, str) or not base:
            raise ConfigError(document.message(("extends",), f"{base!r} is not the name or file of a profile"))
        beside = path.parent / base
        try:
            found = beside if beside.is_file() else _find(base, self.project_root, besides=path)
        except ConfigError as error:
            raise ConfigError(
                [document.message(("extends",), text.removeprefix("--trainer ")) for text in error.problems]
            ) from None
        if found == path or found in below:
            raise ConfigError(document.message(("extends",), f"{base} extends this profile in turn"))
        return self._read(found, (*below, path))


def _find(name: str, project_root: Path, besides: Path | None = None) -> Path:
    if name.endswith((".yaml", ".yml")) or os.sep in name:
        path = Path(name).expanduser()
        if not path.is_file():
            raise ConfigError(f"--trainer {name}: no such file")
        return path.absolute()
    folders = profile_folders(project_root)
    files = (file for folder in reversed(folders) for file in sorted(folder.glob("*.yaml")))
    found = {file.stem: file for file in files if file != besides}  # ones own `reid` can extend the one that ships
    if name not in found:
        known = ", ".join(sorted(found)) or "none"
        hint = did_you_mean(name, found) or f"; write {PROFILES / name}.yaml, or name a file"
        raise ConfigError(f"--trainer {name}: no such profile{hint}; there are: {known}")
    return found[name]
