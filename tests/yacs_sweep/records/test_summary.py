"""summary.json of sweeps with several objectives, constraints and repeats: kept up to date trial by trial, as from scratch."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path
from typing import Any

import pytest

from yacs_sweep.records.folder import SweepPaths, TrialRecord, best_of
from yacs_sweep.records.front import front_of_points, front_of_trials
from yacs_sweep.records.points import group_points, target_reached
from yacs_sweep.records.progress import read_objectives
from yacs_sweep.records.standings import best_by, best_record, rank_points
from yacs_sweep.records.summary import Summary
from yacs_sweep.spec.constraints import judge
from yacs_sweep.spec.read_sweep import sweep_from_dict
from yacs_sweep.spec.sweep import SweepSpec

METRICS = [{"name": "map", "goal": "maximize", "threshold": -1.5}, {"name": "ms"}]


def spec_of(**others: Any) -> SweepSpec:
    return sweep_from_dict({"method": "random", "parameters": {"a": {"min": 0.0, "max": 1.0}}, **others})


def summary_of(folder: Path, spec: SweepSpec) -> Summary:
    paths = SweepPaths(folder, "s")
    paths.agents.mkdir(parents=True, exist_ok=True)
    assert spec.metric is not None
    about = {"name": "n", "controller": "local", "method": spec.method}
    return Summary(paths, **about, metric=spec.metric.name, goal=spec.metric.goal, target=spec.metric.target, spec=spec)


def ended(source: random.Random, spec: SweepSpec, number: int, point: int, seed: int) -> TrialRecord:
    """A trial of random values, mostly finished."""
    record = TrialRecord(f"s-{number}", f"trial-{number:04d}", number, {"a": point})
    record.state = source.choice(["finished"] * 6 + ["failed", "stopped", "running"])
    quality, ms = source.gauss(0, 1), float(source.randrange(5))
    if record.state == "finished":
        record.value = quality
        if spec.more_metrics:
            record.values = {"map": quality, "ms": ms if source.random() < 0.9 else None}
    if spec.constraints and record.state != "running":
        record.facts = {"ms": ms} if source.random() < 0.9 else {}
        record.feasible, record.violated = judge(spec.constraints, record.facts)
    if spec.repeats:
        record.point, record.seed = f"point-{point:04d}", spec.repeats.seed_at(point, seed)
    return record


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("constraints", [(), ("ms <= 3",)])
@pytest.mark.parametrize("repeats", [None, 3])
def test_kept_up_to_date_as_from_scratch(
    tmp_path: Path, several: bool, constraints: tuple[str, ...], repeats: int | None
) -> None:
    objectives: dict[str, Any] = {"metrics": METRICS} if several else {"metric": METRICS[0] | {"threshold": None}}
    if not several:
        objectives["metric"].pop("threshold")
    spec = spec_of(**objectives, metric_constraints=list(constraints) or None, repeats=repeats)
    for seed in range(15):
        source = random.Random(seed)
        summary = summary_of(tmp_path / str(seed), spec)
        for step in range(40):
            number = source.randrange(25)  # often one that is there already, which may have changed its end
            record = ended(source, spec, number, number // 3, number % 3)
            summary.records[record.id] = record
            if step % 3:
                continue
            records = list(summary.records.values())
            points = group_points(records)
            if repeats:
                best = best_by(spec, points)
                assert summary.best_point() == best
                assert summary.best() == (best and best.typical)
                front = front_of_points(points, spec.objectives, constraints, enough=3) if several else []
                assert summary.front_names() == [point.name for point in front]
                assert [point.name for point in summary.points()] == sorted(point.name for point in points)
            else:
                found = best_of(records, "maximize")
                assert (summary.best() and summary.best().value) == (found and found.value)  # type: ignore[union-attr]
                by_rank = front_of_trials(records, spec.objectives) if several else []
                assert sorted(summary.front_names()) == sorted(record.name for record in by_rank)
                assert summary.points() == [] and summary.best_point() is None


def test_content_with_repeats_and_several_objectives(tmp_path: Path) -> None:
    spec = spec_of(metrics=METRICS, metric_constraints=["ms <= 3"], repeats={"n": 2, "key": "SEED"})
    summary = summary_of(tmp_path, spec)
    for number, (quality, ms) in enumerate([(1.0, 2.0), (3.0, 2.0), (9.0, 9.0), (8.0, 9.0), (1.5, 1.0), (1.5, 1.0)]):
        record = TrialRecord(
            f"s-{number}", f"trial-{number:04d}", number, {"a": number // 2}, "finished", value=quality
        )
        record.values, record.facts = {"map": quality, "ms": ms}, {"ms": ms}
        record.feasible, record.violated = judge(spec.constraints, record.facts)
        record.point, record.seed = f"point-{number // 2:04d}", number % 2 + 1
        summary.records[record.id] = record
    summary.write(final=True)
    content = json.loads(summary.path.read_text())
    assert content["metric"] == {"name": "map", "goal": "maximize"}
    assert content["metrics"] == [metric.to_dict() for metric in spec.objectives]
    assert content["metric_constraints"] == ["ms <= 3"]
    assert content["repeats"] == {"n": 2, "key": "SEED", "seeds": "common"}
    assert content["pareto"] == ["point-0000", "point-0002"]
    best = content["best"]
    assert (best["point"], best["n"], best["mean"], best["values"]) == ("point-0000", 2, 2.0, {"map": 2.0, "ms": 2.0})
    assert best["sd"] == pytest.approx(2**0.5)
    assert (best["name"], best["value"], best["params"]) == ("trial-0000", 1.0, {"a": 0})
    assert [point["point"] for point in content["points"]] == ["point-0000", "point-0001", "point-0002"]
    assert content["points"][1] == {
        "point": "point-0001",
        "params": {"a": 1},
        "n": 2,
        "mean": 8.5,
        "sd": pytest.approx(0.5**0.5),
        "state": "finished",
        "trials": ["trial-0002", "trial-0003"],
        "values": {"map": 8.5, "ms": 9.0},
    }
    assert [row["name"] for row in content["trials"]] == [f"trial-{number:04d}" for number in range(6)]
    assert content["trials"][2]["violated"] == ["ms <= 3"]
    assert read_objectives(content) == spec.objectives


def test_content_of_one_metric_is_as_before(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, spec_of(metric={"name": "map", "goal": "maximize", "target": 3}))
    record = TrialRecord("s-0", "trial-0000", 0, {"a": 1}, "finished", value=1.0)
    summary.records[record.id] = record
    content = json.loads(summary.content())
    assert list(content) == [
        *("sweep_id", "name", "controller", "method", "metric", "counts", "retried", "settled", "best", "trials")
    ]
    assert content["metric"] == {"name": "map", "goal": "maximize", "target": 3.0}
    assert list(content["best"]) == ["name", "value", "params", "dir", "host"]


@pytest.mark.parametrize("repeats", [None, 3])
def test_ten_thousand_trials_of_several_objectives_are_kept_up_to_date_quickly(
    tmp_path: Path, repeats: int | None
) -> None:
    spec = spec_of(metrics=METRICS, repeats=repeats)
    summary, source = summary_of(tmp_path, spec), random.Random(0)
    for number in range(10_000):
        record = ended(source, spec, number, number // 3, number % 3)
        summary.records[record.id] = record
    started = time.process_time()
    summary.best()
    summary.front_names()  # reads all of them, once
    first = time.process_time() - started
    started = time.process_time()
    for number in range(10_000, 10_010):
        record = ended(source, spec, number, number // 3, number % 3)
        summary.records[record.id] = record
        summary.best()
        summary.front_names()
    assert (time.process_time() - started) / 10 < first / 2


@pytest.mark.parametrize(
    ("rows", "reached"),
    [
        ([(9.0, 1.0), (9.0, 9.0)], False),  # one seed has reached both targets, the mean has not
        ([(9.0, 1.0), (9.0, 2.0)], True),
        ([(9.0, 1.0)], False),  # a seed is to come
        ([(9.0, 1.0), (None, None)], True),  # a seed failed
        ([(9.0, 1.0), (5.0, 1.0)], False),
    ],
)
def test_targets_are_those_of_means(rows: list[tuple[float | None, float | None]], reached: bool) -> None:
    metrics = [{"name": "map", "goal": "maximize", "target": 8}, {"name": "ms", "target": 2}]
    spec = spec_of(metrics=metrics, repeats=2)
    records = []
    for number, (quality, ms) in enumerate(rows):
        record = TrialRecord(f"s-{number}", f"t-{number}", number, {"a": 0}, "failed" if ms is None else "finished")
        record.value, record.point, record.seed = quality, "point-0000", number
        record.values = None if ms is None else {"map": quality, "ms": ms}
        records.append(record)
    assert target_reached(spec, records) is reached


def test_targets_of_one_trial() -> None:
    metrics = [{"name": "map", "goal": "maximize", "target": 8}, {"name": "ms", "target": 2}, {"name": "x"}]
    spec = spec_of(metrics=metrics, metric_constraints=["x < 1"])
    record = TrialRecord("s-0", "t", 0, {}, "finished", value=9.0, values={"map": 9.0, "ms": 1.0, "x": 0.0})
    assert not target_reached(spec, [record])  # not known to keep the constraint
    record.facts, record.feasible = {"x": 0.0}, True
    assert target_reached(spec, [record])
    record.values = {"map": 9.0, "ms": 3.0, "x": 0.0}
    assert not target_reached(spec, [record])
    record.values, record.state = {"map": 9.0, "ms": 1.0, "x": 0.0}, "stopped"
    assert not target_reached(spec, [record])


def test_the_best_of_a_race_has_half_of_the_seeds(tmp_path: Path) -> None:
    spec = spec_of(metric={"name": "map", "goal": "maximize"}, repeats={"n": 4, "key": "SEED", "race": True})
    summary = summary_of(tmp_path, spec)
    lucky, sure, most = {1: 9.0}, {1: 8.0, 2: 6.0}, {1: 8.0, 2: 5.0, 3: 5.0, 4: 5.0}
    for point, row in enumerate((lucky, sure, most)):
        for seed, value in row.items():
            number = len(summary.records)
            record = TrialRecord(f"s-{number}", f"trial-{number:04d}", number, {}, "finished", value=value)
            record.point, record.seed = f"point-{point:04d}", seed
            summary.records[record.id] = record
    best = summary.best_point()
    assert best is not None and (best.name, best.estimate.mean) == ("point-0001", 7.0)
    shown = best_record(spec, summary.records.values())
    assert shown is not None and shown.point == "point-0001"
    ranked = rank_points(spec, summary.points())
    assert [point.name for point in ranked] == ["point-0001", "point-0002", "point-0000"]
