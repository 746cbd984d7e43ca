"""Tests stopping rules on points with several seeds: each compares means at the same iteration."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import optuna
import pytest

from yacs_sweep.search.repeats.points import mean_curve
from yacs_sweep.search.stopping import make_rule
from yacs_sweep.search.storage.journal import open_storage
from yacs_sweep.search.stored import PLACE, POINT
from yacs_sweep.spec import hyperband
from yacs_sweep.spec.read_sweep import sweep_from_dict


class Sweep:
    """Feeds a study with a stopping rule the values that the seeds of its points log."""

    def __init__(self, folder: Path, rule: Mapping[str, Any]) -> None:
        body = {
            "method": "random",
            "metric": {"name": "m", "goal": "minimize"},
            "parameters": {"a": {"min": 0.0, "max": 1.0}},
            "early_terminate": dict(rule),
            "repeats": 2,
        }
        self.study = optuna.create_study(storage=open_storage(folder / "journal", None), direction="minimize")
        found = make_rule(self.study, sweep_from_dict(body))
        assert found is not None
        self.rule = found

    why: str | None = None  # the last seed was stopped

    def log(self, point: int, place: int, values: Sequence[float]) -> int | None:
        """Logs the values of one seed; returns after how many the rule stops it."""
        trial = self.study.ask()
        trial.set_user_attr(POINT, point)
        trial.set_user_attr(PLACE, place)
        ended = None
        for step, value in enumerate(values, start=1):
            trial.report(value, step)
            self.why = self.rule.judge(trial, {"m": value})
            if self.why is not None:
                ended = step
                break
        if ended is None:
            self.study.tell(trial, values[-1])
        else:
            self.study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        return ended


RULES = [
    {"type": "hyperband", "min_iter": 2, "eta": 2},
    {"type": "median", "min_trials": 2, "min_iter": 2},
    {"type": "asha", "min_iter": 2, "eta": 2},
]


def test_the_reason_names_the_mean_that_was_compared(tmp_path: Path) -> None:
    for number, rule in enumerate(RULES):
        folder = tmp_path / str(number)
        folder.mkdir()
        sweep = Sweep(folder, rule)
        for point in range(3):
            for place in (0, 1):
                sweep.log(point, place, [1.0, 1.0, 1.0])
        sweep.study.add_trial(
            optuna.create_trial(value=3.0, intermediate_values={1: 8.0, 2: 8.0}, user_attrs={POINT: 5, PLACE: 0})
        )
        assert sweep.log(5, 1, [10.0, 10.0, 10.0]) == 2
        assert sweep.why is not None and "m 9 (mean of 2 seeds) at iteration 2 " in sweep.why, sweep.why
        assert sweep.log(6, 0, [10.0, 10.0, 10.0]) == 2
        assert "m 10 at iteration 2 " in sweep.why


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["type"])
def test_an_unlucky_seed_of_a_good_point_is_not_stopped_and_a_lucky_one_of_a_bad_point_is(
    tmp_path: Path, rule: dict[str, Any]
) -> None:
    sweep = Sweep(tmp_path, rule)
    for place in (0, 1):
        assert sweep.log(0, place, [5.0, 5.0, 5.0]) is None
    assert sweep.log(1, 0, [1.0, 1.0, 1.0]) is None
    assert sweep.log(1, 1, [6.0, 6.0, 6.0]) is None  # by itself it is the worst; its point's mean, 3.5, is the best
    ended = sweep.log(2, 0, [9.0, 9.0, 9.0])
    assert ended == 2
    assert sweep.log(2, 1, [4.0, 4.0, 4.0]) == 2  # by itself the second best; the mean is 6.5


def test_hyperband_decides_as_it_does_on_the_means(tmp_path: Path) -> None:
    draw = random.Random(3)
    sweep = Sweep(tmp_path, {"type": "hyperband", "min_iter": 2, "eta": 2, "strict": True})
    bands = (2, 4, 8)
    logged: dict[int, list[list[float]]] = {}
    stops = 0
    for point in range(10):
        for place in (0, 1):
            values = [draw.uniform(0, 10) for _ in range(9)]
            others = [means(curves) for number, curves in logged.items() if number != point]
            expected = next(
                (
                    step
                    for step in range(1, 10)
                    if hyperband.decide(
                        means([values[:step], *logged.get(point, [])])[:step], others, bands=bands, eta=2, strict=True
                    ).stop
                ),
                None,
            )
            assert sweep.log(point, place, values) == expected
            logged.setdefault(point, []).append(values[:expected] if expected else values)
            stops += expected is not None
    assert 3 < stops < 17


def means(curves: Sequence[Sequence[float]]) -> list[float]:
    """Returns the mean at each place over the curves that are so long."""
    return [fmean(curve[i] for curve in curves if len(curve) > i) for i in range(max(map(len, curves)))]


def test_the_curve_of_means_leaves_out_what_is_no_number() -> None:
    found = mean_curve([{1: 1.0, 2: math.nan}, {1: 3.0, 2: math.nan, 3: 5.0}, {1: math.nan}])
    assert {step: str(value) for step, value in found.items()} == {1: "2.0", 2: "nan", 3: "5.0"}
