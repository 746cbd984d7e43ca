"""Points of several seeds: which trials count, means against brute force, and the best point."""

from __future__ import annotations

import math
import random
import statistics
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from yacs_sweep.base.values import to_json
from yacs_sweep.records.folder import STATES, TrialRecord
from yacs_sweep.records.points import (
    Estimate,
    group_points,
    point_name,
    point_number,
    target_reached,
    why_none_is_best,
)
from yacs_sweep.records.standings import best_by, best_record, rank_points, rivals
from yacs_sweep.spec.read_sweep import sweep_from_dict
from yacs_sweep.spec.sweep import Repeats, SweepSpec


def trial(number: int, point: str | None, seed: Any = None, value: float | None = None, **others: Any) -> TrialRecord:
    fields = {"state": "failed" if value is None else "finished", "cause": "exit" if value is None else "finished"}
    params = {"a": point}
    return TrialRecord(
        f"s-{number}",
        f"trial-{number:04d}",
        number,
        params,
        value=value,
        point=point,
        seed=seed,
        **{**fields, **others},
    )


def aims(goal: str, n: int = 1, constraints: Sequence[str] = (), *, seeds: str = "fresh") -> SweepSpec:
    repeats = {"n": n, "seeds": seeds} if n > 1 else None
    metric = {"name": "m", "goal": goal}
    about = {"method": "random", "parameters": {"a": [1, 2]}, "metric": metric, "repeats": repeats}
    return sweep_from_dict({**about, "metric_constraints": list(constraints) or None})


def test_names_of_points() -> None:
    assert (point_name(3), point_name(12345)) == ("point-0003", "point-12345")
    assert [point_number(name) for name in ("point-0003", "point-12345", "trial-0003", "point-x", "")] == [
        *(3, 12345, None, None, None)
    ]


def test_a_point_of_three_seeds() -> None:
    (point,) = group_points([trial(4, "point-0001", seed, value) for seed, value in ((1, 2.0), (2, 4.0), (3, 9.0))])
    assert (point.name, point.number, point.params) == ("point-0001", 1, {"a": "point-0001"})
    found = point.estimate
    assert (found.n, found.mean) == (3, 5.0)
    assert found.sd == pytest.approx(math.sqrt(13.0))
    assert found.error == pytest.approx(math.sqrt(13.0 / 3))
    assert point.row() == {
        "point": "point-0001",
        "params": {"a": "point-0001"},
        "n": 3,
        "mean": 5.0,
        "sd": found.sd,
        "state": "finished",
        "trials": ["trial-0004"] * 3,
    }


def test_a_failed_seed_does_not_spoil_its_point_and_failed_ones_alone_fail_it() -> None:
    first, second = group_points(
        [
            trial(0, "point-0000", 1, 3.0),
            trial(1, "point-0000", 2),
            trial(2, "point-0001", 1),
            trial(3, "point-0001", 2),
        ]
    )
    assert (first.state, first.estimate, first.settled) == ("finished", Estimate(1, 3.0, None), 2)
    assert (second.state, second.estimate) == ("failed", Estimate(0))
    assert first.estimate.error is None


def test_a_point_that_was_stopped_is_not_the_best_by_a_lucky_seed() -> None:
    trials = [
        trial(0, "point-0000", 1, 9.0),
        trial(1, "point-0000", 2, 1.0, state="stopped"),
        trial(2, "point-0001", 1, 5.0),
        trial(3, "point-0001", 2, 6.0),
    ]
    best = best_by(aims("maximize", 2), group_points(trials))
    assert best is not None and best.name == "point-0001"
    assert [point.state for point in group_points(trials)] == ["stopped", "finished"]


def test_why_none_is_best_names_the_constraints() -> None:
    points = group_points([trial(0, None, value=9.0, facts={"ms": 5.0}), trial(1, None)])
    text = "of 1 finished trial none is known to keep the constraints: ms < 3; ms > 1"
    assert why_none_is_best(aims("maximize", constraints=["ms < 3", "ms > 1"]), points) == text
    assert why_none_is_best(aims("maximize", constraints=["ms < 6"]), points) is None
    assert why_none_is_best(aims("maximize", constraints=["ms < 3"]), points[1:]) is None


def test_a_race_reaches_its_target_with_all_seeds() -> None:
    about = {"method": "random", "parameters": {"a": [1, 2]}, "metric": {"name": "m", "goal": "maximize", "target": 5}}
    race = sweep_from_dict({**about, "repeats": {"n": 3, "race": True}})
    trials = [trial(number, "point-0000", number + 1, 6.0) for number in range(3)]
    assert [target_reached(race, trials[:many]) for many in (1, 2, 3)] == [False, False, True]


