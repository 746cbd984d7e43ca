"""When a sweep will have ended: against simulated sweeps whose end is known."""

from __future__ import annotations

import heapq
import math
import random
import statistics

import pytest

from yacs_sweep.show.live.estimate import rest_of, seconds_left, survival


def test_product_limit_by_hand() -> None:
    # 2 of 5 are known only to take longer than 3 and 6 seconds.
    spread = survival([2.0, 4.0, 8.0], [3.0, 6.0])
    assert spread == [(2.0, pytest.approx(1 / 5)), (4.0, pytest.approx(4 / 5 / 3)), (8.0, pytest.approx(8 / 15))]
    assert sum(share for _, share in spread) == pytest.approx(1)
    assert survival([2.0], [5.0]) == [(2.0, 0.5), (5.0, 0.5)]  # what is left is put at the longest time seen


def test_what_a_trial_still_needs_follows_from_how_long_it_has_lasted() -> None:
    spread = [(10.0, 0.5), (100.0, 0.5)]  # half are stopped early
    assert rest_of(0.0, spread) == 55
    assert rest_of(20.0, spread) == 80  # it was not one of those
    assert rest_of(200.0, spread) == 20  # longer than any other


def test_nothing_is_said_from_too_little() -> None:
    assert seconds_left([], 0, [5.0, 5.0], 10, 2) is None
    assert seconds_left([1.0, 1.0, 1.0], 0, [5.0], 10, 2) is None  # all failed at once
    assert seconds_left([30.0], 1, [5.0], 10, 2) is None
    assert seconds_left([30.0, 30.0], 2, [], 0, 2) is None  # nothing is left
    assert seconds_left([30.0, 30.0], 2, [10.0], 3, 1) == 20 + 3 * 30


def test_workers_share_what_is_left() -> None:
    assert seconds_left([60.0] * 4, 4, [30.0, 0.0], 2, 2) == 120  # 30 + 60 on the one, 60 + 60 on the other
    assert seconds_left([60.0] * 4, 4, [], 4, 2) == 120
    assert seconds_left([60.0] * 4, 4, [0.0] * 4, 10_000, 4) == 60 + 150_000


def simulate(seed: int, workers: int, count: int, at: float) -> tuple[float | None, float]:
    """A sweep of which 60 % of the trials are stopped early; what is said when the share `at` of them has ended, and what
    is true, in seconds from then."""
    draw = random.Random(seed)
    lengths = [draw.uniform(40, 80) if draw.random() < 0.6 else draw.uniform(500, 700) for _ in range(count)]
    free = [0.0] * workers
    spans = []
    for length in lengths:
        start = heapq.heappop(free)
        spans.append((start, start + length))
        heapq.heappush(free, start + length)
    total = max(free)
    now = sorted(end for _, end in spans)[int(at * count)]
    ended = [end - start for start, end in spans if end <= now]
    running = [now - start for start, end in spans if start <= now < end]
    left = count - len(ended) - len(running)
    return seconds_left(ended, len(ended), running, left, workers), total - now


# Chance alone, the lengths of trials seen and of those to come, makes 36 % of the first case's error.
@pytest.mark.parametrize(
    ("workers", "count", "at", "median"), [(1, 30, 0.4, 0.4), (4, 60, 0.3, 0.2), (8, 200, 0.3, 0.12)]
)
def test_the_end_is_foreseen_of_sweeps_with_early_stopping(workers: int, count: int, at: float, median: float) -> None:
    errors, ratios = [], []
    for seed in range(60):
        said, true = simulate(seed, workers, count, at)
        assert said is not None and math.isfinite(said)
        errors.append(abs(said - true) / true)
        ratios.append(said / true)
    assert statistics.median(errors) < median
    assert 0.85 < statistics.median(ratios) < 1.15  # neither too early nor too late on the whole


def test_trials_stopped_early_alone_do_not_promise_an_early_end() -> None:
    """After the first ends, which are the stopped ones, a plain mean would say a tenth of it."""
    said = seconds_left([60.0, 60.0, 60.0], 3, [300.0, 300.0, 300.0, 5.0], 40, 4)
    assert said is not None
    assert said > 40 * 150 / 4
