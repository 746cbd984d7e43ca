"""Reads a trainer profile's file: every key with its checks; every mistake is noted with file, line and key."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..base.wording import did_you_mean
from ..base.yaml_document import Document
from ..logs.names import FIELD
from ..logs.parser import LogFormat
from ..logs.read_entries import EntryReader
from .styles import STYLES, check_key

PLACEHOLDERS = ("config_file", "output_dir", "trial_id", "gpu_ids", "processes")
_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_ENV_NAME = re.compile(r"[A-Za-z_]\w*")
KEYS = (
    "extends",
    "command",
    "cwd",
    "overrides",
    "output_dir_key",
    "aliases",
    "schema",
    "env",
    "preload",
    "python",
    "wrap",
    "processes",
    "axis",
    "metrics",
    "files",
    "checkpoints",
)


class ProfileReader:
    """Takes a profile's values one by one, and collects what is wrong with them."""

    def __init__(self, document: Document, roots: Mapping[str, Path], start: Path) -> None:
        """`roots`: what relative paths are relative to, by the key they stand under; `start`: where the launcher was
        started, to which those of no file are."""
        self.document, self.start = document, start
        self.roots = roots
        self.data: dict[str, Any] = document.data
        self.problems: list[str] = []

    def fields(self) -> dict[str, Any]:
        """`TrainerProfile`'s fields; `problems` says what is wrong with them."""
        self._known(self.data, KEYS)
        style = self._style()
        entries = EntryReader(self.document)
        metrics, files = entries.metrics(), entries.files()
        generic = self.data.get("metrics") is None and not files
        fields = {
            "command": self._command(),
            "cwd": self._cwd(),
            "overrides": style,
            "metrics": LogFormat(metrics, axis=self._text("axis") or "epoch", generic=generic),
            "files": files,
            "output_dir_key": self._key(style, "output_dir_key"),
            "aliases": self._aliases(style),
            "schema": self._schema(style),
            "env": self._env(),
            "preload": self._preload(),
            "python": self._python(),
            "wrap": self._placeholders("wrap"),
            "processes": self._processes(),
            "checkpoints": self._checkpoints(),
        }
        self.problems += entries.problems
        return fields

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

    def _cwd(self) -> Path:
        root = self.roots.get("cwd", self.start)
        cwd = Path(os.path.abspath(root / os.path.expanduser(self._text("cwd") or self.start)))
        if not cwd.is_dir():
            self.problem(f"no such folder: {cwd}", "cwd")
        return cwd

    def _words(self, key: str) -> tuple[str, ...]:
        value = self.data.get(key)
        if value is None:
            return ()
        if isinstance(value, list) and all(isinstance(w, str | int) and not isinstance(w, bool) for w in value):
            return tuple(map(str, value))
        self.problem(f"{value!r} is not a list of words; write [a, b, c]", key)
        return ()

    def _command(self) -> tuple[str, ...]:
        if self.data.get("command") in (None, []):
            alone = "this profile only wraps others; write --trainer NAME:PROFILE, such as torchrun:reid"
            text = alone if self.data.get("wrap") else "missing; write the trainer's words, such as [python, train.py]"
            self.problem(text, "command")
        return self._placeholders("command")

    def _placeholders(self, key: str) -> tuple[str, ...]:
        words = self._words(key)
        allowed = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
        for index, word in enumerate(words):
            for name in FIELD.findall(word):
                if name not in PLACEHOLDERS:
                    hint = did_you_mean(name, PLACEHOLDERS)
                    self.problem(f"unknown placeholder {{{name}}}{hint}; allowed: {allowed}", key, index)
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

    def _checkpoints(self) -> tuple[str, ...]:
        patterns = self._words("checkpoints")
        for index, pattern in enumerate(patterns):
            if not pattern or os.path.isabs(pattern) or ".." in pattern.split("/") or pattern in ("*", "**"):
                text = f"{pattern!r} is not a pattern of files in a trial's folder, such as '*.pth'"
                self.problem(text, "checkpoints", index)
        return patterns

    def _processes(self) -> int | None:
        value = self.data.get("processes")
        if value is None or (isinstance(value, int) and not isinstance(value, bool) and value > 0):
            return value
        text = f"{value!r} is not a number of processes; without it there is one for each GPU of a trial"
        self.problem(text, "processes")
        return None

    def _python(self) -> str | None:
        python = self._text("python")
        if python is None or os.sep not in python:
            return python
        return os.path.abspath(self.roots.get("python", Path.cwd()) / os.path.expanduser(python))
