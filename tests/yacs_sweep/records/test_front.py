"""The Pareto front against brute force, with constraints, thresholds and points."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Sequence
from typing import Any

import pytest

from yacs_sweep.records.folder import TrialRecord
from yacs_sweep.records.front import Costs, costs_of, dominates, front_of_points, front_of_trials, nondominated
from yacs_sweep.records.points import group_points
from yacs_sweep.spec.sweep import Metric

MAP, MS = Metric("map", "maximize"), Metric("ms", "minimize")


def trial(number: int, values: dict[str, Any] | None, **others: Any) -> TrialRecord:
    record = TrialRecord(f"s-{number}", f"trial-{number:04d}", number, {}, state="finished", values=values)
    for name, value in others.items():
        setattr(record, name, value)
    return record


def brute_front(costs: Sequence[Costs]) -> list[int]:
    """The places that nothing dominates, by the definition."""
    return [
        place
        for place, cost in enumerate(costs)
        if not any(all(one <= two for one, two in zip(other, cost, strict=True)) and other != cost for other in costs)
    ]


@pytest.mark.parametrize("width", [1, 2, 3, 4, 5])
def test_front_by_brute_force(width: int) -> None:
    for seed in range(80):
        source = random.Random(f"{width}:{seed}")
        whole = seed % 2  # with many equal values
        costs = [
            tuple(float(source.randrange(4)) if whole else source.gauss(0, 1) for _ in range(width))
            for _ in range(source.randrange(0, 60))
        ]
        assert nondominated(costs) == brute_front(costs)


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [((1, 2), (1, 3), True), ((1, 2), (1, 2), False), ((1, 3), (2, 2), False), ((0, 0), (1, 1), True)],
)
def test_dominates(left: Costs, right: Costs, expected: bool) -> None:
    assert dominates(left, right) is expected


def test_goals_and_missing_values() -> None:
    assert costs_of({"map": 80.0, "ms": 3.0}, (MAP, MS)) == (-80.0, 3.0)
    for value in (None, math.nan, math.inf, "fast", True):
        assert costs_of({"map": 80.0, "ms": value}, (MAP, MS)) is None
    assert costs_of({"map": 80.0}, (MAP, MS)) is None


def test_thresholds_include_their_own_value() -> None:
    high, low = Metric("map", "maximize", threshold=80.0), Metric("ms", "minimize", threshold=3.0)
    assert costs_of({"map": 80.0, "ms": 3.0}, (high, low)) == (-80.0, 3.0)
    assert costs_of({"map": 79.9, "ms": 3.0}, (high, low)) is None
    assert costs_of({"map": 80.0, "ms": 3.1}, (high, low)) is None


def test_front_of_trials() -> None:
    trials = [
        trial(0, {"map": 80.0, "ms": 5.0}),
        trial(1, {"map": 85.0, "ms": 9.0}),
        trial(2, {"map": 79.0, "ms": 6.0}),  # worse than 0 in both
        trial(3, {"map": 90.0, "ms": 1.0}, state="stopped"),
        trial(4, {"map": 90.0, "ms": 1.0}, feasible=False, facts={}, violated=["x < 3"]),
        trial(5, {"map": 90.0, "ms": 1.0}, feasible=None, facts={}),  # not known to keep the constraints
        trial(6, {"map": 80.0, "ms": 5.0}, feasible=True, facts={"x": 1}),  # as good as 0
        trial(7, {"map": 90.0, "ms": None}),
        trial(8, None),
    ]
    assert [record.number for record in front_of_trials(trials, (MAP, MS))] == [1, 0, 6]
    capped = (Metric("map", "maximize"), Metric("ms", "minimize", threshold=6.0))
    assert [record.number for record in front_of_trials(trials, capped)] == [0, 6]
    assert front_of_trials([], (MAP, MS)) == []


def test_front_of_points_is_that_of_their_means() -> None:
    rows = [
        ("point-0000", [(80.0, 4.0), (90.0, 6.0)]),  # mean 85, 5
        ("point-0001", [(84.0, 5.0), (84.0, 5.0)]),  # dominated by the mean of point 0
        ("point-0002", [(99.0, 1.0)]),  # one seed alone
        ("point-0003", [(60.0, 2.0), (70.0, 2.0)]),
    ]
    trials = []
    for name, seeds in rows:
        for seed, (quality, ms) in enumerate(seeds):
            facts = {"ms": ms}
            record = trial(len(trials), {"map": quality, "ms": ms}, point=name, seed=seed, value=quality, facts=facts)
            trials.append(record)
    points = group_points(trials)
    assert [point.name for point in front_of_points(points, (MAP, MS))] == ["point-0002"]
    assert [point.name for point in front_of_points(points, (MAP, MS), enough=2)] == ["point-0000", "point-0003"]
    assert [point.name for point in front_of_points(points, (MAP, MS), ["ms < 3"], enough=9)] == ["point-0003"]


@pytest.mark.parametrize("shape", ["random", "all on the front"])
@pytest.mark.parametrize("width", [2, 3])
def test_the_time_of_ten_thousand_trials_does_not_grow_with_their_square(shape: str, width: int) -> None:
    source = random.Random(0)
    costs: list[Costs] = [tuple(source.random() for _ in range(width)) for _ in range(10_000)]
    if shape != "random":
        costs = [(*rest, -sum(rest)) for *rest, _ in costs]
    started = time.process_time()
    found = nondominated(costs)
    assert time.process_time() - started < 10  # comparing each with each takes minutes
    assert (len(found) == 10_000) == (shape != "random")


def test_ten_thousand_trials_of_four_objectives() -> None:
    source = random.Random(1)
    costs: list[Costs] = [tuple(source.random() for _ in range(4)) for _ in range(10_000)]
    started = time.process_time()
    found = nondominated(costs)
    assert time.process_time() - started < 20
    assert 50 < len(found) < 1000
