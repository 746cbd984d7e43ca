"""Mappings of a sweep file, read key by key; every mistake is noted, none ends the reading."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from typing import Any

from ..base.values import bounded
from ..base.wording import did_you_mean, nearest, show
from ..base.yaml_document import Document, KeyPath

MEANT = 0.75  # how like a known key a misspelt one is that is read as that key, so that its mistakes are told as well


class Notes:
    """What is wrong and what is doubtful in a document, each with its place."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.problems: list[str] = list(document.problems)
        self.warnings: list[str] = []

    def wrong(self, path: KeyPath, text: str) -> None:
        """A mistake: the sweep cannot start."""
        self.problems.append(self.document.message(path, text))

    def warn(self, path: KeyPath, text: str) -> None:
        """The sweep can start, but perhaps not as meant."""
        self.warnings.append(self.document.message(path, text))


class Section:
    """One mapping. Keys are taken whatever their case and with dashes for underscores.

    `values` holds the known keys, and what stands under a misspelt one; each reader returns None for a key that is
    absent, null or wrong, and notes what is wrong with it.
    """

    def __init__(self, notes: Notes, path: KeyPath, data: dict[str, Any], allowed: Collection[str]) -> None:
        self.notes = notes
        self.path = path
        self.values: dict[str, Any] = {}
        self.unknown: list[str] = []
        self._spelt: dict[str, str] = {}
        for key, value in data.items():
            name = key if key in allowed else key.lower().replace("-", "_")
            if name not in allowed:
                self.unknown.append(key)
            elif name in self._spelt:
                notes.wrong((*path, key), f"the same key as {self._spelt[name]}; keep one")
            else:
                self._spelt[name] = key
                self.values[name] = value
        for key in self.unknown:
            for name in nearest(key, [name for name in allowed if name not in self._spelt], cutoff=MEANT):
                self._spelt[name] = key
                self.values[name] = data[key]

    def __contains__(self, key: str) -> bool:
        return key in self.values

    def at(self, key: str) -> KeyPath:
        """The key's path as it is spelt in the file."""
        return (*self.path, self._spelt.get(key, key))

    def wrong(self, key: str, text: str) -> None:
        """Note a mistake at a key of this section."""
        self.notes.wrong(self.at(key), text)

    def refuse_unknown(self, allowed: Iterable[str], misplaced: Collection[str] = ()) -> None:
        """Note every key that is not known; `misplaced` are keys that belong at the top level."""
        names = list(allowed)
        for key in self.unknown:
            if key.lower().replace("-", "_") in misplaced:
                text = "belongs at the top level of the file; is it indented too far?"
            else:
                text = f"unknown key; allowed: {', '.join(names)}{did_you_mean(key, names)}"
            self.notes.wrong((*self.path, key), text)

    def text(self, key: str) -> str | None:
        """A text; a number or date written without quotes is taken as it stands."""
        value = self.values.get(key)
        if value is None:
            if key in self.values:
                self.wrong(key, "has nothing after it; write a text or leave the key out")
            return None
        if isinstance(value, (bool, list, dict)) or not str(value).strip():
            self.wrong(key, f"{show(value)} is not a text")
            return None
        return value if isinstance(value, str) else self.notes.document.texts.get(self.at(key), str(value))

    def word(self, key: str, allowed: Collection[str]) -> str | None:
        """One of the allowed words, in lower case."""
        value = self.values.get(key)
        if key not in self.values:
            return None
        word = value.strip().lower() if isinstance(value, str) else ""
        if word in allowed:
            return word
        suggestion = did_you_mean(value, allowed) if isinstance(value, str) else ""
        self.wrong(key, f"{show(value)} is not allowed; allowed: {', '.join(allowed)}{suggestion}")
        return None

    def flag(self, key: str) -> bool | None:
        """true or false."""
        value = self.values.get(key)
        if key in self.values and not isinstance(value, bool):
            self.wrong(key, f"{show(value)} is not allowed; allowed: true, false")
            return None
        return value

    def integer(self, key: str, minimum: int) -> int | None:
        """A whole number of at least `minimum`."""
        value = self.number(key)
        if value is None:
            return None
        if value != int(value) or value < minimum:
            self.wrong(key, f"{show(value)} is not a whole number of {minimum} or more")
            return None
        return int(value)

    def number(self, key: str, *, above: float | None = None) -> int | float | None:
        """A finite number, integer or float as written, greater than `above`."""
        if key not in self.values:
            return None
        value = self.values[key]
        if isinstance(value, str) and _is_number(value):
            self.wrong(key, f"{show(value)} is a text; write {value.strip()} without quotes")
            return None
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            self.wrong(key, f"{show(value)} is not a number")
            return None
        if not math.isfinite(bounded(value)):
            self.wrong(key, f"{show(value)} is not a finite number")
            return None
        if above is not None and value <= above:
            self.wrong(key, f"{show(value)} is not greater than {above:g}")
            return None
        return value


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
