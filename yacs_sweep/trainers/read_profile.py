"""Reads the file of a trainer's profile: each key with its checks, every mistake with file, line and key."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ..base.wording import did_you_mean
from ..base.yaml_document import Document, KeyPath
from ..logs.names import FIELD
from ..logs.patterns import LogFormat
from ..spec.section import Notes, Section, known_key
from ..spec.sweep import GOALS, Metric
from .gpu_key import GPU_PLACEHOLDERS, GpuKey
from .read_entries import NO_SUCH_KEY, EntryReader
from .schemas.source import read_source
from .styles import STYLES, VALUE_STYLES, check_key
from .ways.placeholders import unknown_placeholder, used_in
from .ways.resume import is_pattern, read_resume

_JSON = ("params_json", "params_file")  # placeholders that hold the parameters
AXIS_PRINTED = ("before", "after")  # or on the same line
METRIC_KEYS = ("name", "goal")
GPU_KEYS = ("key", "form")
_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_ENV_NAME = re.compile(r"[A-Za-z_]\w*")
KEYS = (
    "extends",
    "command",
    "cwd",
    "overrides",
    "overrides_option",
    "env_prefix",
    "new_keys",
    "output_dir_key",
    "gpu_key",
    "aliases",
    "schema",
    "lenient",
    "env",
    "preload",
    "python",
    "wrap",
    "processes",
    "axis",
    "axis_printed",
    "metrics",
    "metric",
    "generic",
    "files",
    "checkpoints",
    "resume",
)
_OTHER_KEYS = {"override_style": "overrides"}


def profile_key(key: str) -> str:
    """Returns the profile's key that is meant by `key`, whatever its case and with dashes; an unknown one stays."""
    return known_key(key, KEYS, _OTHER_KEYS)


def profile_section(notes: Notes) -> Section:
    """Opens a profile's document, which must be a mapping; null counts as absent."""
    section = Section(notes, (), notes.document.data, KEYS, others=_OTHER_KEYS)
    section.drop_nulls()
    return section


