"""Draws in rounds: each item comes once a round, in random order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray


def draw_in_rounds(items: NDArray[np.int64], number: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draws `number` of the items: all of them in random order, then all again."""
    rounds = -(-number // max(1, len(items)))
    return np.concatenate([rng.permutation(items) for _ in range(max(1, rounds))])[:number]


class DistinctRounds:
    """Draws several different items at a time, in rounds in which each comes as often as it is given.

    An item that is drawn a second time for the same group waits for the next group, one of each; more are left out.
    """

    def __init__(self, items: Sequence[int], rng: np.random.Generator) -> None:
        self._items = np.asarray(items, dtype=np.int64)
        self._rng = rng
        self._left: list[int] = []

    def draw(self, number: int) -> Iterator[int]:
        """Yields `number` different items, of which there must be as many."""
        drawn: set[int] = set()
        waiting: list[int] = []
        while len(drawn) < number:
            if not self._left:
                self._left = self._rng.permutation(self._items).tolist()
            item = self._left.pop()
            if item in drawn:
                waiting.append(item)
                continue
            drawn.add(item)
            yield item
        self._left += reversed(list(dict.fromkeys(waiting)))