def test_a_trial_that_was_tried_again_counts_by_its_last_attempt() -> None:
    lost = trial(0, "point-0000", 1, state="lost", cause="lost")
    again = trial(1, "point-0000", 1, 5.0, retry_of="s-0")
    (point,) = group_points([again, lost])
    assert [record.number for record in point.trials] == [1]
    assert point.estimate == Estimate(1, 5.0)


def test_a_seed_counts_once() -> None:
    (point,) = group_points(
        [
            trial(0, "point-0000", 1, 5.0),
            trial(1, "point-0000", 1, state="killed", cause="signal"),
            trial(2, "point-0000", 2, 1.0),
            trial(3, "point-0000", 2, 3.0),
        ]
    )
    assert [record.number for record in point.trials] == [0, 3]
    assert point.estimate.mean == 4.0


def test_trials_of_no_point_are_points_of_their_own() -> None:
    found = group_points([trial(1, None, value=1.0), trial(0, None, value=1.0), trial(2, "point-0000", 1, 1.0)])
    assert [(point.name, point.number) for point in found] == [("trial-0000", 0), ("trial-0001", 1), ("point-0000", 0)]


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        (("finished", "running"), "running"),
        (("failed", "finished"), "finished"),
        (("failed", "stopped"), "stopped"),
        (("failed", "lost"), "failed"),
        (("lost", "killed"), "killed"),
        (("failed", "paused"), "paused"),
        (("no such state",), "lost"),
    ],
)
def test_state_of_a_point(states: tuple[str, ...], expected: str) -> None:
    trials = [trial(place, "point-0000", place, 1.0, state=state) for place, state in enumerate(states)]
    assert group_points(trials)[0].state == expected


@pytest.mark.parametrize("value", [math.nan, math.inf, None])
def test_what_is_no_finite_number_is_left_out_of_the_mean(value: float | None) -> None:
    trials = [trial(0, "point-0000", 1, 2.0), trial(1, "point-0000", 2, value, state="finished")]
    assert group_points(trials)[0].estimate == Estimate(1, 2.0)


def test_means_of_several_objectives_and_facts() -> None:
    rows = [
        ({"map": 80.0, "ms": 3.0}, {"params": 20, "kind": "a", "gpu": 5.0}),
        ({"map": 82.0, "ms": None}, {"params": 20, "kind": "a"}),
        ({"map": 84.0, "ms": 5.0}, {"params": 26, "kind": "b"}),
    ]
    trials = [
        trial(place, "point-0000", place, values["map"], values=values, facts=facts)
        for place, (values, facts) in enumerate(rows)
    ]
    (point,) = group_points(trials)
    assert point.values == {"map": 82.0, "ms": 4.0}
    assert point.objective("ms").n == 2
    assert point.facts == {"params": 22.0, "gpu": 5.0}
    assert point.row()["values"] == {"map": 82.0, "ms": 4.0}
    # One seed is beyond the bound, the mean is not.
    assert point.judge(["params <= 24"]) == (True, [])
    assert point.judge(["params <= 21", "gpu < 1"]) == (False, ["params <= 21", "gpu < 1"])
    assert point.judge(["kind == 'a'"]) == (None, [])


def brute_best(groups: dict[str, list[TrialRecord]], goal: str, enough: int) -> float | None:
    """The best mean among points with enough seeds, by the definition."""
    found = []
    for trials in groups.values():
        values = [record.value for record in trials if record.state == "finished" and record.value is not None]
        settled = sum(record.state in ("finished", "failed") for record in trials)
        if values:
            found.append((settled, statistics.fmean(values)))
    most = max((settled for settled, _ in found), default=0)
    means = [mean for settled, mean in found if settled >= min(enough, most)]
    return None if not means else max(means) if goal == "maximize" else min(means)


@pytest.mark.parametrize("goal", ["maximize", "minimize"])
def test_best_point_and_means_by_brute_force(goal: str) -> None:
    for seed in range(60):
        source = random.Random(seed)
        groups: dict[str, list[TrialRecord]] = {}
        records = []
        for number in range(source.randrange(1, 30)):
            point = point_name(source.randrange(8))
            state = source.choice(["finished", "finished", "failed", "running", "stopped"])
            value = None if state in ("failed", "running") else source.gauss(0, 1)
            place = Repeats(9, seeds="fresh").seed_at(int(point[-1]), len(groups.get(point, ())))
            record = trial(number, point, place, value, state=state, cause="")
            groups.setdefault(point, []).append(record)
            records.append(record)
        source.shuffle(records)
        points = group_points(records)
        assert {point.name: list(point.trials) for point in points} == groups
        for enough in (1, 2, 3, 9):
            best = best_by(aims(goal, enough), points)
            expected = brute_best(groups, goal, enough)
            assert (best and best.estimate.mean) == (expected if expected is None else pytest.approx(expected))


