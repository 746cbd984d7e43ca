"""Tests of records/standings.py: means, effects of seeds, errors and chances against brute force."""

from __future__ import annotations

import math
import random
import time

import numpy as np
import pytest

from yacs_sweep.records.folder import TrialRecord
from yacs_sweep.records.points import group_points
from yacs_sweep.records.standings import LEVEL, Entry, _entry, _Fit, compare, compare_points, student_tail
from yacs_sweep.spec.sweep import Repeats, enough_seeds


def entries(rows: list[dict[int, float]]) -> list[Entry]:
    return [Entry(number, row) for number, row in enumerate(rows)]


def test_tails_of_students_t_are_those_of_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    for freedom in (1, 2, 3, 4, 7, 30, 299, 300):
        for t in (-3.0, -0.2, 0.0, 0.7, 2.5, 6.0):
            assert student_tail(t, freedom) == pytest.approx(stats.t.sf(t, freedom), rel=1e-6, abs=1e-12)
    # Beyond 300 degrees the probability errs upwards, never downwards.
    assert stats.t.sf(4.0, 5000) <= student_tail(4.0, 5000) < 1.3 * stats.t.sf(4.0, 5000)


def test_without_common_seeds_means_and_noise_are_the_plain_ones() -> None:
    rows = [{0: 1.0, 1: 3.0}, {0: 5.0}, {0: 4.0, 1: 4.0, 2: 10.0}]
    found = compare(entries(rows), goal="minimize", paired=False)
    assert [item.mean for item in found.standings] == [2.0, 5.0, 6.0]
    assert found.noise == pytest.approx(math.sqrt((1 + 1 + 4 + 4 + 16) / 3))
    assert found.standings[2].error == pytest.approx(found.noise / math.sqrt(3))


def _mixed_model(rows: list[dict[int, float]], ratio: float) -> tuple[np.ndarray, np.ndarray]:
    """Solves mean of the point + random effect of the seed + noise as one big generalised least squares."""
    data = [(p, s, y) for p, row in enumerate(rows) for s, y in row.items()]
    design = np.array([[float(p == q) for q in range(len(rows))] for p, _, _ in data])
    seeds = np.array([[float(s == t) for t in range(10)] for _, s, _ in data])
    inverse = np.linalg.inv(np.eye(len(data)) + seeds @ seeds.T / ratio)
    covariance = np.linalg.inv(design.T @ inverse @ design)
    return covariance @ design.T @ inverse @ np.array([y for _, _, y in data]), covariance


@pytest.mark.parametrize("seed", range(8))
def test_with_common_seeds_means_and_errors_are_those_of_generalised_least_squares(seed: int) -> None:
    draw = random.Random(seed)
    effects = [draw.gauss(0, 5) for _ in range(5)]
    rows = [{place: draw.gauss(point, 1) + effects[place] for place in range(draw.randint(2, 5))} for point in range(7)]
    found = compare(entries(rows), goal="minimize")
    fit = _Fit([{place: -value for place, value in row.items()} for row in rows], paired=True, raced=False)
    assert fit.effects
    means, covariance = _mixed_model(rows, 1 / fit.prior)
    differences = [item.mean - found.standings[0].mean for item in found.standings]
    assert differences == pytest.approx(list(means - means[0]), abs=1e-6)
    for one in range(7):
        variance = covariance[one, one] + covariance[0, 0] - 2 * covariance[one, 0]
        expected = found.noise * math.sqrt(max(0.0, variance))
        assert fit.error(rows[one], rows[0]) == pytest.approx(expected, abs=1e-6) or one == 0


def test_an_effect_of_the_seed_does_not_hide_the_better_point() -> None:
    # Folds differ by 20, the points by 1 with a noise of 0.1.
    draw = random.Random(3)
    folds = [0.0, 20.0, -15.0, 8.0, 30.0]
    rows = [{s: 50 + folds[s] - 1.0 * p + draw.gauss(0, 0.1) for s in range(5)} for p in range(3)]
    found = compare(entries(rows), goal="maximize")
    assert found.best == 0 and found.rivals == ()
    assert [item.dropped for item in found.standings] == [False, True, True]
    assert found.noise < 0.3
    unpaired = compare(entries(rows), goal="maximize", paired=False)
    assert unpaired.rivals and unpaired.noise > 10


def test_a_race_does_not_take_the_luck_of_first_seeds_for_a_good_seed() -> None:
    # No seed is better than another. Points are repeated where their first seed was lucky.
    draw = random.Random(7)
    first = [draw.gauss(0, 1) for _ in range(300)]
    best = sorted(range(300), key=first.__getitem__)[:12]
    rows = [{0: y, **({s: draw.gauss(0, 1) for s in range(1, 5)} if p in best else {})} for p, y in enumerate(first)]
    fair = compare(entries(rows), goal="minimize", raced=True)
    assert fair.standings[50].mean == first[50] and fair.noise > 0.8
    misled = compare(entries(rows), goal="minimize")
    assert misled.standings[50].mean != first[50]


def test_a_race_compares_by_the_seeds_after_the_first_where_seeds_differ() -> None:
    draw = random.Random(9)
    folds = [0.0, 20.0, -15.0, 8.0, 30.0]
    true = [0.0, 0.0, 3.0, 3.0, 0.0, 3.0]
    counts = [5, 5, 5, 2, 1, 1]
    rows = [{s: folds[s] + true[p] + draw.gauss(0, 0.2) for s in range(counts[p])} for p in range(6)]
    found = compare(entries(rows), goal="minimize", raced=True)
    assert [item.dropped for item in found.standings] == [False, False, True, True, False, False]
    assert all(abs(item.mean - found.standings[0].mean - t) < 1 for item, t in zip(found.standings, true, strict=True))


