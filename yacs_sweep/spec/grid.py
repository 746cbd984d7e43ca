"""Lists the points of a grid search: in W&B's order, or shuffled."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Hashable
from functools import cached_property
from typing import Any

from .conditions import allows
from .parameter import Parameter, active, equality_key

MAX_LISTED = 100_000  # combinations that are gone through one by one (conditions), values of one q_uniform
LISTED, SHUFFLED = ORDERS = ("listed", "shuffled")
_ROUNDS = 4  # of the network that shuffles


def shuffled_place(index: int, size: int) -> int:
    """Returns where place `index` of a shuffled list of `size` stands in the list: the same everywhere, always.

    No list is made, since a grid may be too large for one: four rounds of a Feistel network permute the numbers below a
    power of four, and those beyond the list are permuted again (cycle walking).
    Source: Black and Rogaway, "Ciphers with Arbitrary Finite Domains", 2002.
    """
    half = ((size - 1).bit_length() + 1) // 2
    mask = (1 << half) - 1
    while True:
        left, right = index >> half, index & mask
        for number in range(_ROUNDS):
            digest = hashlib.shake_128(f"{size}:{number}:{right}".encode()).digest(8 + half // 8)
            left, right = right, left ^ (int.from_bytes(digest, "big") & mask)
        index = left << half | right
        if index < size:
            return index


class Grid:
    """Numbers every combination: names sorted as plain strings, the last varies fastest, equal values once.

    Inactive parameters are left out and combinations that differ only in them are one point;
    combinations that a condition excludes are not points.
    """

    def __init__(self, parameters: tuple[Parameter, ...], where: tuple[str, ...] = (), order: str = LISTED) -> None:
        """Takes only parameters whose values can be listed (`parameter.GRID`). `order`: one of `ORDERS`."""
        self._parameters = parameters
        self._where, self._shuffled = where, order == SHUFFLED
        self._sorted = sorted(parameters, key=lambda parameter: parameter.name)
        self._counts = [parameter.choice_count() or 0 for parameter in self._sorted]
        self._nested = any(parameter.parent for parameter in parameters)
        self._conditional = bool(where) or self._nested

    @property
    def combinations(self) -> int:
        """The number of combinations before conditions."""
        return math.prod(self._counts)

    @property
    def size(self) -> int:
        """The number of points."""
        return len(self._kept) if self._conditional else self.combinations

    def point(self, index: int) -> dict[str, Any]:
        """Returns the parameters of point `index` in 0 … size - 1, in the order declared. Raises IndexError."""
        if not 0 <= index < self.size:
            raise IndexError(f"grid point {index} of {self.size}")
        if self._shuffled:
            index = shuffled_place(index, self.size)
        return self._active(self._kept[index] if self._conditional else index)

    @cached_property
    def _choices(self) -> dict[str, Any]:
        return {parameter.name: parameter.choices() for parameter in self._sorted}

    @cached_property
    def _kept(self) -> list[int]:
        """The combinations that are points of their own, in order."""
        kept: list[int] = []
        seen: set[Hashable] = set()
        for combination in range(self.combinations):
            values = self._active(combination)
            if self._nested:
                key = equality_key(values)
                if key in seen:
                    continue
                seen.add(key)
            if allows(self._where, values):
                kept.append(combination)
        return kept

    def _active(self, combination: int) -> dict[str, Any]:
        """Returns the values of a combination, without those of inactive parameters."""
        values: dict[str, Any] = {}
        for parameter, count in zip(reversed(self._sorted), reversed(self._counts), strict=True):
            combination, position = divmod(combination, count)
            values[parameter.name] = self._choices[parameter.name][position]
        if not self._nested:
            return {parameter.name: values[parameter.name] for parameter in self._parameters}
        return active(self._parameters, values)
