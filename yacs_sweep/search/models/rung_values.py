"""Chooses the values by which a model compares trials that have paused at different rungs.

Source of the rule for the rung: Falkner, Klein and Hutter, "BOHB: Robust and Efficient Hyperparameter Optimization at Scale",
ICML 2018: the model of the highest rung with enough trials.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from itertools import pairwise

from ...base.values import finite_number

PAIRS = 4  # trials with values at two rungs, from which on a line is fitted to them


def comparable(
    histories: Mapping[int, Sequence[float]], ends: Mapping[int, float], rungs: Sequence[int], enough: int
) -> dict[int, float]:
    """Returns the value that each trial counts with: that at the highest rung with `enough` trials. Pure.

    A trial that has not got there counts with what it had at the highest rung it has reached, as those that were at both
    rungs lead to expect: by a line through their values.

    Args:
        histories: logged values of each trial, by number, oldest first.
        ends: results of the trials that have ended with one.
        rungs: iterations at which trials pause, ascending.
        enough: trials.

    Returns:
        Values by number; without the trials that have reached no rung.
    """
    columns = [{n: v[rung - 1] for n, v in histories.items() if len(v) >= rung} for rung in rungs]
    columns.append(dict(ends))
    columns = [{n: value for n, value in column.items() if finite_number(value)} for column in columns]
    for below, column in pairwise(columns):
        # A trial that has ended before a rung counts there with its result.
        column.update({n: ends[n] for n in below if n in ends and n not in column and finite_number(ends[n])})
    top = max((place for place, column in enumerate(columns) if len(column) >= enough), default=0)
    found = dict(columns[top])
    carried = dict[int, float]()
    for place in range(top):
        carried = {**carried, **columns[place]}
        expected = _Line(columns[place], columns[place + 1])
        carried = {number: expected(value) for number, value in carried.items()}
    return {**carried, **found}


class _Line:
    """Expects a value at a rung from that at the rung below, by least squares over the trials that have both."""

    def __init__(self, below: Mapping[int, float], above: Mapping[int, float]) -> None:
        pairs = [(below[number], above[number]) for number in above if number in below]
        self.slope, self.shift = 1.0, 0.0
        if not pairs:
            return
        x, y = [a for a, _ in pairs], [b for _, b in pairs]
        if len(pairs) >= PAIRS and max(x) > min(x):
            self.slope = max(0.0, statistics.linear_regression(x, y).slope)
        self.shift = statistics.fmean(y) - self.slope * statistics.fmean(x)

    def __call__(self, value: float) -> float:
        """Returns the value that is expected at the rung above."""
        return self.shift + self.slope * value
