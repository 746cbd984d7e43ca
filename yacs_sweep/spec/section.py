"""Reads a mapping of a sweep file or a trainer's profile key by key, and notes every mistake."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from ..base.values import bounded
from ..base.wording import did_you_mean, nearest, show
from ..base.yaml_document import Document, KeyPath

LIKELY = 0.7  # how like a known key that is not given a key is that is taken for a mistake, not for another tool's key
MEANT = 0.75  # how like a known key a misspelt one is that is read as that key, so that its mistakes are told as well


class Notes:
    """Collects the mistakes and the doubts about a document, each with its place."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.problems: list[str] = list(document.problems)
        self.warnings: list[str] = list(document.warnings)

    def wrong(self, path: KeyPath, text: str) -> None:
        """Notes a mistake: nothing can start with it."""
        self.problems.append(self.document.message(path, text))

    def warn(self, path: KeyPath, text: str) -> None:
        """Notes a doubt: the sweep can start, but perhaps not as meant."""
        self.warnings.append(self.document.message(path, text))


def known_key(key: str, allowed: Collection[str], others: Mapping[str, str] | None = None) -> str:
    """Returns the allowed key that is meant by `key`, whatever its case and with dashes for underscores.

    Args:
        others: further names of allowed keys.

    Returns:
        `key` as it stands when it is unknown.
    """
    folded = key.lower().replace("-", "_")
    name = (others or {}).get(folded, folded)
    return name if key not in allowed and name in allowed else key


class Section:
    """Reads one mapping. Keys are taken whatever their case and with dashes for underscores.

    `values` holds the value of each known key. Each reader returns None for a key that is absent, null or wrong,
    and notes what is wrong with it.
    """

    def __init__(
        self,
        notes: Notes,
        path: KeyPath,
        data: Mapping[str, Any],
        allowed: Collection[str],
        *,
        others: Mapping[str, str] | None = None,
        guess: bool = True,
    ) -> None:
        """Sorts the keys of `data` into known and unknown ones.

        Args:
            others: further names of allowed keys.
            guess: whether a misspelt key, which is a mistake, is read as the allowed key it resembles.
        """
        self.notes = notes
        self.path = path
        self.values: dict[str, Any] = {}
        self.unknown: list[str] = []
        self._allowed = tuple(allowed)
        self._spelt: dict[str, str] = {}
        for key, value in data.items():
            name = known_key(key, allowed, others)
            if name not in allowed:
                self.unknown.append(key)
            elif name in self._spelt:
                notes.wrong((*path, key), f"the same key as {self._spelt[name]}; keep one")
            else:
                self._spelt[name] = key
                self.values[name] = value
        templates = notes.document.templates  # another key takes their values by an alias: their names are the author's
        for key in [key for key in self.unknown if guess and (*path, key) not in templates]:
            for name in nearest(key, [name for name in allowed if name not in self._spelt], cutoff=MEANT):
                self._spelt[name] = key
                self.values[name] = data[key]

    def __contains__(self, key: str) -> bool:
        return key in self.values

    def get(self, key: str) -> Any:
        """Returns the value as the file has it; None where the key is absent."""
        return self.values.get(key)

    def at(self, key: str, *below: str | int) -> KeyPath:
        """Returns the path of a key, or of something below it, as the key is spelt in the file."""
        return (*self.path, self._spelt.get(key, key), *below)

    def wrong(self, key: str, text: str) -> None:
        """Notes a mistake at a key of this section."""
        self.notes.wrong(self.at(key), text)

    def refuse_unknown(
        self,
        allowed: Iterable[str],
        misplaced: Collection[str] = (),
        text: str = "unknown key; allowed: {allowed}{hint}",
    ) -> None:
        """Notes every unknown key.

        Args:
            misplaced: keys that belong at the top level.
            text: the message, with places for the allowed keys and a suggestion.
        """
        names = list(allowed)
        for key in self.unknown:
            if known_key(key, misplaced) in misplaced:
                message = "belongs at the top level of the file; is it indented too far?"
            else:
                message = text.format(allowed=", ".join(names), hint=did_you_mean(key, names))
            self.notes.wrong((*self.path, key), message)

    def leave_out_unknown(self) -> None:
        """Warns of the unknown keys that resemble no known one: W&B's server takes no notice of them.

        A key that resembles one that is not given, or one very much, stays unknown: it is a mistake.
        """
        missing = [name for name in self._allowed if name not in self._spelt or self._spelt[name] in self.unknown]
        for key in list(self.unknown):
            if not nearest(key, missing, cutoff=LIKELY) and not nearest(key, self._allowed, cutoff=MEANT):
                self.unknown.remove(key)
                self.notes.warn((*self.path, key), "is not a key of a sweep file: not used, as on W&B")

    def drop_nulls(self, but: Collection[str] = ()) -> None:
        """Takes a key with nothing after it as an absent one, unless it is one of `but`."""
        self.values = {key: value for key, value in self.values.items() if value is not None or key in but}

    def text(self, key: str) -> str | None:
        """Reads a text; a number or date without quotes is taken as it stands."""
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
        """Reads one of the allowed words; returns it in lower case."""
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
        """Reads true or false."""
        value = self.values.get(key)
        if key in self.values and not isinstance(value, bool):
            self.wrong(key, f"{show(value)} is not allowed; allowed: true, false")
            return None
        return value

    def integer(self, key: str, minimum: int) -> int | None:
        """Reads a whole number of at least `minimum`."""
        value = self.number(key)
        if value is None:
            return None
        if value != int(value) or value < minimum:
            self.wrong(key, f"{show(value)} is not a whole number of {minimum} or more")
            return None
        return int(value)

    def number(self, key: str, *, above: float | None = None) -> int | float | None:
        """Reads a finite number, integer or float as written, greater than `above`."""
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
    """Tells whether a text can be read as a finite number."""
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
