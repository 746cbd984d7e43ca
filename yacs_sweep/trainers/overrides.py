"""Writes sweep parameters as a trainer's overrides: names to keys, values to the default's type, both to arguments."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..base.errors import ConfigError
from ..base.values import to_builtin
from .profile import TrainerProfile
from .schemas.convert_value import read_word
from .schemas.fixed_words import check_words
from .schemas.schema import Schema
from .styles import AS_IT_STANDS, LITERAL, check_key, override_arguments, parse_literal, yacs_text
from .ways.files import read_base, set_key

_CLOSING = {"[": "]", "(": ")"}
_SETTING = re.compile(r"(?:--|\+{0,2})(?P<key>[A-Za-z_][\w./-]*)(?P<equals>=)?(?P<value>(?(equals).*))", re.DOTALL)


@dataclass(frozen=True)
class Overrides:
    """Translates parameters for a trainer, by its profile and, where it is known, its tree.

    No method starts or writes anything.
    """

    profile: TrainerProfile
    schema: Schema | None = None

    def key_for(self, name: str) -> str:
        """Returns the trainer's key for a parameter name: an alias, or a key as it stands. Raises ConfigError."""
        if self.profile.fills(name):
            return name
        key = self.profile.aliases.get(name, name)
        if self.profile.overrides == "env" and name not in self.profile.aliases:
            key = self._variable(name)
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

    def defaults(self, names: Iterable[str]) -> dict[str, Any]:
        """Returns what the trainer has for parameters where nothing sets them; those are left out that no schema names."""
        if self.schema is None:
            return {}
        known, keys = self.schema.values, {name: self.key_for(name) for name in names}
        return {name: to_builtin(known[key]) for name, key in keys.items() if key in known}

    def convert(self, name: str, value: Any, as_text: str | None = None) -> Any:
        """Converts the value to the type of the key's default; without a schema it stays. `as_text`: see `convert_value`.

        Raises ConfigError.
        """
        key = self.key_for(name)
        if self.schema is None or self.profile.fills(name):
            read = self.profile.overrides == "yacs" and isinstance(value, str)
            return read_word(value) if read else to_builtin(value)
        try:
            return self.schema.convert(key, value, as_text)
        except ValueError as error:
            raise ConfigError(f"{name if name == key else f'{name} ({key})'}: {error}") from None

    def gpu_value(self, gpu_ids: Sequence[str]) -> tuple[str, Any] | None:
        """Returns the trainer's key that chooses GPUs, and its value for these; None without GPUs or such a key.

        Raises ConfigError: the key does not take so many GPUs, or their names.
        """
        chosen = self.profile.gpu_key
        if chosen is None or not gpu_ids:
            return None
        default = self.schema.values.get(chosen.key) if self.schema else None
        if isinstance(default, str) and isinstance(listed := parse_literal(default), list | tuple):
            default = listed  # a configuration file writes (0,) so
        text = chosen.text(gpu_ids, default)
        style = self.profile.overrides
        if style not in LITERAL and chosen.form is None and not isinstance(default, int | float | list | tuple):
            return chosen.key, text
        if self.schema is None:
            return chosen.key, text if style in AS_IT_STANDS else read_word(text)
        try:
            return chosen.key, self.schema.convert(chosen.key, text)
        except ValueError as error:
            raise ConfigError(f"{self.profile.path}: gpu_key: {chosen.key}: {error}") from None

    def gpu_arguments(self, gpu_ids: Sequence[str]) -> list[str]:
        """Writes the arguments that tell the trainer which GPUs it was given. Raises ConfigError as `gpu_value`."""
        pair = self.gpu_value(gpu_ids)
        try:
            return [] if pair is None else override_arguments(self.profile.overrides, *pair)
        except ValueError as error:
            raise ConfigError(f"{self.profile.path}: gpu_key: {error}") from None

    def gpu_problems(self, gpu_ids: Sequence[str]) -> list[str]:
        """Lists why the trainer cannot be given these GPUs."""
        try:
            self.gpu_arguments(gpu_ids)
        except ConfigError as error:
            return error.problems
        return []

    def profile_problems(self) -> list[str]:
        """Lists why the trainer's tree does not take the keys that the launcher sets itself: output folder and GPUs."""
        if self.schema is None:
            return []
        problems = []
        if key := self.profile.output_dir_key:
            problem = self.schema.key_problem(key)
            if problem is None:
                try:
                    self.schema.convert(key, "/folder")
                except ValueError as error:
                    problem = str(error)
            problems += [f"{self.profile.path}: output_dir_key: {key}: {problem}"] if problem else []
        if chosen := self.profile.gpu_key:
            problem = self.schema.key_problem(chosen.key)
            if problem:
                problems.append(f"{self.profile.path}: gpu_key: {chosen.key}: {problem}")
            else:
                problems += self.gpu_problems(("0",))
        return problems

    def resume_problems(self) -> list[str]:
        """Lists what is wrong with the keys by which the profile makes the trainer resume."""
        return [problem for key, value in self.profile.resume.pairs for problem in self.check(key, [value])]

    def check(self, name: str, values: Iterable[Any] = (), texts: Mapping[str, str] | None = None) -> list[str]:
        """Lists problems of one parameter: its name, and each value it may take.

        Args:
            texts: maps the `repr` of values to their characters in the file.
        """
        problems: dict[str, None] = {}
        values = list(values)
        try:
            key = self.key_for(name)
        except ConfigError as error:
            return error.problems
        if self.profile.gpu_key is not None and key == self.profile.gpu_key.key and len(values) != 1:
            return [f"{name}: is set by the launcher itself, to each trial's GPUs (gpu_key), and cannot be a parameter"]
        for value in values:
            try:
                text = (texts or {}).get(repr(value))
                self._arguments(name, value, None if text is None else f"'{text}' in quotes")
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
        are, checked against a parser's options or Hydra's configuration. Raises ConfigError with every problem.

        Returns:
            The arguments to pass on, and the values they set by key.
        """
        if isinstance(words, Mapping):
            passed = self.arguments(words)
            return passed, {self.key_for(name): self.convert(name, value) for name, value in words.items()}
        if not self.profile.takes_pairs:
            values, problems = check_words(self.schema, words)
            if problems:
                raise ConfigError(problems)
            return list(words), values
        problems = []
        if apart := _list_apart(words):
            raise ConfigError(f"{apart}: the shell takes a list with blanks apart; write '{apart}', in quotes")
        if len(words) % 2:
            problems.append(f"trailing overrides are pairs of KEY VALUE, and {words[-1]!r} has no value")
        params = {}
        for name, text in zip(words[::2], words[1::2], strict=False):
            try:
                key = self.key_for(name)
                if self.profile.fills(name):
                    raise ConfigError(f"{name}: is given by {{{name}}} of the command; --{name} sets it for all trials")
                reads = self.schema is not None or self.profile.overrides == "yacs"  # so does `convert`, then
                value = self.convert(name, text if reads else read_word(text))
                params[key] = repr(value) if isinstance(value, str) and self.convert(name, value) != value else value
            except ConfigError as error:
                problems += error.problems
        if problems:
            raise ConfigError(problems)
        return self.arguments(params), params

    def settings_of(self, words: Sequence[str] | Mapping[str, Any]) -> dict[str, Any]:
        """Finds what words given to every trial set, where no schema tells: `--key=value`, `--key value`, `key=value`.

        Returns:
            The values by key; empty for a trainer of KEY VALUE pairs.
        """
        if isinstance(words, Mapping) or self.profile.takes_pairs:
            return {}
        found: dict[str, Any] = {}
        for word, after in zip(words, [*words[1:], "--"], strict=True):
            matched = _SETTING.fullmatch(word)
            if matched is None or not (matched["equals"] or word.startswith("--")):
                continue
            value = matched["value"] if matched["equals"] else "" if after.startswith("--") else after
            found[matched["key"]] = read_word(value)
        return found

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
        config = {} if base_config_file is None else read_base(base_config_file)
        values = {self.key_for(name): self.convert(name, value) for name, value in params.items()}
        if output_dir is not None and self.profile.output_dir_key:
            values[self.profile.output_dir_key] = output_dir
        for key, value in values.items():
            set_key(config, key, self._yaml_value(key, value), base_config_file)
        return config

    def _arguments(self, name: str, value: Any, as_text: str | None = None) -> list[str]:
        key = self.key_for(name)
        value = self.convert(name, value, as_text)
        if self.profile.fills(name):
            return []
        try:
            words = self.schema.arguments(key, value) if self.schema is not None else None
            return override_arguments(self.profile.overrides, key, value) if words is None else words
        except ValueError as error:
            raise ConfigError(f"{name}: {error}") from None

    def same_key_problems(self, names: Iterable[str]) -> list[str]:
        """Lists parameter names that mean the same key."""
        by_key: dict[str, list[str]] = {}
        for name in names:
            by_key.setdefault(self.profile.aliases.get(name, name), []).append(name)
        return [
            f"{' and '.join(same)}: are the same key, {key}; keep one" for key, same in by_key.items() if len(same) > 1
        ]

    def _yaml_value(self, key: str, value: Any) -> Any:
        """Prepares a value for the configuration file. A tuple is a list there, unless the default makes none of it."""
        default = self.schema.values.get(key) if self.schema else None
        if isinstance(value, tuple) and self._reads_literals and not isinstance(default, list | tuple):
            return yacs_text(value)
        if isinstance(value, tuple | list):
            return [self._inner(item) for item in value]
        if isinstance(value, str) and self._reads_literals:
            return yacs_text(value)
        return value

    @property
    def _reads_literals(self) -> bool:
        """Whether the trainer reads texts of a file as Python's literals, as YACS does."""
        return self.profile.overrides == "yacs" or (
            self.profile.overrides == "file" and self.profile.schema is not None
        )

    def _variable(self, name: str) -> str:
        """Returns the environment variable of a parameter without an alias; a variable's own name stays.

        Raises ConfigError where there is none.

        Parameters may come from a server: without a prefix, only variables that the profile names are set.
        """
        prefix, profile = self.profile.env_prefix, self.profile
        if name in (*profile.aliases.values(), *profile.reserved) or (prefix and name.startswith(prefix)):
            return name
        if prefix is None:
            raise ConfigError(
                f"{name}: has no environment variable; add `aliases: {{{name}: VARIABLE}}` or `env_prefix: HP_`"
            )
        return f"{prefix}{name}"

    def _inner(self, value: Any) -> Any:
        """Makes lists of tuples, at any depth."""
        return [self._inner(item) for item in value] if isinstance(value, tuple | list) else value


def _list_apart(words: Sequence[str]) -> str | None:
    """Returns the list that a shell has made several words of, such as `[20, 40]`; None without any."""
    for start, word in enumerate(words):
        if word[:1] not in ("[", "(") or word.count(word[0]) == word.count(_CLOSING[word[0]]):
            continue
        for end in range(start + 2, len(words) + 1):
            text = " ".join(words[start:end])
            if text.count(word[0]) == text.count(_CLOSING[word[0]]):
                return text
    return None
