"""Turns parameters into columns of numbers: chooses their scale, and numbers the values of categories."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from ...base.values import finite_number
from .data import Sweep, Trial, text_of

LOG_RATIO = 30.0  # of largest to smallest value, from which on a list of numbers is drawn on a logarithmic scale
LISTED = 8  # different numbers of a parameter up to which each is taken by itself
CATEGORIES = 24  # of a category axis; the rest is "other"


@dataclass(frozen=True)
class Column:
    """The values of one parameter in some trials."""

    name: str
    kind: str  # number or category
    log: bool
    levels: list[str]  # of a category, in order; empty for numbers
    values: list[float | None]  # a number, or the place of its level; None where the trial has none
    discrete: bool = False  # of numbers: whether there is nothing between its values

    @property
    def present(self) -> list[float]:
        """The values of the trials that have the parameter."""
        return [value for value in self.values if value is not None]

    def at(self, value: float) -> float:
        """Computes a value's place on the parameter's axis: the logarithm on a logarithmic one."""
        return math.log10(value) if self.log else value

    def as_levels(self) -> Column:
        """Makes a category of a discrete number, its values in order; others stay as they are."""
        if not self.discrete:
            return self
        numbers = sorted(set(self.present))
        place = {number: float(index) for index, number in enumerate(numbers)}
        values = [None if value is None else place[value] for value in self.values]
        return Column(self.name, "category", False, [text_of(number) for number in numbers], values)

    @property
    def conditional(self) -> bool:
        """Whether the parameter is inactive in some trials."""
        return None in self.values


def column(sweep: Sweep, name: str, trials: list[Trial]) -> Column:
    """Makes the column of a parameter over these trials."""
    raw: list[Any] = [trial.record.params.get(name) for trial in trials]
    there = [name in trial.record.params for trial in trials]
    given = [value for value, has in zip(raw, there, strict=True) if has]
    if given and all(finite_number(value) for value in given):
        numbers = [float(value) if has else None for value, has in zip(raw, there, strict=True)]
        known = [float(value) for value in given]
        return Column(name, "number", _is_log(sweep, name, known), [], numbers, _is_discrete(sweep, name, known))
    texts = [text_of(value) if has else None for value, has in zip(raw, there, strict=True)]
    declared = sweep.declared(name)
    listed = [text_of(value) for value in declared.values] if declared else []
    seen = {text for text in texts if text is not None}
    levels = [level for level in dict.fromkeys([*listed, *sorted(seen)]) if level in seen]
    if len(levels) > CATEGORIES:
        levels = [*levels[: CATEGORIES - 1], "other"]
    place = {level: float(index) for index, level in enumerate(levels)}
    values = [None if text is None else place.get(text, float(len(levels) - 1)) for text in texts]
    return Column(name, "category", False, levels, values)


def _is_log(sweep: Sweep, name: str, values: list[float]) -> bool:
    """Decides whether a parameter's axis is logarithmic: by its distribution, else by the range of its values."""
    if min(values) <= 0:
        return False
    declared = sweep.declared(name)
    if declared is not None and "log" in declared.distribution:
        return True
    named = declared.distribution if declared is not None else ""
    return named not in ("uniform", "q_uniform", "normal", "q_normal") and max(values) / min(values) >= LOG_RATIO


def _is_discrete(sweep: Sweep, name: str, values: list[float]) -> bool:
    """Decides whether a number has few values with nothing between: by its distribution, else by how often they recur."""
    different = len(set(values))
    declared = sweep.declared(name)
    if declared is None:
        return different <= LISTED and len(values) >= 2 * different
    if declared.values:
        return different <= CATEGORIES
    return declared.distribution.startswith(("q_", "int_", "constant")) and different <= LISTED
