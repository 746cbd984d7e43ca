"""Merges a configuration file into a schema where the trainer's own tree refuses the file, to say what is wrong with it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...base.errors import ConfigError
from ...base.wording import show
from ...base.yaml_document import Document, KeyPath, read_yaml, read_yaml_file
from ...records.inputs import includes_of
from ...spec.slips import joined_digits, meant_key, meant_mapping, value_parts
from ..styles import parse_literal, yacs_text
from .schema import Schema

_BASE = "_BASE_"  # fvcore's key of the files that a file is based on; a tree may have a key `BASE` of its own


class LenientMerge:
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


def merge_leniently(schema: Schema, config_file: str, refusal: str, lenient: bool) -> Schema:
    """Merges the file into the schema.

    Raises:
        ConfigError: the file's mistakes, else the tree's refusal. Values of another type are none where the trainer is
            `lenient`: it converts them itself.
    """
    merge = _merge_with_bases(schema, Path(config_file), ())
    base = f"config key: {_BASE}" in refusal
    if base:
        text = f"{config_file}: {_BASE}: the trainer's schema takes no other files' values; write them here"
        merge.adapted.insert(0, text)
    if merge.problems or not (lenient and merge.adapted):
        found = [*merge.problems, *(() if lenient else merge.adapted)]
        _, mismatch, words = refusal.partition("Type mismatch")
        key = words.rpartition("config key: ")[2]
        place = next((place for place, line in enumerate(found) if mismatch and f": {key}: " in line), None)
        if place is not None:  # one line for one fault, with the tree's words
            found[place] += f" ({mismatch}{words})"
        elif not merge.problems and not (merge.adapted and mismatch) and not base:  # the refusal is of something else
            found.append(f"{config_file}: does not fit the trainer's schema: {refusal}")
        raise ConfigError(found)
    return replace(schema, values={**schema.values, **merge.values})


def _merge_with_bases(schema: Schema, file: Path, above: tuple[Path, ...]) -> LenientMerge:
    """Merges a file on top of those that it is based on; `above` are the files that are based on it.

    Of files in a circle, which the trainer refuses, each is read once.
    """
    document = read_yaml_file(os.fspath(file))
    merge = LenientMerge(schema, document)
    if not isinstance(document.data, dict):
        merge.problems.append(document.message((), "is not a mapping such as SOLVER: {BASE_LR: 0.1}"))
        return merge
    if _BASE in schema.values:  # the trainer's own, for something else
        merge.merge(document.data)
        return merge
    for name in includes_of({_BASE: document.data.get(_BASE)}):
        path = Path(os.path.normpath(file.parent / Path(name).expanduser()))
        if path not in (*above, file):
            below = _merge_with_bases(schema, path, (*above, file))
            merge.values |= below.values
            merge.problems += below.problems
            merge.adapted += below.adapted
    merge.merge({key: value for key, value in document.data.items() if key != _BASE})
    return merge


def _in_a_file(value: Any) -> str:
    """Writes a value as YACS reads it in a configuration file: a text that looks like a number is quoted twice."""
    if not isinstance(value, str):
        return show(value)
    text = yacs_text(value)
    if text != value:
        return f'"{text}"'
    return value if read_yaml("", value).data == value else f"'{value}'"  # `yes` is a boolean without quotes
