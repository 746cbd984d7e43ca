"""Finds the Pareto front: the trials, or points, that no other is better than in one objective and as good in all others."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..base.values import finite_number
from ..spec.sweep import Metric
from .folder import TrialRecord
from .points import Aims, Point, group_points, with_enough_seeds

Costs = tuple[float, ...]  # a value for each objective; less is better


def costs_of(values: Mapping[str, Any], objectives: Sequence[Metric]) -> Costs | None:
    """Returns the values of the objectives, each such that less is better.

    Returns:
        None where a value is missing, is no finite number, or is worse than its objective's threshold.
    """
    found = []
    for metric in objectives:
        value = values.get(metric.name)
        if not finite_number(value) or not metric.within(value):
            return None
        found.append(-float(value) if metric.goal == "maximize" else float(value))
    return tuple(found)


def dominates(left: Costs, right: Costs) -> bool:
    """Tells whether `left` is no worse in any objective and better in one."""
    return left != right and all(one <= other for one, other in zip(left, right, strict=True))


def nondominated(costs: Sequence[Costs]) -> list[int]:
    """Finds the places of the costs that no other dominates, in order. Equal ones are all kept.

    Takes n log n comparisons for up to three objectives; beyond, n times the size of the front.
    """
    places: dict[Costs, list[int]] = {}
    for place, cost in enumerate(costs):
        places.setdefault(cost, []).append(place)
    ordered = sorted(places)  # one that dominates another stands before it
    width = len(ordered[0]) if ordered else 0
    kept = _staircase(ordered) if width <= 3 else _compared(ordered)
    return sorted(place for cost in kept for place in places[cost])


def _staircase(ordered: Sequence[Costs]) -> list[Costs]:
    """Finds the front of sorted, different costs of at most three objectives.

    Of those before in the first objective only the second and third count: the best of them are a staircase.
    """
    seconds: list[float] = []  # ascending, with
    thirds: list[float] = []  # descending
    kept = []
    for cost in ordered:
        second, third = (*cost[1:], 0.0, 0.0)[:2]
        left = bisect_right(seconds, second)
        if left and thirds[left - 1] <= third:
            continue
        kept.append(cost)
        start = bisect_left(seconds, second)
        end = start
        while end < len(seconds) and thirds[end] >= third:
            end += 1
        seconds[start:end], thirds[start:end] = [second], [third]
    return kept


def _compared(ordered: Sequence[Costs]) -> list[Costs]:
    """Finds the front of sorted, different costs of any number of objectives."""
    kept: list[Costs] = []
    for cost in ordered:
        if not any(all(one <= other for one, other in zip(better, cost, strict=True)) for better in kept):
            kept.append(cost)
    return kept


def front_of_trials(records: Iterable[TrialRecord], objectives: Sequence[Metric]) -> list[TrialRecord]:
    """Finds the trials on the front, best in the first objective first.

    Only finished trials count that keep the sweep's constraints and the thresholds.
    """
    found = []
    for record in records:
        counts = record.state == "finished" and record.keeps_constraints
        cost = costs_of(record.values or {}, objectives) if counts else None
        if cost is not None:
            found.append((cost, record))
    return [record for _, record in _front(found)]


def front_of_points(
    points: Iterable[Point], objectives: Sequence[Metric], constraints: Sequence[str] = (), *, enough: int = 1
) -> list[Point]:
    """Finds the points on the front of the means, best in the first objective first.

    Args:
        constraints: a point whose means do not keep them, or are not known to, is left out.
        enough: seeds that a point must have been evaluated with; where no point has been, those with the most count.
    """
    found = with_enough_seeds(points_within(points, objectives, constraints), enough)
    pairs = ((costs_of(point.values, objectives), point) for point in found)
    return [point for _, point in _front([(cost, point) for cost, point in pairs if cost is not None])]


def points_within(
    points: Iterable[Point], objectives: Sequence[Metric], constraints: Sequence[str] = ()
) -> list[Point]:
    """Selects the points with a mean of each objective, no worse than its threshold, that are known to keep the constraints."""
    return [point for point in points if costs_of(point.values, objectives) is not None and point.judge(constraints)[0]]


def front_records(aims: Aims, records: Iterable[TrialRecord]) -> list[TrialRecord]:
    """Finds the trials on the front, best in the first objective first; with repeats those that stand for its points."""
    if aims.repeats is None:
        return front_of_trials(records, aims.objectives)
    points = front_of_points(group_points(records), aims.objectives, aims.constraints, enough=aims.seeds_enough)
    return [typical for point in points if (typical := point.typical) is not None]


def _front(found: Sequence[tuple[Costs, Any]]) -> list[tuple[Costs, Any]]:
    """Selects the items on the front, sorted by their costs."""
    kept = [found[place] for place in nondominated([cost for cost, _ in found])]
    return sorted(kept, key=lambda item: item[0])