class ProfileReader:
    """Reads a profile's values one by one, and collects what is wrong with them."""

    def __init__(self, document: Document, roots: Mapping[str, Path], start: Path) -> None:
        """Opens a profile's document.

        Args:
            roots: the folders that relative paths are relative to, by the key they stand under.
            start: the folder for keys that no file gives, in which the launcher was started.
        """
        self.roots, self.start = roots, start
        self.notes = Notes(document)
        self.section = profile_section(self.notes)

    @property
    def problems(self) -> list[str]:
        """The mistakes found so far, a line each."""
        return self.notes.problems

    def fields(self) -> dict[str, Any]:
        """Reads the fields of `TrainerProfile`; they can be used only while there are no `problems`."""
        self.section.refuse_unknown(KEYS, text=NO_SUCH_KEY)
        style = self._style()
        fields: dict[str, Any] = {
            "command": self._command(),
            "cwd": self._cwd(),
            "overrides": style,
            "overrides_option": self._overrides_option(),
            "env_prefix": self._env_prefix(style),
            "new_keys": self._new_keys(style),
            "output_dir_key": self._output_dir_key(style),
            "gpu_key": self._gpu_key(style),
            "aliases": self._aliases(style),
            "schema": read_source(self.section.get("schema"), style, partial(self.section.wrong, "schema")),
            "lenient": bool(self.section.flag("lenient")),
            "env": self._env(),
            "preload": self._preload(),
            "python": self._python(),
            "wrap": self._placeholders("wrap"),
            "processes": self._processes(),
            "checkpoints": self._checkpoints(),
            "default_metric": self._metric(),
        }
        fields["resume"] = read_resume(self.section, style, fields["checkpoints"])
        self._check_way(style, [*fields["wrap"], *fields["command"]], fields["env"])
        entries = EntryReader(self.section)
        metrics, files = entries.metrics(), entries.files()
        calls = entries.takes_calls()
        unnamed = "metrics" not in self.section and not files
        generic = unnamed or (
            bool(metrics) and not (files or calls) if (on := self.section.flag("generic")) is None else on
        )
        axis = self.section.text("axis") or "epoch"
        if calls and (mode := fields["env"].get("WANDB_MODE", "disabled")) != "disabled":
            text = f"wandb stands for the calls of a client that opens no run, and env has WANDB_MODE: {mode}"
            self.section.wrong("metrics", text)
        after = self.section.word("axis_printed", AXIS_PRINTED) == "after"
        log_format = LogFormat(metrics, axis, after, generic=generic, wandb=unnamed or calls)
        return {**fields, "files": files, "metrics": log_format}

    def _cwd(self) -> Path:
        root = self.roots.get("cwd", self.start)
        cwd = Path(os.path.abspath(root / os.path.expanduser(self.section.text("cwd") or self.start)))
        if not cwd.is_dir():
            self.section.wrong("cwd", f"no such folder: {cwd}")
        return cwd

    def _words(self, key: str) -> tuple[str, ...]:
        """Reads a list of words."""
        value = self.section.get(key)
        if value is None:
            return ()
        if isinstance(value, list) and all(isinstance(w, str | int) and not isinstance(w, bool) for w in value):
            return tuple(map(str, value))
        self.section.wrong(key, f"{value!r} is not a list of words; write [a, b, c]")
        return ()

    def _command(self) -> tuple[str, ...]:
        if self.section.get("command") in (None, []):
            alone = "this profile wraps another one; write --trainer NAME:PROFILE, such as torchrun:reid"
            missing = "missing; write the trainer's words, such as [python, train.py]"
            self.section.wrong("command", alone if self.section.get("wrap") else missing)
        return self._placeholders("command")

    def _placeholders(self, key: str) -> tuple[str, ...]:
        """Reads a list of words with placeholders."""
        words = self._words(key)
        for index, word in enumerate(words):
            if problem := unknown_placeholder(word):
                self.notes.wrong(self.section.at(key, index), problem)
        return words

    def _check_way(self, style: str, command: Sequence[str], env: Mapping[str, str]) -> None:
        """Checks that the command names what a trainer without words is given, and nothing that it is not."""
        used = used_in([*command, *env.values()])
        if style == "file" and "config_file" not in used:
            self.section.wrong(
                "overrides", "file needs {config_file} in the command, which is each trial's configuration"
            )
        if style == "json" and not used & set(_JSON):
            self.section.wrong("overrides", "json needs {params_json} or {params_file} in the command or in env")
        if style != "json" and used & set(_JSON):
            name = sorted(used & set(_JSON))[0]
            self.section.wrong(
                "command", f"{{{name}}} holds the parameters with `overrides: json`, and overrides is {style!r}"
            )
        if style in VALUE_STYLES and "overrides_option" in self.section:
            self.section.wrong("overrides_option", f"stands before words, and `overrides: {style}` gives none")

    def _env_prefix(self, style: str) -> str | None:
        prefix = self.section.text("env_prefix")
        if prefix is not None and style != "env":
            self.section.wrong("env_prefix", f"belongs to `overrides: env`, and overrides is {style!r}")
        elif prefix is not None and not _ENV_NAME.fullmatch(prefix):
            self.section.wrong("env_prefix", f"{prefix!r} does not begin the name of an environment variable")
        return prefix

    def _new_keys(self, style: str) -> bool:
        on = bool(self.section.flag("new_keys"))
        if on and style != "file":
            self.section.wrong("new_keys", f"belongs to `overrides: file`, and overrides is {style!r}")
        return on

    def _style(self) -> str:
        given = self.section.text("overrides") or "yacs"
        style = given.strip().lower()
        if style in STYLES:
            return style
        hint = did_you_mean(style, STYLES)
        self.section.wrong("overrides", f"{given!r} is not an override style{hint}; allowed: {', '.join(STYLES)}")
        return "yacs"

    def _overrides_option(self) -> str | None:
        option = self.section.text("overrides_option")
        if option is not None and not re.fullmatch(r"--?[A-Za-z][\w-]*", option):
            self.section.wrong("overrides_option", f"{option!r} is not an option, such as --opts")
        return option

    def _key(self, style: str, value: Any, place: KeyPath) -> str | None:
        """Reads a name of a trainer's key."""
        try:
            if not isinstance(value, str):
                raise ValueError(f"{value!r} is not a text")
            check_key(style, value)
        except ValueError as error:
            self.notes.wrong(place, str(error))
            return None
        return value

    def _output_dir_key(self, style: str) -> str | None:
        value = self.section.get("output_dir_key")
        return None if value is None else self._key(style, value, self.section.at("output_dir_key"))

    def _gpu_key(self, style: str) -> GpuKey | None:
        """Reads the key that chooses GPUs: its name, or a mapping with the form of its value."""
        value, place = self.section.get("gpu_key"), self.section.at("gpu_key")
        if value is None:
            return None
        if not isinstance(value, dict):
            name = self._key(style, value, place)
            return None if name is None else GpuKey(name)
        form = value.get("form")
        for key in [key for key in value if key not in GPU_KEYS]:
            hint = did_you_mean(str(key), GPU_KEYS)
            self.notes.wrong((*place, key), f"unknown key; allowed: {', '.join(GPU_KEYS)}{hint}")
        if form is not None and not isinstance(form, str):
            self.notes.wrong((*place, "form"), f"{form!r} is not a text; write it in quotes")
            form = None
        elif form is not None and not self._form_is_right(form):
            allowed = ", ".join(f"{{{name}}}" for name in GPU_PLACEHOLDERS)
            self.notes.wrong((*place, "form"), f"{form!r} needs one of these placeholders and no other: {allowed}")
        if value.get("key") is None:
            self.notes.wrong(place, "has no key; write {key: NAME, form: TEXT}")
            return None
        name = self._key(style, value["key"], (*place, "key"))
        return None if name is None else GpuKey(name, form)

    @staticmethod
    def _form_is_right(form: str) -> bool:
        """Tells whether the value's form names the GPUs, by placeholders that it may have."""
        used = FIELD.findall(form)
        return bool(used) and set(used) <= set(GPU_PLACEHOLDERS)

    def _mapping(self, key: str) -> dict[str, Any]:
        value = self.section.get(key)
        if isinstance(value, dict):
            return value
        if value is not None:
            self.section.wrong(key, f"{value!r} is not a mapping")
        return {}

    def _aliases(self, style: str) -> dict[str, str]:
        aliases = {}
        for alias, key in self._mapping("aliases").items():
            place = self.section.at("aliases", alias)
            if key is None:
                self.notes.wrong(place, "an alias names a key of the trainer")
            elif (target := self._key(style, key, place)) is not None:
                aliases[str(alias)] = target
        return aliases

    def _env(self) -> dict[str, str]:
        env = {}
        for name, value in self._mapping("env").items():
            place = self.section.at("env", name)
            if not _ENV_NAME.fullmatch(str(name)):
                self.notes.wrong(place, "is not the name of an environment variable")
            if isinstance(value, bool) or not isinstance(value, str | int | float) or "\0" in str(value):
                self.notes.wrong(place, f"{value!r} is not a text; write it in quotes")
            if problem := unknown_placeholder(str(value)):
                self.notes.wrong(place, problem)
            env[str(name)] = str(value)
        return env

    def _preload(self) -> tuple[str, ...]:
        modules = self._words("preload")
        for index, module in enumerate(modules):
            if not _MODULE.fullmatch(module):
                self.notes.wrong(self.section.at("preload", index), f"{module!r} is not the name of a module")
        return modules

    def _checkpoints(self) -> tuple[str, ...]:
        patterns = self._words("checkpoints")
        for index, pattern in enumerate(patterns):
            if not is_pattern(pattern):
                text = f"{pattern!r} is not a pattern of files in a trial's folder, such as '*.pth'"
                self.notes.wrong(self.section.at("checkpoints", index), text)
        return patterns

    def _metric(self) -> Metric | None:
        """Reads the metric of sweeps that name none."""
        body = self.section.get("metric")
        if body is None:
            return None
        if not isinstance(body, dict):
            self.section.wrong("metric", f"{body!r} is not a metric; write {{name: val/mAP, goal: maximize}}")
            return None
        inner = Section(self.notes, self.section.at("metric"), body, METRIC_KEYS)
        inner.refuse_unknown(METRIC_KEYS, text=NO_SUCH_KEY)
        name, goal = inner.text("name"), inner.word("goal", GOALS)
        if any(key not in inner for key in METRIC_KEYS):
            self.section.wrong("metric", "has a name and a goal; write {name: val/mAP, goal: maximize}")
        return Metric(name, goal) if name and goal else None

    def _processes(self) -> int | None:
        value = self.section.get("processes")
        if value is None or (isinstance(value, int) and not isinstance(value, bool) and value > 0):
            return value
        text = f"{value!r} is not a number of processes; without it there is one for each GPU of a trial"
        self.section.wrong("processes", text)
        return None

    def _python(self) -> str | None:
        python = self.section.text("python")
        if python is None or os.sep not in python:
            return python
        return os.path.abspath(self.roots.get("python", Path.cwd()) / os.path.expanduser(python))
