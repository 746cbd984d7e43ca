"""Tests each stopping rule on histories with known verdicts, and hyperband, through the storage, against W&B's engine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna
import pytest

from yacs_sweep.records.folder import TrialRecord
from yacs_sweep.search.promotion.curves import Curve, predict
from yacs_sweep.search.stopping import make_rule
from yacs_sweep.search.storage.journal import open_storage
from yacs_sweep.search.stored import state_of, stored_value
from yacs_sweep.spec.read_sweep import sweep_from_dict


class Sweep:
    """Feeds a study with a stopping rule the values that trials log."""

    def __init__(self, folder: Path, rule: dict[str, Any], goal: str = "minimize") -> None:
        self.spec = sweep_from_dict(
            {
                "method": "random",
                "metric": {"name": "m", "goal": goal},
                "parameters": {"a": {"min": 0.0, "max": 1.0}},
                "early_terminate": rule,
            }
        )
        folder.mkdir(exist_ok=True)
        storage = open_storage(folder / "journal", None)
        self.study = optuna.create_study(storage=storage, direction=goal)
        rule_ = make_rule(self.study, self.spec)
        assert rule_ is not None
        self.rule = rule_

    def log(self, values: Sequence[float], *, end: bool = True) -> int | None:
        """Logs the values of one trial; returns after how many the rule stops the trial."""
        trial = self.study.ask()
        ended = None
        for step, value in enumerate(values, start=1):
            if self.rule.compares:
                trial.report(stored_value(value), step)
            if self.rule.judge(trial, {"m": value}) is not None:
                ended = step
                break
        if end:
            record = TrialRecord("s-0", "t", 0, {}, "stopped" if ended else "finished", value=values[-1])
            state = state_of(record)
            complete = state == optuna.trial.TrialState.COMPLETE
            self.study.tell(trial, values[-1] if complete else None, state=state)
        return ended


@pytest.mark.parametrize("sign", [1, -1])
def test_hyperband_ends_the_worse_trials_at_the_bands_on_both_goals(tmp_path: Path, sign: int) -> None:
    rule = {"type": "hyperband", "min_iter": 2, "eta": 2}
    sweep = Sweep(tmp_path, rule, "minimize" if sign > 0 else "maximize")
    good, bad = [sign * value for value in (9, 5, 4, 3)], [sign * value for value in (1, 8, 8, 8)]
    assert sweep.log(good) is None
    assert sweep.log(good) is None
    assert sweep.log(bad) == 2  # its first value is the best of all, but no band is there
    assert sweep.log(good) is None


def test_hyperband_leaves_out_values_that_are_no_numbers(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path, {"type": "hyperband", "min_iter": 2, "eta": 2})
    for _ in range(2):
        assert sweep.log([3.0, 2.0]) is None
    assert sweep.log([float("nan"), 9.0, 9.0]) == 3


def test_hyperband_through_the_storage_says_what_the_engine_says(tmp_path: Path) -> None:
    """Compares the rule on a storage with the pure decision, which `test_hyperband.py` compares with the engine."""
    from yacs_sweep.spec import hyperband

    sweep = Sweep(tmp_path, {"type": "hyperband", "min_iter": 3, "eta": 3})
    histories = [[float((7 * trial + 3 * step) % 11) for step in range(12)] for trial in range(9)]
    ends: list[int | None] = []
    for place, history in enumerate(histories):
        expected = None
        others = [earlier[: end or len(earlier)] for earlier, end in zip(histories[:place], ends, strict=True)]
        for step in range(1, len(history) + 1):
            decision = hyperband.decide(history[:step], others, bands=sweep.spec.early_terminate.bands, eta=3.0)
            if decision.stop:
                expected = step
                break
        ends.append(sweep.log(history))
        assert ends[-1] == expected
    assert any(ends)
    assert not all(ends)


def test_median_waits_for_trials_and_iterations(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path, {"type": "median", "min_trials": 2, "min_iter": 2})
    assert sweep.log([9.0, 9.0, 9.0]) is None  # nothing to compare with
    assert sweep.log([1.0, 1.0, 1.0]) is None
    assert sweep.log([8.0, 8.0, 8.0]) == 2  # the median of 9 and 1 is 5
    assert sweep.log([8.0, 4.0, 4.0]) is None  # its best so far counts


@pytest.mark.parametrize("goal", ["minimize", "maximize"])
@pytest.mark.parametrize("rule", [{"type": "median", "min_trials": 2}, {"type": "asha", "min_iter": 1, "eta": 2}])
def test_an_infinity_is_no_value_to_compare_with(tmp_path: Path, rule: dict[str, Any], goal: str) -> None:
    sign = 1 if goal == "minimize" else -1
    sweep = Sweep(tmp_path, rule, goal)
    for _ in range(3):  # otherwise the best of all, so that nobody could be better than the median or in the rung
        sweep.log([sign * float("-inf")] * 4)
    assert [sweep.log([sign * 1.0] * 4) for _ in range(2)] == [None, None]
    assert sweep.log([sign * float("-inf")] * 4) is not None


@pytest.mark.parametrize("goal", ["minimize", "maximize"])
def test_asha_keeps_the_best_of_a_rung(tmp_path: Path, goal: str) -> None:
    sign = 1 if goal == "minimize" else -1
    sweep = Sweep(tmp_path, {"type": "asha", "min_iter": 1, "eta": 2}, goal)
    assert sweep.log([sign * 1.0] * 4) is None
    assert sweep.log([sign * 5.0] * 4) == 1
    assert sweep.log([sign * 0.5] * 4) is None


def test_patience_ends_a_trial_that_does_not_improve(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path, {"type": "patience", "patience": 2, "min_delta": 0.1})
    assert sweep.log([5.0, 4.0, 3.0, 2.0, 1.0]) is None
    assert sweep.log([5.0, 4.0, 4.0, 3.95, 4.0]) == 4
    assert sweep.log([5.0, float("nan"), float("nan")]) == 3
    assert sweep.log([5.0, float("-inf"), float("-inf")]) == 3  # no improvement
    late = Sweep(tmp_path / "late", {"type": "patience", "patience": 1, "min_iter": 5})
    assert late.log([1.0] * 8) == 5


@pytest.mark.parametrize(
    ("rows", "ended"),
    [
        ([{"m": 1.0}, {"m": float("nan")}], 2),
        ([{"train/loss": 2.0}, {"train/loss": float("inf")}], 2),
        ([{"train/loss": 2.0}, {"train/loss": 30.0}], 2),
        ([{"train/loss": 2.0}, {"train/loss": 19.0}, {"lr": 1e9}], None),
    ],
)
def test_divergence_ends_a_trial_that_exploded(tmp_path: Path, rows: list[dict[str, float]], ended: int | None) -> None:
    sweep = Sweep(tmp_path, {"type": "divergence", "factor": 10})
    trial = sweep.study.ask()
    verdicts = [sweep.rule.judge(trial, row) for row in rows]
    assert next((place for place, why in enumerate(verdicts, start=1) if why), None) == ended
    assert sweep.rule.judge(sweep.study.ask(), {"train/loss": 500.0}) is None  # another trial has its own first value


def test_a_metric_that_is_maximised_does_not_diverge_by_growing(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path, {"type": "divergence", "factor": 10}, "maximize")
    trial = sweep.study.ask()
    assert [sweep.rule.judge(trial, {"m": value}) for value in (0.5, 60.0)] == [None, None]


@pytest.mark.parametrize("goal", ["minimize", "maximize"])
def test_curve_ends_a_trial_that_will_hardly_become_the_best(tmp_path: Path, goal: str) -> None:
    sign = 1 if goal == "minimize" else -1
    sweep = Sweep(tmp_path, {"type": "curve"}, goal)
    for level in (5, 4, 6, 4.5, 5.5):
        assert sweep.log([sign * (level + 2), sign * (level + 1), sign * level]) is None
    assert sweep.log([sign * 9.0, sign * 8.0, sign * 7.0]) == 1
    assert sweep.log([sign * 5.0, sign * 4.0, sign * 3.0]) is None  # the best of all
    assert sweep.log([sign * 4.2, sign * 9.0, sign * 9.0]) == 2  # begins well


def test_curve_waits_for_enough_finished_trials_and_iterations(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path, {"type": "curve", "min_trials": 6, "min_iter": 2})
    for level in (5, 4, 6, 4.5, 5.5, 20):
        assert sweep.log([level + 2, level + 1, level]) is None
    assert sweep.log([9.0, 8.0, 7.0]) == 2


def test_curve_says_what_it_expects(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path, {"type": "curve", "min_trials": 4})
    curves = [Curve([x, 0.0], y) for x, y in ((1.0, 1.1), (2.0, 1.9), (3.0, 2.9), (4.0, 4.1))]
    for curve in curves:
        sweep.log([curve.values[0], curve.result])
    found = predict([9.0], curves, goal="minimize", least=4)
    assert found is not None and found.value == pytest.approx(9.0)
    trial = sweep.study.ask()
    trial.report(9.0, 1)
    assert sweep.rule.judge(trial, {"m": 9.0}) == (
        f"curve: m 9 at iteration 1 will hardly become the best: 9 ± {found.error:.2g} is expected, "
        f"1.1 is the best (chance {found.chance:.1%})"
    )


def test_curve_never_says_that_there_is_no_chance(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path, {"type": "curve"})
    for place in range(8):
        sweep.log([float(place), place + 1e-3 * (place % 2)])
    trial = sweep.study.ask()
    trial.report(9.0, 1)
    assert str(sweep.rule.judge(trial, {"m": 9.0})).endswith("(chance below 0.1%)")
