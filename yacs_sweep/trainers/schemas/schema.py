"""Holds which keys a trainer has, with their defaults, and checks parameters against them."""

from __future__ import annotations

import base64
import pickle
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...base.values import to_builtin
from ...base.wording import did_you_mean, nearest
from .convert_value import convert_value


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

    def arguments(self, key: str, value: Any) -> list[str] | None:
        """Writes the arguments that set a key to a converted value where its kind decides their form; None: it does not.

        Raises ValueError for a value that they cannot say.
        """
        return None

    def unset(self, words: Iterable[str], keys: Iterable[str]) -> Iterator[tuple[str, str]]:
        """Yields each key that must be given, with the reason, unless words of the command or `keys` give it."""
        yield from ()

    def main_name(self, key: str) -> str:
        """Returns one name for all spellings of a key."""
        return key

    def names(self) -> Iterable[str]:
        """Lists what an unknown key may be meant for."""
        return self.values

    def _suggest(self, key: str, aliases: Sequence[str]) -> str:
        """Suggests keys of the tree for an unknown one, such as `SOLVER.BASE_LR` for `LR`."""
        known = list(self.names())
        hint = did_you_mean(key, [*aliases, *known])
        if hint:
            return hint
        # `LR` for `SOLVER.BASE_LR`, or a right name in a wrong section.
        last = key.rpartition(".")[2].upper()
        tails: dict[str, list[str]] = {}
        for name in known:
            tails.setdefault(name.rpartition(".")[2], []).append(name)
        near = nearest(last, tails) or [tail for tail in tails if last in tail.upper().split("_")]
        names = [name for tail in near for name in tails[tail]]
        return f"; did you mean {' or '.join(names[:3])}?" if names else ""
