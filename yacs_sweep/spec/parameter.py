"""Describes one searched parameter: its distribution, its values, and how a value is drawn."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from . import distributions
from .distributions import Number

# Distributions whose values can be listed, in the form W&B's grid search takes them.
GRID = frozenset({"constant", "categorical", "int_uniform", "q_uniform"})


@dataclass(frozen=True)
class Parameter:
    """Describes a parameter of the search; immutable and already validated.

    `distribution` is one of W&B's names and always set; of the other fields only those in
    `distributions.KEYS[distribution]` are. With `parent`, the parameter is active (drawn and
    passed on) only while the parent is active and has one of `parent_values`. `path` holds the keys of a
    nested parameter, whose `name` joins them by dots; it is empty for one that stands at the top.
    """

    name: str
    distribution: str
    value: Any = None
    values: tuple[Any, ...] = ()
    probabilities: tuple[float, ...] = ()
    min: Number | None = None
    max: Number | None = None
    mu: Number | None = None
    sigma: Number | None = None
    a: Number | None = None
    b: Number | None = None
    q: Number | None = None
    parent: str | None = None
    parent_values: tuple[Any, ...] = ()
    path: tuple[str, ...] = ()

    def numbers(self) -> dict[str, Number]:
        """Returns the numeric keys of the distribution, defaults filled in."""
        found = {key: getattr(self, key) for key in ("min", "max", "mu", "sigma", "a", "b", "q")}
        return {key: number for key, number in found.items() if number is not None}

    def quantile(self, u: float) -> Any:
        """Computes the value at `u` in [0, 1): the inverse CDF, so a uniform `u` gives a fair draw."""
        if self.distribution == "constant":
            return self.value
        if self.distribution == "categorical":
            return self.values[distributions.index(u, len(self.values))]
        if self.distribution == "categorical_w_probabilities":
            return self.values[distributions.weighted_index(u, self.probabilities)]
        return distributions.quantile(self.distribution, self.numbers(), u)

    def choices(self) -> Sequence[Any] | None:
        """Lists every value in grid order, equal ones once; None for a distribution whose values cannot be listed.

        As in W&B's engine, q_uniform counts from min in steps of q and leaves max out, and of
        equal numbers of different type (1, 1.0) the last spelling stands at the first's place.
        """
        if self.distribution == "constant":
            return (self.value,)
        if self.distribution in ("categorical", "categorical_w_probabilities"):
            return tuple({equality_key(value): value for value in self.values}.values())
        numbers = self.numbers()
        if self.distribution == "int_uniform":
            return range(int(numbers["min"]), int(numbers["max"]) + 1)
        if self.distribution == "q_uniform":
            low, q = numbers["min"], numbers["q"]
            return tuple(low + step * q for step in range(self._q_steps()))
        return None

    def choice_count(self) -> int | None:
        """Counts the choices without listing them; None where they cannot be listed."""
        if self.distribution == "q_uniform":
            return self._q_steps()
        choices = self.choices()
        return None if choices is None else len(choices)

    def type_samples(self) -> tuple[Any, ...]:
        """Returns values that stand for all in a type check: every choice, or the values at the bounds."""
        if self.distribution in ("constant", "categorical", "categorical_w_probabilities"):
            return tuple(self.choices() or ())
        inside = 1e-3 if "mu" in distributions.KEYS[self.distribution] else 0.0
        return (self.quantile(inside), self.quantile(1.0 - inside))

    def to_wandb(self) -> dict[str, Any]:
        """Returns the parameter in W&B's language, distribution named and defaults filled in."""
        result: dict[str, Any] = {"distribution": self.distribution}
        for key in distributions.KEYS[self.distribution]:
            value = getattr(self, key)
            result[key] = list(value) if isinstance(value, tuple) else value
        return result

    def to_dict(self) -> dict[str, Any]:
        """Returns the parameter in W&B's language, with the condition on its parent."""
        result = self.to_wandb()
        if self.parent is not None:
            result.update(parent=self.parent, parent_values=list(self.parent_values))
        return result

    def _q_steps(self) -> int:
        numbers = self.numbers()
        return max(1, math.ceil((numbers["max"] - numbers["min"]) / numbers["q"]))


def equality_key(value: Any) -> Hashable:
    """Returns a key that is equal for values W&B's grid holds equal: 1 and 1.0 are, 1 and true are not."""
    if isinstance(value, (list, tuple)):
        return ("list", tuple(equality_key(item) for item in value))
    if isinstance(value, Mapping):
        return ("dict", tuple(sorted((str(key), equality_key(item)) for key, item in value.items())))
    if isinstance(value, bool):
        return ("bool", value)
    return ("number", value) if isinstance(value, (int, float)) else value


def active(parameters: Iterable[Parameter], values: Mapping[str, Any]) -> dict[str, Any]:
    """Selects, of values for all parameters, those of active parameters, in the order declared."""
    declared = {parameter.name: parameter for parameter in parameters}

    def is_active(parameter: Parameter) -> bool:
        if parameter.parent is None:
            return True
        parent = declared[parameter.parent]
        wanted = {equality_key(value) for value in parameter.parent_values}
        return is_active(parent) and equality_key(values.get(parent.name)) in wanted

    return {name: values[name] for name, item in declared.items() if name in values and is_active(item)}


def nest_values(
    parameters: Iterable[Parameter], values: Mapping[str, Any], *, below: str | None = None
) -> dict[str, Any]:
    """Puts the values of nested parameters into a mapping of their group, as W&B nests them.

    `below` is a key between a group and its content (`parameters` in a sweep file). Values of no parameter stay.
    """
    paths = {item.name: item.path for item in parameters}
    result: dict[str, Any] = {}
    for name, value in values.items():
        *groups, key = paths.get(name) or (name,)
        node = result
        for group in groups:
            node = node.setdefault(group, {})
            node = node if below is None else node.setdefault(below, {})
        node[key] = value
    return result
