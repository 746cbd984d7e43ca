"""Reads the trainer's YACS tree in the trainer's own interpreter, so that none of its code runs in the launcher."""

from __future__ import annotations

import base64
import os
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..base.ask_process import NoAnswer, TimedOut, ask_process
from ..base.errors import ConfigError
from ..base.processes import without_wandb
from ..base.streams import SILENT_WAIT
from ..base.values import to_builtin
from ..base.wording import did_you_mean, nearest, show
from ..base.yaml_document import Document, KeyPath, read_yaml, read_yaml_file
from ..spec.slips import joined_digits, meant_key, meant_mapping, value_parts
from .convert_value import OpaqueDefault, convert_value
from .profile import TrainerProfile
from .styles import parse_literal, yacs_text

TIMEOUT = 120.0  # seconds; a tree that lives in a large package imports that package
_SCRIPT = Path(__file__).parent / "inside" / "print_schema.py"


@dataclass(frozen=True)
class Schema:
    """Holds the leaves of a tree by dotted key. `values` are the defaults with the configuration file merged in.

    `open` are sections ("" is the root) in which the trainer takes keys it does not know; `loose` says that it takes
    values of another type than the default's.
    """

    source: str
    values: Mapping[str, Any]
    sections: frozenset[str] = frozenset()
    renamed: Mapping[str, str] = field(default_factory=dict)
    deprecated: frozenset[str] = frozenset()
    open: frozenset[str] = frozenset()
    loose: bool = False

    def packed(self) -> str:
        """Returns a text from which `unpack` makes the schema again, in another process of this launch."""
        return base64.b64encode(pickle.dumps(self)).decode()

    @staticmethod
    def unpack(text: str) -> Schema:
        """Returns the schema that was packed in a text, which must come from a process of this launch."""
        schema = pickle.loads(base64.b64decode(text))
        assert isinstance(schema, Schema)
        return schema

    def key_problem(self, key: str, aliases: Sequence[str] = ()) -> str | None:
        """Explains why a key cannot be set, with the nearest right ones; None for a leaf that can be set."""
        if key in self.deprecated:
            return "the trainer ignores this key (deprecated)"
        if key in self.values:
            return None
        if key in self.renamed:
            return f"was renamed to {self.renamed[key]}"
        if key in self.sections:
            inside = [name for name in self.values if name.startswith(f"{key}.")]
            return f"is a section; name one of its keys: {', '.join(inside[:6])}{', …' if len(inside) > 6 else ''}"
        if key.rpartition(".")[0] in self.open:
            return None
        return f"no such key in {self.source}{self._suggest(key, aliases)}"

    def convert(self, key: str, value: Any, as_text: str | None = None) -> Any:
        """Converts the value to the type of the key's default; `as_text` is that of `convert_value`.

        Raises ValueError saying what is wrong and what is allowed.
        """
        try:
            return convert_value(value, self.values.get(key), as_text)
        except ValueError:
            if self.loose and not isinstance(value, dict):
                return to_builtin(value)
            raise

    def _suggest(self, key: str, aliases: Sequence[str]) -> str:
        """Suggests keys of the tree for an unknown one, such as `SOLVER.BASE_LR` for `LR`."""
        hint = did_you_mean(key, [*aliases, *self.values])
        if hint:
            return hint
        # `LR` for `SOLVER.BASE_LR`, or a right name in a wrong section.
        last = key.rpartition(".")[2].upper()
        tails: dict[str, list[str]] = {}
        for name in self.values:
            tails.setdefault(name.rpartition(".")[2], []).append(name)
        near = nearest(last, tails) or [tail for tail in tails if last in tail.upper().split("_")]
        names = [name for tail in near for name in tails[tail]]
        return f"; did you mean {' or '.join(names[:3])}?" if names else ""


def read_schema(
    profile: TrainerProfile,
    *,
    python: str | None = None,
    config_file: str | os.PathLike[str] | None = None,
    timeout: float = TIMEOUT,
) -> Schema | None:
    """Reads the profile's `schema` with `config_file` merged in; None when the profile names none.

    Raises ConfigError: a tree that cannot be loaded; of the configuration file, broken YAML, every unknown key and
    every value that cannot be taken for one of the default's type.
    """
    if profile.schema is None:
        return None
    if config_file is not None and not os.path.isfile(config_file):
        raise ConfigError(f"--config_file {config_file}: no such file")
    interpreter = profile.interpreter(python)
    words = [interpreter, str(_SCRIPT), profile.schema]
    if config_file is not None:
        words.append(profile.child_path(config_file) or "")
    answer = _ask(words, profile, timeout)
    error = answer.get("error")
    if error and error["stage"] == "load":
        text = error["text"]
        hint = "; --python PATH names the trainer's interpreter" if text.startswith("ModuleNotFoundError") else ""
        raise ConfigError(
            f"{profile.path}: schema: {profile.schema} could not be loaded by {interpreter}: {text}{hint}"
        )
    schema = Schema(
        profile.schema,
        {key: _restore_types(value) for key, value in answer["defaults" if error else "values"].items()},
        frozenset(answer["sections"]),
        answer["renamed"],
        frozenset(answer["deprecated"]),
        frozenset(answer["open"]),
        answer["loose"],
    )
    return _merge_leniently(schema, str(config_file), error["text"], profile.lenient) if error else schema


def _ask(command: list[str], profile: TrainerProfile, timeout: float) -> dict[str, Any]:
    """Asks the trainer's interpreter for the tree. Raises ConfigError when it gives none."""
    problem = f"{profile.path}: schema: {profile.schema} could not be read by {command[0]}"
    environment = {**without_wandb(os.environ), **profile.env}
    try:
        waits = f"waiting for {command[0]} to import {profile.schema}, {timeout:g} s at most"
        return ask_process(
            command, environment=environment, cwd=profile.cwd, timeout=timeout, notice=(SILENT_WAIT, waits)
        )
    except TimedOut:
        raise ConfigError(f"{problem} within {timeout:g} s; leave `schema` out to do without it") from None
    except NoAnswer as error:
        raise ConfigError(f"{problem}: {error}") from None


