"""Trainer profiles: all the launcher knows of a trainer (`configs/trainers/*.yaml`, see docs/trainers.md)."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .errors import ConfigError
from .parsing import LogFormat
from .patterns import MetricPattern, compile_pattern
from .words import STYLES, check_key, override_words
from .yaml_reader import Document, did_you_mean, read_yaml_file

PROFILES = Path("configs", "trainers")
PLACEHOLDERS = ("config_file", "output_dir", "trial_id", "gpu_ids")
PYTHON = "python"  # as the command's first word: the trainer's interpreter

_FIELD = re.compile(r"\{([A-Za-z_]\w*)\}")
_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_ENV_NAME = re.compile(r"[A-Za-z_]\w*")


@dataclass(frozen=True)
class TrainerProfile:
    """How to start a trainer, give it parameters, and read its output.

    `cwd` is the child's working directory, absolute; relative words of the command and `schema` are relative to it.
    `python` is the interpreter the profile asks for; None leaves it to the caller. `schema` is `FILE:NAME`, where the
    trainer's YACS tree is.
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
    ) -> list[str]:
        """The child's argv: the command with its placeholders filled in, `overrides`, and the output directory.

        `gpu_ids` is a comma-separated list. Relative paths are the launcher's; they are made absolute when the child
        runs elsewhere. Raises ConfigError when the command needs something that is not given.
        """
        values = {
            "config_file": self.as_seen_by_child(config_file),
            "output_dir": self.as_seen_by_child(output_dir),
            "trial_id": trial_id,
            "gpu_ids": gpu_ids,
        }
        used = {name for word in self.command for name in _FIELD.findall(word)}
        missing = [name for name in sorted(used) if values[name] is None]
        if missing:
            raise ConfigError([f"{self.path}: command: needs {{{name}}}, and no {name} was given" for name in missing])
        words = [_FIELD.sub(lambda match: values[match[1]] or "", word) for word in self.command]
        if self.command[0] == PYTHON:
            words[0] = self.interpreter(python)
        words += overrides
        if self.output_dir_key and values["output_dir"] is not None:
            words += override_words(self.overrides, self.output_dir_key, values["output_dir"])
        return words

    def as_seen_by_child(self, path: str | os.PathLike[str] | None) -> str | None:
        """A path of the launcher's as the child, in its own working directory, has to be given it."""
        if path is None:
            return None
        text = os.fspath(path)
        return text if Path.cwd() == self.cwd else os.path.abspath(text)


def profile_folders(project_root: Path) -> list[Path]:
    """Where named profiles are looked for: the project's, then those that come with the launcher."""
    folders = [project_root / PROFILES, Path(__file__).resolve().parent.parent / PROFILES]
    return list(dict.fromkeys(folder.resolve() for folder in folders if folder.is_dir()))


def load_profile(name_or_path: str | os.PathLike[str], *, project_root: str | os.PathLike[str]) -> TrainerProfile:
    """Read and check a profile: a name (`reid`) or a file.

    Raises ConfigError with every mistake in the file (file, line, key), or with the names there are.
    """
    path = _find(os.fspath(name_or_path), Path(project_root))
    document = read_yaml_file(str(path))
    if not isinstance(document.data, dict):
        raise ConfigError(f"{path}: a trainer profile is a mapping with at least `command`")
    reader = _Reader(document, path)
    profile = reader.profile()
    problems = [*document.problems, *reader.problems]
    if problems or profile is None:
        raise ConfigError(problems)
    return profile


def _find(name: str, project_root: Path) -> Path:
    if name.endswith((".yaml", ".yml")) or os.sep in name:
        path = Path(name).expanduser()
        if not path.is_file():
            raise ConfigError(f"--trainer {name}: no such file")
        return path.absolute()
    folders = profile_folders(project_root)
    found = {file.stem: file for folder in reversed(folders) for file in sorted(folder.glob("*.yaml"))}
    if name not in found:
        known = ", ".join(sorted(found)) or "none"
        raise ConfigError(f"--trainer {name}: no such profile{did_you_mean(name, found)}; there are: {known}")
    return found[name]


_KEYS = (
    "command",
    "cwd",
    "overrides",
    "output_dir_key",
    "aliases",
    "schema",
    "env",
    "preload",
    "python",
    "axis",
    "metrics",
)
_ENTRY_KEYS = ("pattern", "log", "row")


