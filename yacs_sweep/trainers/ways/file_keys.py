"""Takes the keys of a base configuration file as the schema of a trainer that is given such a file (`overrides: file`)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...base.errors import ConfigError
from ...base.wording import show
from ...base.yaml_document import bare_number
from ...records.inputs import includes_of
from ..schemas.convert_value import read_word
from ..schemas.declared_type import like_default
from ..schemas.schema import Schema
from .files import SUFFIXES, leaves, read_base


@dataclass(frozen=True)
class FileKeys(Schema):
    """Holds the keys and values of a configuration file.

    Attributes:
        new_keys: whether the trainer takes other keys, too.
        lenient: whether it takes values of another kind than the file's.
    """

    new_keys: bool = False
    lenient: bool = False

    def key_problem(self, key: str, aliases: Sequence[str] = ()) -> str | None:
        """Explains why a key cannot be set; a section cannot, whatever other keys the trainer takes."""
        problem = super().key_problem(key, aliases)
        if self.new_keys and key not in self.sections:
            return None
        unknown = problem is not None and key not in self.sections
        return f"{problem}; with `new_keys: true` in the profile it is added" if unknown else problem

    def convert(self, key: str, value: Any, as_text: str | None = None) -> Any:
        """Converts the value to the kind of the file's: a boolean, a number of either kind, a list.

        Raises ValueError unless the trainer is lenient. What replaces a text or null is taken as it is.
        """
        default = self.values.get(key)
        if not self.lenient and isinstance(default, bool | int | float | list):
            value = like_default(value, default, f" (the file has {show(default)})")
        converted = super().convert(key, value, as_text)
        as_given = isinstance(value, str) and converted == value and not isinstance(default, str)
        return read_word(value) if as_given else converted


def file_keys(
    path: str | os.PathLike[str],
    *,
    new_keys: bool = False,
    lenient: bool = False,
    named: Iterable[str] = (),
    free: Iterable[str] = (),
) -> FileKeys:
    """Reads the keys and values of a configuration file, with the files it includes by `_BASE_` or `BASE`.

    Args:
        new_keys, lenient: those of `FileKeys`.
        named: keys that the profile names, which the trainer has, then, though the file does not set them.
        free: keys that take a value of any kind, whatever the file has.

    Raises:
        ConfigError: the file is neither YAML nor JSON, or no mapping.
    """
    if Path(path).suffix.lower() not in SUFFIXES:
        raise ConfigError(f"--config_file {path}: `overrides: file` merges YAML and JSON files ({', '.join(SUFFIXES)})")
    values: dict[str, Any] = dict.fromkeys(named)
    values |= {key: _meant(value) for key, value in _with_includes(Path(path), ()).items()}
    values |= dict.fromkeys(free)
    parts = [key.split(".") for key in values]
    sections = {".".join(part[:depth]) for part in parts for depth in range(1, len(part))}
    empty = {key for key, value in values.items() if value == {}}
    return FileKeys(
        source=str(path),
        values={key: value for key, value in values.items() if key not in empty},
        sections=frozenset(sections | empty),
        open=frozenset(empty),
        loose=True,
        new_keys=new_keys,
        lenient=lenient,
    )


def _with_includes(path: Path, above: tuple[Path, ...]) -> Mapping[str, Any]:
    """Lists the values of a file on top of those it includes; `above` are the files that include it."""
    config = read_base(path)
    found: dict[str, Any] = {}
    for name in includes_of(config):
        included = Path(os.path.normpath(path.parent / Path(name).expanduser()))
        if included.is_file() and included not in (*above, path):
            found |= _with_includes(included, (*above, path))
    return found | leaves(config)


def _meant(value: Any) -> Any:
    """Returns the value that a file means: YAML reads 1e-3 as a text, its trainer as a number."""
    number = bare_number(value)
    return value if number is None else number
