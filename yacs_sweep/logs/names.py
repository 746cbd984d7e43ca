"""Makes metric names and numbers of values that a trainer names itself: in tables, dictionaries, lists and files."""

from __future__ import annotations

import ast
import json
import math
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from ..base.values import Number, bounded
from .numbers import NULL, Commas, Null, progress, to_number

Unread = Callable[[str, str], None]  # a value that is no number: the metric's name, the text
FIELD = re.compile(r"\{([A-Za-z_]\w*)\}")
_CACHED = 4096  # names an entry remembers; a trainer that makes up more is only slower
_BARE_WORDS = {"nan": math.nan, "inf": math.inf, "infinity": math.inf}
_DEPTH = 16  # of dictionaries in dictionaries


def fill(template: str, groups: Mapping[str, str]) -> str:
    """Fills the `{group}` fields of a metric's name."""
    return FIELD.sub(lambda match: groups.get(match[1], ""), template)


@dataclass(frozen=True)
class Unit:
    """The unit of a printed value; the logged one is times `factor`, divided by `divisor`."""

    factor: float = 1.0
    divisor: float = 1.0

    def __call__(self, value: Number) -> Number:
        if isinstance(value, Commas):
            return Commas(self._logged(value), self._logged(value.decimal))
        if isinstance(value, Null):
            return value
        return self._logged(value)

    def _logged(self, value: Number) -> float:
        return float(f"{value * self.factor / self.divisor:.15g}")  # 0.412, not 0.41200000000000003


FRACTION = Unit(divisor=100.0)  # 41.2 (percent) is logged as 0.412


@dataclass(frozen=True)
class Rule:
    """A rule for names: those that `regex` matches as a whole become `template`, or are left out (None)."""

    regex: re.Pattern[str]
    template: str | None
    unit: Unit | None = None


@dataclass(frozen=True)
class Names:
    """The rules that turn a trainer's names into metric names: the first that fits decides; without rules names stay."""

    rules: tuple[Rule, ...] = ()
    _cache: dict[str, tuple[str, Unit | None] | None] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def uses_context(self) -> bool:
        """Whether a rule needs groups from elsewhere than the trainer's name for the value."""
        return any(
            name not in rule.regex.groupindex and name != "name"
            for rule in self.rules
            for name in FIELD.findall(rule.template or "")
        )

    def metrics(
        self, pairs: Iterable[tuple[str, str | Number]], context: Mapping[str, str], unread: Unread | None = None
    ) -> dict[str, Number]:
        """Returns the numbers among `pairs` under their metric names; of equal names the first counts.

        Args:
            context: groups of the line that rules may use.
            unread: gets name and text of each value that is no number.
        """
        found: dict[str, Number] = {}
        for name, text in pairs:
            value = _number(name, text) if isinstance(text, str) else bounded(text)
            if value is None:
                if unread is not None and (named := self.rename(name, context)) is not None:
                    unread(named[0], str(text))
                continue
            if (named := self.rename(name, context)) is None:
                continue
            metric, unit = named
            found.setdefault(metric, value if unit is None else unit(value))
        return found

    def rename(self, name: str, context: Mapping[str, str]) -> tuple[str, Unit | None] | None:
        """Returns the metric's name and unit; None when the value is not wanted."""
        if self.uses_context:
            return self._rename(name, context)
        try:
            return self._cache[name]
        except KeyError:
            named = self._rename(name, context)
            if len(self._cache) < _CACHED:
                self._cache[name] = named
            return named

    def _rename(self, name: str, context: Mapping[str, str]) -> tuple[str, Unit | None] | None:
        if not name.isprintable():  # JSON's \ud800 alone is no character, and no file takes it; \n ends a line
            name = "".join(letter if letter.isprintable() else "?" for letter in name)
        if not self.rules:
            return (name, None) if name else None
        for rule in self.rules:
            if match := rule.regex.fullmatch(name):
                if rule.template is None:
                    return None
                return fill(rule.template, {**context, "name": name, **match.groupdict("")}), rule.unit
        return None


def _number(name: str, text: str) -> Number | None:
    """Returns the number that a metric's text holds."""
    value = to_number(text)
    return value if value is not None else progress(name, text)


def flatten(
    values: Mapping[Any, Any], above: str = "", depth: int = _DEPTH, *, null: float | None = None
) -> Iterator[tuple[str, str | Number]]:
    """Yields the numbers and texts of nested mappings, with the keys of each joined by "/".

    Args:
        null: stands for None; without it None is left out.
    """
    for key, value in values.items():
        name = f"{above}{key}"
        if isinstance(value, Mapping):
            if depth:
                yield from flatten(value, f"{name}/", depth - 1, null=null)
        elif value is None and null is not None:
            yield name, null
        elif isinstance(value, int | float | str) and not isinstance(value, bool):
            yield name, value


def json_pairs(values: Mapping[str, Any]) -> Iterator[tuple[str, str | Number]]:
    """Yields the numbers and texts of a JSON object of metrics, and `NULL` where the object has null."""
    return flatten(values, null=NULL)


def literal_pairs(text: str) -> list[tuple[str, str | Number]]:
    """Reads a printed dictionary: JSON, or Python's notation with nan, inf and numbers in a call (`tensor(0.5)`).

    Nothing is ever evaluated.

    Returns:
        Names and values, nested keys joined by "/"; empty when the text is no dictionary.
    """
    null = None
    try:
        values = json.loads(text)
        null = NULL
    except (ValueError, RecursionError):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of escapes in the trainer's texts
                values = _plain(ast.parse(text, mode="eval").body)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            return []
    return list(flatten(values, null=null)) if isinstance(values, dict) else []


def _plain(node: ast.expr) -> Any:
    """Returns the value of a literal in Python's syntax tree; None for other expressions."""
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        value = _plain(node.operand)
        if isinstance(value, int | float):
            return -value if isinstance(node.op, ast.USub) else value
    if isinstance(node, ast.Name):
        return _BARE_WORDS.get(node.id.lower())
    if isinstance(node, ast.Call) and node.args:
        return _plain(node.args[0])
    if isinstance(node, ast.Dict):
        keys = [_plain(key) if key is not None else None for key in node.keys]
        pairs = zip(keys, node.values, strict=True)
        return {key: _plain(value) for key, value in pairs if isinstance(key, str | int)}
    return None
