"""Tests the prediction of results from learning curves against figures worked out by hand, and its calibration."""

from __future__ import annotations

import math
import random

import pytest

from yacs_sweep.search.promotion.curves import Curve, predict


def straight(values: list[float], offset: float = 0.0) -> list[Curve]:
    """Curves that end one below their first value, but for the offset of every second."""
    return [Curve([value, value - 1], value - 1 + (offset if n % 2 else -offset)) for n, value in enumerate(values)]


def test_a_perfect_line_predicts_the_result() -> None:
    found = predict([7.0], straight([1.0, 2.0, 3.0, 4.0, 5.0]), goal="minimize")
    assert found is not None and found.value == pytest.approx(6.0) and found.best == 0.0
    assert found.chance < 0.001
    better = predict([0.5], straight([1.0, 2.0, 3.0, 4.0, 5.0]), goal="minimize")
    assert better is not None and better.chance > 0.999


def test_the_error_is_that_of_leaving_each_curve_out() -> None:
    """Values 1 2 3 4, results 1 2 3 8: a line through any three of them misses the fourth."""
    curves = [Curve([x, 0.0], y) for x, y in ((1.0, 1.0), (2.0, 2.0), (3.0, 3.0), (4.0, 8.0))]
    found = predict([2.5], curves, goal="minimize", least=4)
    assert found is not None
    assert found.value == pytest.approx(3.5)  # the line passes through the means
    misses = []
    for out in range(4):
        rest = [(c.values[0], c.result) for n, c in enumerate(curves) if n != out]
        mean_x, mean_y = sum(x for x, _ in rest) / 3, sum(y for _, y in rest) / 3
        slope = sum((x - mean_x) * (y - mean_y) for x, y in rest) / sum((x - mean_x) ** 2 for x, _ in rest)
        misses.append(curves[out].result - mean_y - slope * (curves[out].values[0] - mean_x))
    spread = math.sqrt(sum(miss**2 for miss in misses) / 4)
    assert found.error == pytest.approx(spread * math.sqrt(1 + 1 / 4))  # a quarter: at the mean of four values


def test_the_goal_may_be_a_maximum() -> None:
    curves = [Curve([-v for v in c.values], -c.result) for c in straight([1.0, 2.0, 3.0, 4.0, 5.0], 0.1)]
    low = predict([-7.0], curves, goal="maximize")
    high = predict([0.5], curves, goal="maximize")
    assert low is not None and high is not None
    assert low.chance < 0.01 < 0.9 < high.chance
    assert low.best == pytest.approx(0.1)


def test_nothing_is_predicted_from_too_few_curves_or_from_a_value_that_is_no_number() -> None:
    assert predict([7.0], straight([1.0, 2.0, 3.0, 4.0]), goal="minimize") is None
    assert predict([], straight([1.0, 2.0, 3.0, 4.0, 5.0]), goal="minimize") is None
    assert predict([math.nan], straight([1.0, 2.0, 3.0, 4.0, 5.0]), goal="minimize") is None
    broken = [*straight([1.0, 2.0, 3.0, 4.0]), Curve([5.0, math.nan], math.nan)]
    assert predict([7.0], broken, goal="minimize") is None


def test_a_trial_in_its_last_iteration_is_not_judged() -> None:
    assert predict([7.0, 6.0], straight([1.0, 2.0, 3.0, 4.0, 5.0]), goal="minimize") is None


def test_equal_curves_do_not_end_an_equal_trial() -> None:
    found = predict([1.0], straight([1.0] * 6), goal="minimize")
    assert found is None or found.chance >= 0.05


def test_the_slope_tells_apart_what_the_value_does_not() -> None:
    """Curves that cross: whoever falls faster ends lower."""
    source = random.Random(0)
    slopes = [source.uniform(0.1, 1.0) for _ in range(20)]
    curves = [Curve([10.0, 10 - s, 10 - 2 * s, 10 - 3 * s, 10 - 4 * s], 10 - 4 * s) for s in slopes]
    fast = predict([10.0, 8.9], curves, goal="minimize")
    slow = predict([10.0, 9.99], curves, goal="minimize")
    assert fast is not None and slow is not None
    assert fast.value == pytest.approx(5.6) and fast.chance > 0.99 and slow.chance < 0.01


@pytest.mark.parametrize("count", [5, 8, 20])
def test_the_chance_is_true_or_a_little_too_large(count: int) -> None:
    """On lines with normal noise, over 2000 draws: trials that may become the best are not ended too often."""
    source = random.Random(count)

    def curve() -> Curve:
        first = source.gauss(0, 1)
        return Curve([first, 0.0], first + source.gauss(0, 0.5))

    expected = happened = 0.0
    for _ in range(2000):
        curves, own = [curve() for _ in range(count)], curve()
        found = predict(own.values[:1], curves, goal="minimize")
        assert found is not None
        expected += found.chance
        happened += own.result < found.best
    assert 0.9 * happened <= expected <= 1.35 * happened
