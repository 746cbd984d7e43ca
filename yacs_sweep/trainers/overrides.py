"""Writes sweep parameters as a trainer's overrides: names to keys, values to the default's type, both to arguments."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from ..base.errors import ConfigError
from ..base.values import to_builtin
from ..base.yaml_document import read_yaml_file
from .profile import TrainerProfile
from .schema import Schema
from .styles import check_key, override_arguments, parse_literal, yacs_text


@dataclass(frozen=True)
class Overrides:
    """Translates parameters for a trainer, by its profile and, where it is known, its tree.

    No method starts or writes anything.
    """

    profile: TrainerProfile
    schema: Schema | None = None

    def key_for(self, name: str) -> str:
        """Returns the trainer's key for a parameter name: an alias, or a key as it stands. Raises ConfigError."""
        key = self.profile.aliases.get(name, name)
        label = name if key == name else f"{name} ({key})"
        try:
            check_key(self.profile.overrides, key)
        except ValueError as error:
            raise ConfigError(str(error)) from None
        if key in self.profile.reserved:
            raise ConfigError(f"{label}: is set by the launcher itself and cannot be a parameter")
        problem = self.schema.key_problem(key, list(self.profile.aliases)) if self.schema else None
        if problem:
            raise ConfigError(f"{label}: {problem}")
        return key

    def convert(self, name: str, value: Any) -> Any:
        """Converts the value to the type of the key's default; without a schema it stays.

        Raises ConfigError.
        """
        key = self.key_for(name)
        if self.schema is None:
            return to_builtin(value)
        try:
            return self.schema.convert(key, value)
        except ValueError as error:
            raise ConfigError(f"{name if name == key else f'{name} ({key})'}: {error}") from None

    def check(self, name: str, values: Iterable[Any] = ()) -> list[str]:
        """Lists problems of one parameter: its name, and each value it may take."""
        problems: dict[str, None] = {}
        try:
            self.key_for(name)
        except ConfigError as error:
            return error.problems
        for value in values:
            try:
                self._arguments(name, value)
            except ConfigError as error:
                problems.update(dict.fromkeys(error.problems))
        return list(problems)

    def arguments(self, params: Mapping[str, Any]) -> list[str]:
        """Writes the arguments that set `params`, in their order. Raises ConfigError with every problem."""
        problems = self.same_key_problems(params)
        words = []
        for name, value in params.items():
            try:
                words += self._arguments(name, value)
            except ConfigError as error:
                problems += error.problems
        if problems:
            raise ConfigError(problems)
        return words

    def parse_trailing(self, words: Sequence[str] | Mapping[str, Any]) -> tuple[list[str], dict[str, Any]]:
        """Checks the command line's trailing overrides, which may be a mapping in Python, for any style.

        YACS overrides are KEY VALUE pairs, where an alias will do for KEY; other styles' arguments are passed on as they
        are, and the values they set are not known. Raises ConfigError with every problem.

        Returns:
            The arguments to pass on, and the values they set by key.
        """
        if isinstance(words, Mapping):
            passed = self.arguments(words)
            return passed, {self.key_for(name): self.convert(name, value) for name, value in words.items()}
        if self.profile.overrides != "yacs":
            return list(words), {}
        problems = []
        if len(words) % 2:
            problems.append(f"trailing overrides are pairs of KEY VALUE, and {words[-1]!r} has no value")
        params = {}
        for name, text in zip(words[::2], words[1::2], strict=False):
            try:
                key = self.key_for(name)
                params[key] = self.convert(name, self._read(key, text))
            except ConfigError as error:
                problems += error.problems
        if problems:
            raise ConfigError(problems)
        return self.arguments(params), params

    def config_with(
        self,
        base_config_file: str | os.PathLike[str] | None,
        params: Mapping[str, Any],
        output_dir: str | None = None,
    ) -> dict[str, Any]:
        """Merges `params` into the base configuration file; returns the content of best.yml, for `yaml.safe_dump`.

        YACS reads texts of a file as it reads words, so a text that looks like something else is quoted twice.

        Args:
            output_dir: set as well, where the trainer has a key for it.

        Raises:
            ConfigError: the file is no mapping that the parameters fit into.
        """
        config: dict[str, Any] = {}
        if base_config_file is not None:
            read_yaml_file(str(base_config_file))  # tells a mistake's place better than what follows
            with open(base_config_file, encoding="utf-8-sig") as file:
                content = yaml.safe_load(file)
            if not isinstance(content, dict | None):
                raise ConfigError(f"{base_config_file}: a configuration file is a mapping")
            config = content or {}
        values = {self.key_for(name): self.convert(name, value) for name, value in params.items()}
        if output_dir is not None and self.profile.output_dir_key:
            values[self.profile.output_dir_key] = output_dir
        for key, value in values.items():
            *sections, leaf = key.split(".")
            node = config
            for depth, section in enumerate(sections, start=1):
                if node.get(section) is None:
                    node[section] = {}
                node = node[section]
                if not isinstance(node, dict):
                    raise ConfigError(f"{base_config_file}: {'.'.join(sections[:depth])}: is not a section")
            node[leaf] = self._yaml_value(value)
        return config

    def _arguments(self, name: str, value: Any) -> list[str]:
        key = self.key_for(name)
        value = self.convert(name, value)
        try:
            return override_arguments(self.profile.overrides, key, value)
        except ValueError as error:
            raise ConfigError(f"{name}: {error}") from None

    def _read(self, key: str, text: str) -> Any:
        """Reads the value of a trailing override as the user means it: where a text is due, 10 is the text 10."""
        value = parse_literal(text)
        text_due = self.schema is not None and isinstance(self.schema.values.get(key), str)
        return text if text_due and value is not None and not isinstance(value, str) else value

    def same_key_problems(self, names: Iterable[str]) -> list[str]:
        """Lists parameter names that mean the same key."""
        by_key: dict[str, list[str]] = {}
        for name in names:
            by_key.setdefault(self.profile.aliases.get(name, name), []).append(name)
        return [
            f"{' and '.join(same)}: are the same key, {key}; keep one" for key, same in by_key.items() if len(same) > 1
        ]

    def _yaml_value(self, value: Any) -> Any:
        """Prepares a value for the configuration file."""
        if isinstance(value, tuple | list):
            return [self._inner(item) for item in value]
        if isinstance(value, str) and self.profile.overrides == "yacs":
            return yacs_text(value)
        return value

    def _inner(self, value: Any) -> Any:
        """Makes lists of tuples, at any depth."""
        return [self._inner(item) for item in value] if isinstance(value, tuple | list) else value
