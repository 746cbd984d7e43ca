"""`--prefer`: what is chosen against brute force, and what is said of what cannot be."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import pytest

from yacs_sweep.base.errors import ConfigError
from yacs_sweep.records.folder import TrialRecord
from yacs_sweep.show.prefer import Preference, choose
from yacs_sweep.spec.constraints import judge
from yacs_sweep.spec.sweep import Metric, Repeats, SweepSpec

MAP, MS = Metric("val/mAP", "maximize"), Metric("ms", "minimize")


def aims(*, constraints: tuple[str, ...] = (), repeats: int = 0) -> SweepSpec:
    return SweepSpec(
        "random", (), MAP, more_metrics=(MS,), constraints=constraints, repeats=Repeats(repeats) if repeats else None
    )


def trial(number: int, ap: float | None, ms: float | None, **others: Any) -> TrialRecord:
    record = TrialRecord(f"s-{number}", f"trial-{number:04d}", number, {}, state="finished", value=ap)
    record.values = {"val/mAP": ap, "ms": ms}
    record.started, record.ended = "2026-01-01T00:00:00Z", f"2026-01-01T00:00:{10 + number:02d}Z"
    for name, value in others.items():
        setattr(record, name, value)
    return record


def none(record: TrialRecord) -> Mapping[str, Any]:
    return {}


TRIALS = [trial(0, 82.0, 4.0), trial(1, 78.2, 3.1), trial(2, 81.5, 3.4), trial(3, 90.0, 9.0), trial(4, 50.0, 1.0)]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("val/mAP >= 80, min ms", "trial-0002"),
        ("min ms", "trial-0004"),
        ("max val/mAP", "trial-0003"),
        ("ms < 5", "trial-0000"),  # without min or max the first objective decides
        ("ms < 3.5 and val/mAP > 60", "trial-0002"),
        ("MAX `val/mAP`, duration <= 12.5", "trial-0000"),
        ("min(ms, 3.5) >= 3.4, min duration", "trial-0000"),  # a function of the language, its comma in brackets
        ("val/mAP / ms > 20, max val/mAP", "trial-0000"),
    ],
)
def test_what_is_chosen(text: str, name: str) -> None:
    assert choose(Preference.read(text), TRIALS, aims(), none).record.name == name


def test_why_it_was_chosen() -> None:
    chosen = choose(Preference.read("val/mAP >= 80, min ms"), TRIALS, aims(), none)
    assert chosen.why == "trial-0002, val/mAP 81.5, ms 3.4; min ms of 3 that fit, next trial-0000, ms 4"
    only = choose(Preference.read("val/mAP >= 85"), TRIALS, aims(), none)
    assert only.why == "trial-0003, val/mAP 90, ms 9; the only one that fits"


def test_against_brute_force() -> None:
    for seed in range(60):
        source = random.Random(seed)
        records = [trial(n, source.uniform(50, 90), source.uniform(1, 9)) for n in range(20)]
        least, most = source.uniform(50, 90), source.uniform(1, 9)
        fitting = [r for r in records if (r.values or {})["val/mAP"] >= least and (r.values or {})["ms"] <= most]  # type: ignore[operator]
        text = f"val/mAP >= {least}, ms <= {most}, min ms"
        if fitting:
            best = min(fitting, key=lambda r: (r.values or {})["ms"] or 0.0)
            assert choose(Preference.read(text), records, aims(), none).record is best
        else:
            with pytest.raises(ConfigError, match="no trial fits; the nearest is trial-"):
                choose(Preference.read(text), records, aims(), none)


def test_trials_that_keep_the_constraints_come_first() -> None:
    constraints = ("params_m <= 30",)
    records = [trial(0, 80.0, 2.0, facts={"params_m": 44.0}), trial(1, 79.0, 3.0, facts={"params_m": 25.0})]
    for record in records:
        record.feasible, record.violated = judge(constraints, record.facts or {})
    spec = aims(constraints=constraints)
    assert choose(Preference.read("min ms"), records, spec, none).record is records[1]
    chosen = choose(Preference.read("val/mAP >= 80"), records, spec, none)
    assert chosen.record is records[0]
    assert chosen.why.endswith("none that fits keeps the sweep's constraints: it misses params_m <= 30")
    assert choose(Preference.read("max params_m"), records, spec, none).record is records[1]


def test_points_count_by_their_means() -> None:
    records = [
        trial(place, ap, ms, point=f"point-{place // 3:04d}", seed=place % 3 + 1)
        for place, (ap, ms) in enumerate([(70, 2), (80, 4), (90, 3), (84, 3.5), (86, 3.5), (85, 3.5)])
    ]
    spec = aims(repeats=3)
    with pytest.raises(ConfigError, match="the nearest is point-0001, val/mAP 85, means of 3 seeds"):
        choose(Preference.read("val/mAP > 86"), records, spec, none)  # though one seed of the other has 90
    chosen = choose(Preference.read("min ms"), records, spec, none)
    assert chosen.record is records[1]  # nearest to the mean of 80
    assert chosen.why.startswith("point-0000, val/mAP 80, ms 3, means of 3 seeds; min ms of 2 that fit")
    records.append(trial(6, 99, 1, point="point-0002", seed=1))  # of too few seeds
    assert choose(Preference.read("min ms"), records, spec, none).record is records[1]


def test_metrics_are_read_only_where_records_lack_them() -> None:
    logged = {"trial-0000": {"rank_1": 91.0}, "trial-0001": {"rank_1": 93.0}}
    read: list[str] = []

    def last_values(record: TrialRecord) -> Mapping[str, Any]:
        read.append(record.name)
        return logged.get(record.name, {})

    assert choose(Preference.read("min ms"), TRIALS[:2], aims(), last_values).record is TRIALS[1]
    assert not read
    assert choose(Preference.read("rank_1 > 92"), TRIALS, aims(), last_values).record is TRIALS[1]
    assert read


def test_the_nearest_miss_is_by_how_much_trials_differ() -> None:
    with pytest.raises(ConfigError) as raised:
        choose(Preference.read("val/mAP >= 80, ms <= 3.2"), TRIALS, aims(), none)
    assert str(raised.value) == (
        "--prefer: no trial fits; the nearest is trial-0002, val/mAP 81.5, ms 3.4, which misses ms <= 3.2 by 0.2"
    )
    unknown = [trial(0, 82.0, None), trial(1, 70.0, 3.0)]
    with pytest.raises(
        ConfigError, match="the nearest is trial-0001, val/mAP 70, ms 3, which misses val/mAP >= 80 by 10"
    ):
        choose(Preference.read("val/mAP >= 80, min ms"), unknown, aims(), none)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("val/map >= 80, min ms", "no trial has measured val/map; did you mean val/mAP?"),
        ("min duratoin", "no trial has measured duratoin; did you mean duration?"),
        ("min qwertz", "no trial has measured qwertz; measured are duration, val/mAP, ms"),
        ("gpu_memory_mb < 1", "it is read where the sweep's metric_constraints name it"),
        ("min ms, max val/mAP", "min ms, max val/mAP: one min or max decides"),
        (" , ", "says nothing; write for example"),
        ("min", "write for example"),
        ("open('x')", "write for example"),
        ("val/mAP >=", "write for example"),
        ("`ms", "a backquote is not closed"),
    ],
)
def test_what_cannot_be_read_is_said(text: str, says: str) -> None:
    with pytest.raises(ConfigError) as raised:
        choose(Preference.read(text), TRIALS, aims(), none)
    assert says in str(raised.value)


def test_without_a_finished_trial() -> None:
    with pytest.raises(ConfigError, match="no trial has finished with a value"):
        choose(Preference.read("min ms"), [trial(0, None, None, state="failed")], aims(), none)


def test_equal_ones_are_told_apart_by_the_first_objective_then_by_the_next() -> None:
    size = Metric("mb", "minimize")
    spec = SweepSpec("random", (), MAP, more_metrics=(MS, size))
    records = [trial(n, ap, ms) for n, (ap, ms) in enumerate([(70.0, 2.0), (80.0, 2.0), (80.0, 2.0), (90.0, 3.0)])]
    for record, mb in zip(records, (1.0, 9.0, 8.0, 1.0), strict=True):
        record.values = {**(record.values or {}), "mb": mb}
    chosen = choose(Preference.read("min ms"), records, spec, none)
    assert chosen.record.name == "trial-0002" and ", next trial-0001, ms 2" in chosen.why
    records[2].values = {"val/mAP": 80.0, "ms": 2.0, "mb": None}  # one that was not measured comes last
    assert choose(Preference.read("min ms"), records, spec, none).record.name == "trial-0001"


def test_thresholds_and_constraints_are_conditions() -> None:
    wanted = Metric("val/mAP", "maximize", threshold=80.0)
    spec = SweepSpec("random", (), wanted, more_metrics=(MS,), constraints=("ms <= 8",))
    records = [trial(n, ap, ms) for n, (ap, ms) in enumerate([(82.0, 4.0), (78.2, 3.1), (81.5, 3.4), (90.0, 9.0)])]
    for record in records:
        record.facts = {"ms": (record.values or {})["ms"]}
    chosen = choose(Preference.read("min ms"), records, spec, none)
    assert chosen.why == "trial-0002, val/mAP 81.5, ms 3.4; min ms of 2 that fit, next trial-0000, ms 4"
    missing = choose(Preference.read("min ms, val/mAP < 80"), records, spec, none)
    assert missing.record.name == "trial-0001"
    told = "none that fits keeps the sweep's constraints: it misses the threshold val/mAP >= 80"
    assert missing.why.endswith(f"; the only one that fits; {told}")
    beyond = choose(Preference.read("ms > 8"), records, spec, none)
    assert beyond.why.endswith("constraints: it misses ms <= 8")
