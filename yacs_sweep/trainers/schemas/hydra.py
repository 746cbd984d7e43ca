"""Checks parameters against a trainer's Hydra configuration: its keys, their types, the choices of its groups."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...base.values import to_builtin
from ...base.wording import did_you_mean, show
from ..styles import parse_literal
from .declared_type import REFUSED, like_default, to_declared
from .schema import Schema

MISSING = "???"  # OmegaConf's value that must be given


@dataclass(frozen=True)
class Leaf:
    """Describes a key of a Hydra configuration.

    Attributes:
        kind: `int`, `float`, `bool`, `str`, `enum` or `list` as declared; `any`: nothing is declared.
        optional: whether null is taken.
        element: a list's elements, as `kind`.
        choices: the names of an enum.
    """

    kind: str
    default: Any
    optional: bool = True
    element: str = "any"
    choices: tuple[str, ...] = ()

    def convert(self, value: Any, lenient: bool = False) -> Any:
        """Converts a value to the declared type, else to that of the default, unless the trainer is `lenient`.

        Raises ValueError saying what is wrong.
        """
        value = to_builtin(value)
        if value is None:
            if not self.optional:
                raise ValueError(f"takes no null{self._hint}")
            return None
        if self.kind == "enum":
            return self._name(value)
        if self.kind == "list" or (self.kind == "any" and isinstance(self.default, list)):
            return self._list(value)
        if self.kind in REFUSED:
            return to_declared(value, self.kind, self._hint)
        return value if lenient else like_default(value, self.default, self._hint)

    @property
    def _hint(self) -> str:
        unknown = self.default is None or self.default == MISSING
        return "" if unknown else f" (the default is {show(self.default)})"

    def _name(self, value: Any) -> Any:
        """Checks a member of an enum, given by name or by value, which only Hydra knows."""
        if value in self.choices or (isinstance(value, int) and not isinstance(value, bool)):
            return value
        hint = did_you_mean(str(value), self.choices)
        raise ValueError(f"{show(value)} is none of {', '.join(self.choices)}{hint}")

    def _list(self, value: Any) -> Any:
        read = parse_literal(value) if isinstance(value, str) else value
        if not isinstance(read, list | tuple):
            raise ValueError(f"{show(value)} is not a list{self._hint}")
        if self.element in REFUSED:
            return [to_declared(item, self.element) for item in read]
        return list(read)


@dataclass(frozen=True)
class HydraSchema(Schema):
    """Holds the composed configuration. A key may have Hydra's prefix: `+KEY` adds it, `++KEY` adds or sets it.

    Attributes:
        leaves: the keys of the configuration as it is composed without overrides.
        others: the keys that it has with another choice of a group.
        groups: the choices of each group; `chosen` are those in the defaults list.
        lenient: whether the trainer takes values of another type where none is declared.
    """

    leaves: Mapping[str, Leaf] = field(default_factory=dict)
    others: Mapping[str, Leaf] = field(default_factory=dict)
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    chosen: frozenset[str] = frozenset()
    lenient: bool = False

    def key_problem(self, key: str, aliases: Sequence[str] = ()) -> str | None:
        """Explains why a key cannot be set, with the nearest right ones; None for one that Hydra takes."""
        name = key.lstrip("+")
        prefix = key[: len(key) - len(name)]
        if name.startswith(("hydra.", "hydra/")):
            return None
        group, at, _ = name.partition("@")
        if group in self.groups:
            return self._group_problem(prefix, group, bool(at))
        if prefix == "+" and name in self.leaves:
            return f"is in the configuration already; write {name}"
        if prefix or name in self.leaves or name in self.others:
            return None
        above, _, index = name.rpartition(".")
        if index.isdigit() and above in self.leaves and self.leaves[above].kind == "list":
            return None
        problem = super().key_problem(name, aliases)
        if problem is None or name in self.sections:
            return problem
        return f"{problem}; +{name} adds it"

    def _group_problem(self, prefix: str, group: str, placed: bool) -> str | None:
        """Explains why the choice of a group cannot be set with that prefix."""
        if prefix == "++":
            return f"is a group, which takes no ++; write {'' if group in self.chosen else '+'}{group}"
        if placed:  # `db@source`: which package it has in the defaults list is not known
            return None
        if prefix and group in self.chosen:
            return f"is in the defaults list already; write {group}"
        if not prefix and group not in self.chosen:
            return f"is a group that is not in the defaults list; +{group} adds it"
        return None

    def convert(self, key: str, value: Any, as_text: str | None = None) -> Any:
        """Converts a value to the type of its key, or checks the choice of a group. Raises ValueError."""
        name = key.lstrip("+")
        options = self.groups.get(name.partition("@")[0])
        if options is not None:
            return _choice(value, options)
        leaf = self.leaves.get(name) or self.others.get(name)
        if leaf is None:
            return to_builtin(value)
        return leaf.convert(value, self.lenient)

    def names(self) -> Iterable[str]:
        """Lists what an unknown key may be meant for."""
        return [*self.leaves, *self.others, *self.groups]

    def unset(self, words: Iterable[str], keys: Iterable[str]) -> Iterator[tuple[str, str]]:
        """Yields each key without a value (`???`) that neither words such as `root=/data` nor `keys` set."""
        given = {word.partition("=")[0].lstrip("+") for word in words} | {key.lstrip("+") for key in keys}
        for name, leaf in self.leaves.items():
            if leaf.default == MISSING and name not in given:
                yield name, f"{MISSING} in {self.source}"


def _choice(value: Any, options: tuple[str, ...]) -> Any:
    """Checks one or several choices of a group."""
    chosen = value if isinstance(value, list | tuple) else [value]
    for item in chosen:
        if item not in options:
            hint = did_you_mean(str(item), options)
            raise ValueError(f"{show(item)} is not in the group{hint}; there is {', '.join(options)}")
    return value


def hydra_schema(source: str, answer: Mapping[str, Any], restore: Any, lenient: bool) -> HydraSchema:
    """Makes the schema of what `inside/print_hydra.py` answers.

    Args:
        restore: restores the types of a default that JSON lacks.
    """

    def leaves(part: str) -> dict[str, Leaf]:
        return {
            key: Leaf(
                item["type"],
                restore(item["default"]),
                item["optional"],
                item.get("element", "any"),
                tuple(item.get("choices", ())),
            )
            for key, item in answer[part].items()
        }

    found = leaves("leaves")
    return HydraSchema(
        source,
        {key: leaf.default for key, leaf in found.items()},
        frozenset(answer["sections"]),
        leaves=found,
        others=leaves("others"),
        groups={group: tuple(options) for group, options in answer["groups"].items()},
        chosen=frozenset(answer["chosen"]),
        lenient=lenient,
    )
