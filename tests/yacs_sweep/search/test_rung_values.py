"""Tests by which values a model compares trials that have paused at different rungs."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from optuna.trial import TrialState

from yacs_sweep.search.models import shown as shown_trials
from yacs_sweep.search.models.rung_values import comparable
from yacs_sweep.search.models.shown import Shown
from yacs_sweep.search.models.view import blank
from yacs_sweep.search.space import Space
from yacs_sweep.spec.read_sweep import sweep_from_dict
from yacs_sweep.spec.sweep import EarlyTerminate


def test_the_highest_rung_with_enough_trials_counts() -> None:
    histories = {number: [10.0 + number, 5.0 + number, 2.0 + number] for number in range(3)}
    assert comparable(histories, {}, (1, 3), 3) == {0: 2.0, 1: 3.0, 2: 4.0}
    assert comparable(histories, {}, (1, 3), 4) == {0: 10.0, 1: 11.0, 2: 12.0}
    assert comparable(histories, {0: 1.0}, (1, 3), 1) == {0: 1.0, 1: 2.0, 2: 3.0}  # 1 less, as the one that ended


def test_a_trial_further_down_counts_with_what_a_line_leads_to_expect() -> None:
    there = {number: [float(number), 0.0, 2.0 * number + 1] for number in range(4)}
    found = comparable({**there, 9: [10.0]}, {}, (1, 3), 4)
    assert found[9] == pytest.approx(21.0)
    assert found[3] == 7.0


def test_a_line_never_turns_the_order_round() -> None:
    there = {number: [float(number), 0.0, -float(number)] for number in range(4)}
    assert comparable({**there, 9: [10.0]}, {}, (1, 3), 4)[9] == pytest.approx(-1.5)


def test_trials_without_a_finite_value_are_left_out() -> None:
    assert comparable({0: [math.nan], 1: [3.0], 2: []}, {}, (1, 3), 1) == {1: 3.0}
    assert comparable({}, {}, (1, 3), 10) == {}


def test_a_trial_that_ended_before_a_rung_counts_there_with_its_result() -> None:
    histories = {0: [5.0, 4.0], 1: [6.0, 5.5, 5.0], 2: [9.0]}
    assert comparable(histories, {0: 4.0}, (1, 3), 2)[0] == 4.0


@pytest.mark.parametrize("state", [TrialState.RUNNING, TrialState.PRUNED])
def test_a_trial_that_is_not_promoted_counts_by_its_rung_paused_or_ended(
    state: TrialState, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shown_trials, "AT_RUNG", 2)
    spec = sweep_from_dict({"method": "bayes", "metric": {"name": "v"}, "parameters": {"x": {"min": 0, "max": 1}}})
    rule = EarlyTerminate("asha", mode="promotion", min_iter=1, max_iter=3, eta=3.0)
    spec = replace(spec, early_terminate=rule)
    trials = []
    for number, value in enumerate((3.0, 5.0)):
        trial = blank(number)
        trial.params, trial.intermediate_values = {"x": 0.1 * number}, {1: value}
        trials.append(trial)
    trials[1].state, trials[1].values = state, [5.0] if state == TrialState.PRUNED else None
    models = Shown(spec, Space(spec.parameters), ())
    assert models.fill(trials) == 2
    assert [trial.values for trial in models.view.shown] == [[3.0], [5.0]]
