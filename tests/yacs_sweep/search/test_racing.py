"""Tests of search/racing.py: which point gets the next seed, and when a new point is tried."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from yacs_sweep.records.standings import Entry, compare
from yacs_sweep.search.racing import Race, next_seed


def test_without_a_race_every_point_gets_all_its_seeds_before_a_new_one_is_tried() -> None:
    race = Race(3, drop=False)
    assert next_seed([], race) is None
    assert next_seed([Entry(0, running=frozenset({0}))], race) == (0, 1)
    assert next_seed([Entry(0, {0: 1.0}, running=frozenset({1}))], race) == (0, 2)
    assert next_seed([Entry(0, {0: 1.0}, frozenset({1}), frozenset({2}))], race) is None
    assert next_seed([Entry(0, {0: 1.0, 1: 1.0, 2: 1.0}), Entry(1, {0: 9.0})], race) == (1, 1)


def test_a_seed_that_failed_does_not_spoil_its_point() -> None:
    race = Race(5)
    good = [Entry(number, {0: float(number)}) for number in range(3)]
    assert next_seed([*good, Entry(3, failed=frozenset({0}))], race) == (3, 1)
    assert next_seed([*good, Entry(3, running=frozenset({1}), failed=frozenset({0}))], race) is None
    assert next_seed([*good, Entry(3, failed=frozenset({0, 1}))], race) is None


def play(
    true: list[float],
    race: Race,
    draw: random.Random,
    *,
    noise: float,
    trials: int,
    workers: int = 1,
    fails: float = 0.0,
    seeds: Callable[[int], float] = lambda place: 0.0,
    watch: Callable[[list[Entry]], None] = lambda entries: None,
) -> list[Entry]:
    """Runs a race over points of these true values, `workers` trials at a time; returns the points at its end."""
    sign = 1.0 if race.goal == "minimize" else -1.0
    values: list[dict[int, float]] = []
    failed: list[set[int]] = []
    running: list[tuple[int, int]] = []
    for left in range(trials, 0, -1):
        while True:
            entries = [
                Entry(p, dict(values[p]), frozenset(s for q, s in running if q == p), frozenset(failed[p]))
                for p in range(len(values))
            ]
            watch(entries)
            turn = next_seed(entries, race, left=left, new_points=len(values) < len(true))
            if turn is not None or len(values) < len(true) or not running:
                break
            _end(running.pop(0), true, values, failed, draw, noise, fails, seeds, sign)
        if turn is None:
            if len(values) == len(true):
                break
            values.append({})
            failed.append(set())
            turn = (len(values) - 1, 0)
        point, place = turn
        assert place < race.n and place not in values[point] and turn not in running and place not in failed[point]
        running.append(turn)
        if len(running) >= workers:
            _end(running.pop(0), true, values, failed, draw, noise, fails, seeds, sign)
    for turn in running:
        _end(turn, true, values, failed, draw, noise, fails, seeds, sign)
    return [Entry(p, dict(values[p]), frozenset(), frozenset(failed[p])) for p in range(len(values))]


def _end(
    turn: tuple[int, int],
    true: list[float],
    values: list[dict[int, float]],
    failed: list[set[int]],
    draw: random.Random,
    noise: float,
    fails: float,
    seeds: Callable[[int], float],
    sign: float,
) -> None:
    point, place = turn
    if draw.random() < fails:
        failed[point].add(place)
    else:
        values[point][place] = sign * (true[point] + seeds(place) + draw.gauss(0, noise))


@pytest.mark.parametrize("goal", ["minimize", "maximize"])
@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("n", [1, 2, 5, 10])
def test_a_grid_ends_and_gives_bad_points_fewer_seeds(n: int, workers: int, goal: str) -> None:
    race = Race(n, goal=goal)
    true = [float(point) for point in range(20)]
    entries = play(true, race, random.Random(n), noise=0.5, trials=20 * n, workers=workers, fails=0.05)
    assert len(entries) == 20
    found = compare(entries, goal=goal)
    assert found.best in (0, 1)
    used = sum(len(entry.values) + len(entry.failed) for entry in entries)
    if n >= 5:
        assert used < 0.6 * 20 * n
        assert sum(len(entry.values) for entry in entries[:2]) > sum(len(entry.values) for entry in entries[-2:])


def test_the_same_points_get_the_same_seed() -> None:
    draw = random.Random(4)
    entries = [Entry(p, {s: draw.gauss(p % 5, 1) for s in range(1 + p % 3)}) for p in range(12)]
    turns = {next_seed(entries, Race(5), left=left) for _ in range(5) for left in (3,)}
    assert len(turns) == 1 and turns != {None}


def test_new_points_are_tried_with_what_the_race_saves() -> None:
    entries = play([float(p % 7) for p in range(100)], Race(5), random.Random(0), noise=0.3, trials=50)
    assert len(entries) > 20  # with five seeds each it would have been ten