def _restore_types(value: Any) -> Any:
    """Restores the types that JSON lacks: tuples and opaque defaults."""
    if isinstance(value, list):
        return [_restore_types(item) for item in value]
    if isinstance(value, dict):
        if "tuple" in value:
            return tuple(map(_restore_types, value["tuple"]))
        return OpaqueDefault(value["other"], frozenset(value["takes"]) if "takes" in value else None)
    return value


class _LenientMerge:
    """Merges a file that the tree itself refused, to find out what it refuses, or for a trainer that is less strict."""

    def __init__(self, schema: Schema, document: Document) -> None:
        self.schema, self.document = schema, document
        self.values: dict[str, Any] = {}
        self.problems: list[str] = list(document.problems)
        self.adapted: list[str] = []  # problems of values that only a lenient trainer takes (1 for 1.0)

    def merge(self, mapping: Mapping[str, Any], above: KeyPath = ()) -> None:
        """Merges a mapping of the file; `above` is the path of the section."""
        parts = value_parts(mapping, {name: self.document.texts.get((*above, name), "") for name in mapping})
        for name, value in mapping.items():
            path = (*above, name)
            key = ".".join(map(str, path))
            if name not in parts:
                continue  # a part of the value before, which a comma has split
            if len(parts[name]) > 1:
                self._problem(path, f"a comma ends a value here; write `{name}: {self._joined(key, parts[name])}`")
            elif value is None and (meant := meant_key(name)):
                self._problem(path, f"a key needs a blank after its `:`; write `{meant}`")
            elif key not in self.schema.sections:
                self._leaf(key, value, path)
            elif isinstance(value, dict):
                self.merge(value, path)
            elif value is None:
                self._adapt(path, "is an empty section, which the trainer's schema does not take; leave the line out")
            elif (meant := self._meant_section(key, value)) is not None:
                self._problem(path, f"a key needs a blank after its `:`; write `{name}: {meant}`")
            else:
                self._problem(path, f"is a section; write its keys below it, not {show(value)}")

    def _joined(self, key: str, parts: list[str]) -> str:
        """Writes the value whose parts commas have split: a list, or a number with a decimal comma."""
        listed = len(parts) > 2 or isinstance(self.schema.values.get(key), list | tuple)
        return f"[{', '.join(parts)}]" if listed else joined_digits(*parts)

    def _meant_section(self, key: str, value: Any) -> str | None:
        """Returns the section that is meant by a text such as `LR:0.1`; None for any other value."""
        return meant_mapping(
            value, [name.removeprefix(f"{key}.") for name in self.schema.values if name.startswith(f"{key}.")]
        )

    def _leaf(self, key: str, value: Any, path: KeyPath) -> None:
        if key in self.schema.deprecated:
            return
        problem = self.schema.key_problem(key)
        if problem is None:
            plain = None if isinstance(value, str) else self.document.texts.get(path)
            as_text = None if plain is None else _in_a_file(plain)
            try:
                self.values[key] = fitting = self.schema.convert(key, value, as_text)
                read = parse_literal(value) if isinstance(value, str) else value
                lists = isinstance(read, list | tuple) and isinstance(fitting, list | tuple)
                if not lists and type(fitting) is not type(read):
                    written = as_text if as_text and isinstance(fitting, str) else _in_a_file(fitting)
                    self._adapt(path, f"{plain or show(read)} does not fit the trainer's schema; write {written}")
            except ValueError as error:
                problem = str(error)
        if problem:
            self._problem(path, problem)

    def _problem(self, path: KeyPath, problem: str) -> None:
        self.problems.append(self.document.message(path, problem))

    def _adapt(self, path: KeyPath, problem: str) -> None:
        """Notes a value that only a lenient trainer takes."""
        self.adapted.append(self.document.message(path, problem))


def _merge_leniently(schema: Schema, config_file: str, refusal: str, lenient: bool) -> Schema:
    """Merges the file into the schema.

    Raises:
        ConfigError: the file's mistakes, else the tree's refusal. Values of another type are none where the trainer is
            `lenient`: it converts them itself.
    """
    document = read_yaml_file(config_file)
    merge = _LenientMerge(schema, document)
    if isinstance(document.data, dict):
        merge.merge(document.data)
    else:
        merge.problems.append(document.message((), "is not a mapping such as SOLVER: {BASE_LR: 0.1}"))
    if merge.problems or not (lenient and merge.adapted):
        found = [*merge.problems, *merge.adapted]
        _, mismatch, words = refusal.partition("Type mismatch")
        key = words.rpartition("config key: ")[2]
        place = next((place for place, line in enumerate(found) if mismatch and f": {key}: " in line), None)
        if place is not None:  # one line for one fault, with the tree's words
            found[place] += f" ({mismatch}{words})"
        elif not merge.problems and not (merge.adapted and mismatch):  # the refusal is of something else
            found.append(f"{config_file}: does not fit the trainer's schema: {refusal}")
        raise ConfigError(found)
    return replace(schema, values={**schema.values, **merge.values})


def _in_a_file(value: Any) -> str:
    """Writes a value as YACS reads it in a configuration file: a text that looks like a number is quoted twice."""
    if not isinstance(value, str):
        return show(value)
    text = yacs_text(value)
    if text != value:
        return f'"{text}"'
    return value if read_yaml("", value).data == value else f"'{value}'"  # `yes` is a boolean without quotes
