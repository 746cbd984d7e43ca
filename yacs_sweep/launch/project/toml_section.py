"""Reads the section of a TOML file that holds a project's defaults, with the line of each key."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...base.errors import ConfigError
from .find import OWN, SECTION

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_HEADER = re.compile(r"\s*\[([^\[\]]+)\]\s*(?:#.*)?")
_KEY = re.compile(r"\s*((?:[\w-]+|\"[^\"]*\"|'[^']*')(?:\s*\.\s*(?:[\w-]+|\"[^\"]*\"|'[^']*'))*)\s*=")
_PLACE = re.compile(r"(.*) \(at line (\d+), column \d+\)", re.DOTALL)


@dataclass(frozen=True)
class TomlSection:
    """Holds the keys of a section, as they are written, with their values and lines."""

    file: Path
    values: dict[str, Any]
    lines: dict[str, int]

    @classmethod
    def read(cls, file: Path) -> TomlSection | None:
        """Reads a file: yacs-sweep.toml as a whole, of another the table [tool.yacs-sweep]; None where that is not there.

        Raises:
            ConfigError: the file cannot be read, or is no TOML.
        """
        shown = shown_path(file)
        try:
            text = file.read_text(encoding="utf-8-sig")
            data: Any = tomllib.loads(text)
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{shown}: cannot be read: {error}") from None
        except tomllib.TOMLDecodeError as error:
            found = _PLACE.fullmatch(str(error))
            what, line = (found[1], f":{found[2]}") if found else (str(error), "")
            raise ConfigError(f"{shown}{line}: not TOML: {what}") from None
        path = () if file.name == OWN else ("tool", SECTION)
        for key in path:
            data = data.get(key) if isinstance(data, dict) else None
        if data is None:
            return None
        if not isinstance(data, dict):
            raise ConfigError(f"{shown}: [tool.{SECTION}] is not a table of settings")
        return cls(file, data, _lines(text, path))

    def place(self, key: str) -> str:
        """Returns where a key stands, as `file:line`."""
        line = self.lines.get(key)
        return shown_path(self.file) + (f":{line}" if line is not None else "")


def shown_path(file: Path) -> str:
    """Returns a file's path as it is reached from the current folder."""
    return os.path.relpath(file)


def _lines(text: str, path: tuple[str, ...]) -> dict[str, int]:
    """Finds the line of each key below `path`; tomllib does not tell. Of a key that several lines set, the first."""
    found: dict[str, int] = {}
    table: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _HEADER.fullmatch(line):
            table = whole = _parts(header[1])
        elif key := _KEY.match(line):
            whole = (*table, *_parts(key[1]))
        else:
            continue
        if whole[: len(path)] == path and len(whole) > len(path):
            found.setdefault(whole[len(path)], number)
    return found


def _parts(dotted: str) -> tuple[str, ...]:
    """Splits a dotted key; quotes are removed."""
    return tuple(part.strip().strip("\"'") for part in re.findall(r"\"[^\"]*\"|'[^']*'|[^.]+", dotted))