def _record(point: int, seed: int, value: float | None, state: str) -> TrialRecord:
    record = TrialRecord(f"s-{point}-{seed}", f"trial-{point}-{seed}", 10 * point + seed, {}, state, value=value)
    record.point, record.seed = f"point-{point:04d}", seed
    return record


def test_trials_of_a_race_are_compared_by_the_places_of_their_seeds() -> None:
    # Fold 0 is easy by 50. Point 1 has lost nothing by its failed fold, point 2 was tried on the easy one alone.
    rows = {
        0: {0: 100.0, 1: 50.0, 2: 49.0, 3: 51.0, 4: 50.0},
        1: {0: 101.0, 1: None, 2: 50.0, 3: 52.0, 4: 51.0},
        2: {0: 99.0},
        3: {0: 98.0, 1: 48.0, 2: 47.0, 3: 49.0, 4: 48.0},
    }
    records = [
        _record(point, seed, value, "failed" if value is None else "finished")
        for point, row in rows.items()
        for seed, value in row.items()
    ]
    records.append(_record(2, 1, None, "running"))
    race = Repeats(5, "FOLD", (0, 1, 2, 3, 4), race=True)
    found = compare_points(group_points(records), "maximize", race)
    assert found.best == 1
    assert [item.n for item in found.standings] == [5, 4, 1, 5]
    means = [point.estimate.mean or 0.0 for point in group_points(records)]
    assert max(means) == means[2]  # means of other folds do not compare
    fresh = Repeats(2, seeds="fresh")
    entry = _entry(group_points([_record(3, fresh.seed_at(3, 1), 1.0, "finished")])[0], fresh)
    assert entry == Entry(3, {1: 1.0})


def test_a_single_lucky_seed_is_not_the_best() -> None:
    rows = [{0: 28.9, 1: 30.0, 2: 29.5}, {0: 29.0, 1: 28.0, 2: 30.4}, {0: 29.6}]
    found = compare(entries(rows), goal="maximize", enough=enough_seeds(3, race=True))
    assert found.best == 0
    assert found.rivals == (2, 1)
    # Where no point has enough seeds, those with the most count; a failed seed is one that it was trained with.
    assert compare(entries([{0: 1.0}, {0: 2.0}]), goal="maximize", enough=3).best == 1
    assert (
        compare([Entry(0, {0: 1.0, 1: 1.0}), Entry(1, {0: 2.0}, failed=frozenset({1}))], goal="maximize", enough=2).best
        == 1
    )


def test_goals_mirror_each_other() -> None:
    draw = random.Random(1)
    rows = [{s: draw.gauss(p, 1) for s in range(1 + p % 4)} for p in range(9)]
    low = compare(entries(rows), goal="minimize")
    high = compare(entries([{s: -v for s, v in row.items()} for row in rows]), goal="maximize")
    assert (low.best, low.rivals) == (high.best, high.rivals)
    assert [a.chance for a in low.standings] == [b.chance for b in high.standings]


def test_what_is_not_finite_or_missing_counts_for_nothing() -> None:
    rows = [{0: 1.0, 1: math.nan}, {0: math.inf}, {}, {0: 2.0, 1: 2.2}]
    found = compare(entries(rows), goal="minimize")
    assert [item.n for item in found.standings] == [1, 0, 0, 2]
    assert math.isnan(found.standings[1].mean) and not found.standings[1].dropped
    assert {found.best, *found.rivals} <= {0, 3}
    assert compare([], goal="minimize").best is None
    assert compare(entries([{}, {0: math.nan}]), goal="minimize").best is None


def test_nothing_is_dropped_while_the_noise_is_not_known() -> None:
    found = compare(entries([{0: float(p)} for p in range(20)]), goal="minimize")
    assert found.best == 0 and math.isnan(found.noise)
    assert not any(item.dropped for item in found.standings) and len(found.rivals) == 19


def test_ties_and_a_trainer_without_noise_are_told_apart_by_value() -> None:
    rows = [dict.fromkeys(range(4), value) for value in (2.0, 1.0, 1.0)]
    found = compare(entries(rows), goal="minimize")
    assert found.best == 1 and found.rivals == (2,)
    assert [item.dropped for item in found.standings] == [True, False, False]


def test_the_order_of_points_and_seeds_changes_nothing() -> None:
    draw = random.Random(5)
    rows = [{s: draw.gauss(p % 3, 1) for s in range(3)} for p in range(8)]
    one = compare(entries(rows), goal="minimize")
    mixed = [Entry(n, dict(reversed(list(rows[n].items())))) for n in (3, 1, 7, 0, 2, 6, 5, 4)]
    other = compare(mixed, goal="minimize")
    assert other.best == one.best and other.rivals == one.rivals
    chances = {item.number: item.chance for item in other.standings}
    assert [chances[item.number] for item in one.standings] == pytest.approx([item.chance for item in one.standings])


def test_the_time_to_compare_ten_thousand_trials_does_not_grow_with_their_square() -> None:
    draw = random.Random(0)
    rows = [{s: draw.gauss(0, 1) for s in range(5)} for _ in range(2000)]
    started = time.process_time()
    compare(entries(rows), goal="minimize")
    assert time.process_time() - started < 10


def test_the_level_is_shared_by_all_points() -> None:
    # All points are equal. Compared alone, one of forty is often far off; that a given one is out of the race is rare.
    draw = random.Random(2)
    alone = dropped = 0
    for _ in range(200):
        rows = [{s: draw.gauss(0, 1) for s in range(3)} for _ in range(40)]
        first = compare(entries(rows), goal="minimize").standings[0]
        alone += first.chance < LEVEL
        dropped += first.dropped
    assert alone > 40 and dropped <= 10