def test_the_best_point_keeps_the_constraints_or_there_is_none() -> None:
    trials = [
        trial(0, "point-0000", 1, 9.0, facts={"ms": 5.0}),
        trial(1, "point-0001", 1, 8.0, facts={"ms": 2.0}),
        trial(2, "point-0002", 1, 10.0, facts={}),
    ]
    best = best_by(aims("maximize", constraints=["ms < 3"]), group_points(trials))
    assert best is not None and best.name == "point-0001"
    assert best_by(aims("maximize", constraints=["ms < 1"]), group_points(trials)) is None


def test_the_time_of_ten_thousand_trials_does_not_grow_with_their_square() -> None:
    source = random.Random(0)
    records = [trial(number, point_name(number // 3), number % 3 + 1, source.random()) for number in range(10_000)]
    started = time.process_time()
    points = group_points(records)
    assert best_by(aims("maximize", 3, seeds="common"), points) is not None
    rows = [point.row() for point in points]
    assert time.process_time() - started < 10  # comparing each with each takes minutes
    assert len(rows) == 3334


def test_fields_of_points_stand_in_trial_json_where_they_are_used_only(tmp_path: Any) -> None:
    plain = trial(0, None, value=1.0)
    new = {"values", "facts", "feasible", "violated", "point", "seed"}
    assert not new & set(plain.row())
    full = trial(
        1,
        "point-0000",
        0,
        1.0,
        values={"a": math.nan, "b": None},
        facts={"ms": math.inf},
        feasible=False,
        violated=["ms < 3"],
    )
    assert new <= set(full.row())
    path = tmp_path / "trial.json"
    for record in (plain, full, trial(2, "point-0001", "fold-a", 1.0, feasible=True, facts={})):
        path.write_text(to_json(record.row()))
        found = TrialRecord.load(path)
        assert to_json(found.row()) == to_json(record.row())
        assert (found.seed, found.feasible, found.facts) == (record.seed, record.feasible, record.facts)
    assert set(STATES) >= {"running", "finished", "stopped", "failed", "killed", "lost"}


def repeated(rows: dict[str, list[float | None]]) -> list[TrialRecord]:
    """Trials of points with common seeds."""
    records: list[TrialRecord] = []
    for name, values in rows.items():
        records += [trial(len(records) + place, name, place + 1, value) for place, value in enumerate(values)]
    return records


def test_the_best_point_and_its_rivals() -> None:
    rows: dict[str, list[float | None]] = {
        "point-0000": [10.0, 10.4, 10.2],
        "point-0001": [10.3, 10.5, 10.2],  # as good as the first, as far as is known
        "point-0002": [1.0, 1.2, 1.1],
        "point-0003": [20.0],  # one lucky seed
        "point-0004": [None, None, None],
        "point-0005": [9.9, None, 9.7],
    }
    points = group_points(repeated(rows))
    spec = aims("maximize", 3, seeds="common")
    best = best_by(spec, points)
    assert best is not None and best.name == "point-0001"
    assert [point.name for point in rank_points(spec, points)] == [
        *("point-0001", "point-0000", "point-0005", "point-0002", "point-0003", "point-0004")
    ]
    named = [point.name for point in rivals(spec, points)]
    assert "point-0000" in named and "point-0002" not in named
    record = best_record(spec, repeated(rows))
    assert record is not None and (record.point, record.value) == ("point-0001", 10.3)  # nearest to the mean, 10.33
    assert rivals(aims("maximize"), points) == []
    # Of two points with two seeds each nothing can be said yet.
    few = group_points(repeated({"point-0000": [10.0, 10.0], "point-0001": [1.0, 1.0]}))
    assert rivals(spec, few) == []


def test_in_a_race_half_the_seeds_are_enough() -> None:
    rows: dict[str, list[float | None]] = {"point-0000": [5.0], "point-0001": [4.0, 4.2], "point-0002": [3.0]}
    spec = replace(aims("maximize", 4, seeds="common"), repeats=Repeats(4, race=True))
    best = best_by(spec, group_points(repeated(rows)))
    assert best is not None and best.name == "point-0001"