class _Reader:
    """Takes a profile's values one by one, and collects what is wrong with them."""

    def __init__(self, document: Document, path: Path) -> None:
        self.document = document
        self.path = path
        self.data: dict[str, Any] = document.data
        self.problems: list[str] = []

    def profile(self) -> TrainerProfile | None:
        self._known(self.data, _KEYS)
        path = self.path
        root = path.parents[2] if path.parent.parts[-2:] == PROFILES.parts else path.parent
        style = self._style()
        profile = TrainerProfile(
            name=path.stem,
            path=path,
            command=self._command(),
            cwd=self._cwd(root),
            overrides=style,
            metrics=LogFormat(self._metrics(), axis=self._text("axis") or "epoch"),
            output_dir_key=self._key(style, "output_dir_key"),
            aliases=self._aliases(style),
            schema=self._schema(style),
            env=self._env(),
            preload=self._preload(),
            python=self._python(root),
        )
        return None if self.problems else profile

    def problem(self, text: str, *key: str | int) -> None:
        self.problems.append(self.document.message(key, text))

    def _known(self, mapping: Mapping[str, Any], keys: Sequence[str], *above: str | int) -> None:
        for key in mapping:
            if key not in keys:
                self.problem(f"no such key{did_you_mean(str(key), keys)}; allowed: {', '.join(keys)}", *above, key)

    def _text(self, key: str) -> str | None:
        value = self.data.get(key)
        if value is None or (isinstance(value, str) and value):
            return value
        self.problem(f"{value!r} is not a text", key)
        return None

    def _cwd(self, root: Path) -> Path:
        cwd = Path(os.path.abspath(root / os.path.expanduser(self._text("cwd") or Path.cwd())))
        if not cwd.is_dir():
            self.problem(f"no such folder: {cwd}", "cwd")
        return cwd

    def _words(self, key: str) -> tuple[str, ...]:
        value = self.data.get(key, [])
        if isinstance(value, list) and all(isinstance(w, str | int) and not isinstance(w, bool) for w in value):
            return tuple(map(str, value))
        self.problem(f"{value!r} is not a list of words; write [a, b, c]", key)
        return ()

    def _command(self) -> tuple[str, ...]:
        words = self._words("command")
        if "command" not in self.data or (self.data["command"] == []):
            self.problem("missing; write the trainer's words, such as [python, train.py]", "command")
        allowed = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
        for index, word in enumerate(words):
            for name in _FIELD.findall(word):
                if name not in PLACEHOLDERS:
                    hint = did_you_mean(name, PLACEHOLDERS)
                    self.problem(f"unknown placeholder {{{name}}}{hint}; allowed: {allowed}", "command", index)
        return words

    def _style(self) -> str:
        style = self._text("overrides") or "yacs"
        if style in STYLES:
            return style
        hint = did_you_mean(style, STYLES)
        self.problem(f"{style!r} is no override style{hint}; allowed: {', '.join(STYLES)}", "overrides")
        return "yacs"

    def _key(self, style: str, *place: str) -> str | None:
        value: Any = self.data
        for name in place:
            value = value.get(name)
        if value is None:
            return None
        try:
            if not isinstance(value, str):
                raise ValueError(f"{value!r} is not a text")
            check_key(style, value)
        except ValueError as error:
            self.problem(str(error), *place)
            return None
        return value

    def _mapping(self, key: str) -> dict[str, Any]:
        value = self.data.get(key)
        if isinstance(value, dict):
            return value
        if value is not None:
            self.problem(f"{value!r} is not a mapping", key)
        return {}

    def _aliases(self, style: str) -> dict[str, str]:
        aliases = {}
        for alias in self._mapping("aliases"):
            target = self._key(style, "aliases", alias)
            if target is not None:
                aliases[str(alias)] = target
            elif self.data["aliases"][alias] is None:
                self.problem("an alias names a key of the trainer", "aliases", alias)
        return aliases

    def _schema(self, style: str) -> str | None:
        schema = self._text("schema")
        if schema is None:
            return None
        if style != "yacs":
            self.problem(f"a schema is a YACS tree, and overrides is {style!r}", "schema")
        elif not re.fullmatch(r".+\.py:[A-Za-z_]\w*", schema):
            self.problem(f"{schema!r} is not FILE.py:NAME, such as configs/defaults.py:_C", "schema")
        return schema

    def _env(self) -> dict[str, str]:
        env = {}
        for name, value in self._mapping("env").items():
            if not _ENV_NAME.fullmatch(str(name)):
                self.problem("is not the name of an environment variable", "env", name)
            if isinstance(value, bool) or not isinstance(value, str | int | float) or "\0" in str(value):
                self.problem(f"{value!r} is not a text; write it in quotes", "env", name)
            env[str(name)] = str(value)
        return env

    def _preload(self) -> tuple[str, ...]:
        modules = self._words("preload")
        for index, module in enumerate(modules):
            if not _MODULE.fullmatch(module):
                self.problem(f"{module!r} is not the name of a module", "preload", index)
        return modules

    def _python(self, root: Path) -> str | None:
        python = self._text("python")
        if python is None or os.sep not in python:
            return python
        return os.path.abspath(root / os.path.expanduser(python))

    def _metrics(self) -> tuple[MetricPattern, ...]:
        entries = self.data.get("metrics")
        if not isinstance(entries, list):
            if entries is not None:
                self.problem("is not a list of patterns; write `- pattern: …` and `log: …`", "metrics")
            return ()
        read = [self._entry(entry, index) for index, entry in enumerate(entries)]
        return tuple(entry for entry in read if entry is not None)

    def _entry(self, entry: Any, index: int) -> MetricPattern | None:
        place = ("metrics", index)
        if not isinstance(entry, dict):
            self.problem(f"{entry!r} is not an entry; write `pattern: …` and `log: …`", *place)
            return None
        self._known(entry, _ENTRY_KEYS, *place)
        pattern, log, row = entry.get("pattern"), entry.get("log"), entry.get("row")
        if not isinstance(pattern, str):
            self.problem("missing or not a text; write a regular expression in single quotes", *place, "pattern")
        if not isinstance(log, dict) or not log or not all(isinstance(t, str) for pair in log.items() for t in pair):
            self.problem("missing or not {metric name: group of the pattern}", *place, "log")
        elif row is not None and not isinstance(row, str):
            self.problem(f"{row!r} is not the name of a row", *place, "row")
        elif isinstance(pattern, str):
            try:
                return compile_pattern(pattern, log, row)
            except ConfigError as error:
                for text in error.problems:
                    self.problem(text, *place, "pattern")
        return None
