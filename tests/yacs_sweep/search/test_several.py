"""Tests the search for several objectives: what is stored, what models are shown, constraints, targets, early ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from optuna.study import StudyDirection
from optuna.trial import TrialState

from yacs_sweep.base.errors import ConfigError
from yacs_sweep.records.folder import SweepPaths, TrialRecord
from yacs_sweep.records.metrics import MetricsFile
from yacs_sweep.search.local import LocalController
from yacs_sweep.search.models.shown import missed_thresholds
from yacs_sweep.search.stored import CONSTRAINTS
from yacs_sweep.search.warm_start import WarmStart, read_prior
from yacs_sweep.spec.constraints import judge
from yacs_sweep.spec.read_sweep import sweep_from_dict
from yacs_sweep.spec.sweep import Metric, SweepSpec

SWEEP: dict[str, Any] = {
    "method": "custom",
    "metrics": [{"name": "acc", "goal": "maximize"}, {"name": "ms", "goal": "minimize"}],
    "parameters": {"x": {"min": 0.0, "max": 1.0}, "y": {"min": 0.0, "max": 1.0}},
}
CONSTRAINED = {**SWEEP, "metric_constraints": "params_m <= 2"}


def controller(folder: Path, body: dict[str, Any] = SWEEP, target: int | None = None, **top: Any) -> LocalController:
    paths = SweepPaths(folder, "s")
    paths.agents.mkdir(parents=True, exist_ok=True)
    return LocalController(paths, sweep_from_dict({**body, **top}), lock_name="a", seed=1, target=target)


def ended(sweep: LocalController, state: str, acc: float | None, ms: float | None, **facts: float) -> TrialRecord:
    """Runs one trial that ends so, with its folder."""
    asked = sweep.ask()
    assert asked is not None
    trial, assignment = asked
    record = TrialRecord(assignment.id, assignment.name, assignment.number, dict(assignment.params), state, value=acc)
    record.started, record.agent, record.values = "2026-01-01T00:00:00+00:00", "a", {"acc": acc, "ms": ms}
    if sweep.spec.constraints:
        record.facts = facts
        record.feasible, record.violated = judge(sweep.spec.constraints, facts)
    place = sweep.paths.trial(record.name)
    place.dir.mkdir()
    record.save(place)
    sweep.tell(trial, record)
    return record


def shown(sweep: LocalController) -> dict[int, Any]:
    """Returns what models are shown: values by the trials' numbers."""
    sweep.chooser._shown.fill(sweep.study.get_trials(deepcopy=False))
    return {trial.number: trial.values for trial in sweep.chooser._shown.view.shown}


# -- what is stored and shown -----------------------------------------------------------------------------------------


def test_the_study_has_every_objective_and_by_how_much_constraints_are_missed(tmp_path: Path) -> None:
    sweep = controller(tmp_path, CONSTRAINED)
    ended(sweep, "finished", 80.0, 5.0, params_m=1.5)
    ended(sweep, "finished", 85.0, 9.0, params_m=5.0)
    ended(sweep, "finished", 70.0, None, params_m=1.0)
    ended(sweep, "finished", 70.0, 4.0)
    first, second, third, fourth = sweep.study.get_trials(deepcopy=False)
    assert sweep.study.directions == [StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE]
    assert (first.state, first.values, first.system_attrs[CONSTRAINTS]) == (TrialState.COMPLETE, [80.0, 5.0], [-0.5])
    assert (second.values, second.system_attrs[CONSTRAINTS]) == ([85.0, 9.0], [3.0])
    assert third.state == TrialState.FAIL  # it lacks a value
    assert fourth.system_attrs[CONSTRAINTS] == [1.0]  # whether it keeps the constraint is not known
    assert [trial.number for trial in sweep.study.best_trials] == [0]


def test_failed_and_stopped_trials_never_count_as_good_in_any_objective(tmp_path: Path) -> None:
    sweep = controller(tmp_path)
    for acc, ms in ((80.0, 5.0), (90.0, 9.0), (60.0, 1.0)):
        ended(sweep, "finished", acc, ms)
    ended(sweep, "failed", 99.0, 0.1)
    ended(sweep, "stopped", 99.0, 0.1)
    ended(sweep, "stopped", 10.0, None)
    ended(sweep, "lost", None, None)
    assert shown(sweep) == {
        0: [80.0, 5.0],
        1: [90.0, 9.0],
        2: [60.0, 1.0],
        3: [60.0, 9.0],  # the worst of each
        4: [80.0, 5.0],  # no better than the median of each
        5: [10.0, 9.0],
    }


def test_a_failed_trial_counts_in_each_objective_as_that_one_says(tmp_path: Path) -> None:
    metrics = [
        {"name": "acc", "goal": "maximize", "impute": "best"},
        {"name": "ms", "goal": "minimize", "impute": "latest"},
    ]
    sweep = controller(tmp_path, metrics=metrics)
    ended(sweep, "finished", 80.0, 5.0)
    ended(sweep, "finished", 50.0, 9.0)
    rows = sweep.paths.trial("trial-0002")
    rows.dir.mkdir()
    file = MetricsFile(rows.metrics)
    for row in ({"acc": 60.0, "ms": 4.0}, {"acc": 70.0, "ms": 3.0}, {"acc": 40.0, "ms": 7.0}, {"ms": float("nan")}):
        file.append(row)
    file.close()
    asked = sweep.ask()
    assert asked is not None
    record = TrialRecord(asked[1].id, asked[1].name, 2, dict(asked[1].params), "failed", value=40.0)
    sweep.tell(asked[0], record)
    assert shown(sweep)[2] == [70.0, 7.0]


def test_a_threshold_is_shown_as_a_constraint(tmp_path: Path) -> None:
    metrics = [{"name": "acc", "goal": "maximize", "threshold": 70}, {"name": "ms", "goal": "minimize", "threshold": 6}]
    sweep = controller(tmp_path, CONSTRAINED, metrics=metrics)
    ended(sweep, "finished", 80.0, 5.0, params_m=1.5)
    ended(sweep, "finished", 60.0, 9.0, params_m=1.5)
    shown(sweep)
    missed = [trial.system_attrs[CONSTRAINTS] for trial in sweep.chooser._shown.view.shown]
    assert missed == [[-0.5, -10.0, -1.0], [-0.5, 10.0, 3.0]]
    assert missed_thresholds([1.0, 2.0], [Metric("a"), Metric("b", "minimize", threshold=2.0)]) == [0.0]


# -- points -----------------------------------------------------------------------------------------------------------


def run(sweep: LocalController, trials: int, call: Callable[[float, float], tuple[float, float]]) -> list[float]:
    """Runs trials on a function; returns their x."""
    found = []
    for _ in range(trials):
        asked = sweep.ask()
        assert asked is not None
        trial, assignment = asked
        x, y = assignment.params["x"], assignment.params["y"]
        acc, ms = call(x, y)
        record = TrialRecord(assignment.id, assignment.name, assignment.number, dict(assignment.params), "finished")
        values = {metric.name: y for metric in sweep.spec.objectives[2:]}
        record.value, record.values, record.facts = acc, {"acc": acc, "ms": ms, **values}, {"params_m": 4 * x}
        sweep.tell(trial, record)
        found.append(x)
    return found


@pytest.mark.slow
def test_search_learns_what_a_constraint_forbids(tmp_path: Path) -> None:
    # Both objectives would have x large; the constraint allows a half at most.
    sweep = controller(tmp_path, CONSTRAINED)
    found = run(sweep, 50, lambda x, y: (x + y, 1 - x + y))
    assert sum(x <= 0.5 for x in found[25:]) >= 13
    free = run(controller(tmp_path / "free"), 50, lambda x, y: (x + y, 1 - x + y))
    assert sum(x <= 0.5 for x in free[25:]) <= 5


def test_one_worker_is_reproducible_also_when_it_is_resumed(tmp_path: Path) -> None:
    def call(x: float, y: float) -> tuple[float, float]:
        return x - y, x * y

    whole = run(controller(tmp_path / "a", CONSTRAINED), 16, call)
    assert run(controller(tmp_path / "b", CONSTRAINED), 12, call) == whole[:12]
    assert run(controller(tmp_path / "b", CONSTRAINED), 4, call) == whole[12:]


@pytest.mark.parametrize("metrics", [2, 3, 4])
def test_gp_searches_several_objectives_under_constraints(tmp_path: Path, metrics: int) -> None:
    more = [{"name": f"more{place}", "goal": "minimize"} for place in range(metrics - 2)]
    points = []
    for place in ("a", "b"):
        sweep = controller(tmp_path / place, CONSTRAINED, metrics=[*SWEEP["metrics"], *more])
        points.append(run(sweep, 12, lambda x, y: (x + y, 1 - x + y)))
        assert sweep.chooser.used == ("GP" if metrics == 2 else "TPE")
        if metrics > 2:  # TPE is asked first
            points[-1] += run(sweep, 9, lambda x, y: (x + y, 1 - x + y))
            assert sweep.chooser.used == "GP"
    assert points[0] == points[1]


# -- targets and early ends -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("acc", "ms", "params_m", "reached"),
    [(90.0, 5.0, 1.0, True), (90.0, 6.0, 1.0, False), (89.0, 5.0, 1.0, False), (90.0, 5.0, 3.0, False)],
)
def test_the_sweep_ends_when_one_trial_reaches_all_targets_and_keeps_the_constraints(
    tmp_path: Path, acc: float, ms: float, params_m: float, reached: bool
) -> None:
    metrics = [{"name": "acc", "goal": "maximize", "target": 90}, {"name": "ms", "goal": "minimize", "target": 5}]
    sweep = controller(tmp_path, CONSTRAINED, target=10, metrics=metrics)
    ended(sweep, "finished", acc, ms, params_m=params_m)
    assert (sweep.ask() is None) == reached


@pytest.mark.parametrize("rule", [{"type": "hyperband", "min_iter": 1}, {"type": "median", "min_trials": 1}])
@pytest.mark.parametrize(("metric", "better"), [(None, 90.0), ("acc", 90.0), ("ms", 1.0)])
def test_trials_are_compared_by_the_first_objective_or_the_named_one(
    tmp_path: Path, rule: dict[str, Any], metric: str | None, better: float
) -> None:
    sweep = controller(tmp_path, early_terminate={**rule, **({"metric": metric} if metric else {})})
    name = metric or "acc"

    def logs(good: bool) -> str | None:
        asked = sweep.ask()
        assert asked is not None
        hooks = sweep.hooks(asked[0])
        # In the other objective each is the better one.
        row = {"acc": 90.0 if good == (name == "acc") else 10.0, "ms": 1.0 if good == (name == "ms") else 50.0}
        hooks.log(row, 0)
        record = TrialRecord(asked[1].id, asked[1].name, asked[1].number, dict(asked[1].params), "finished")
        record.value, record.values = row["acc"], row
        sweep.tell(asked[0], record)
        return hooks.should_stop()

    assert [logs(True) for _ in range(3)] == [None] * 3
    why = logs(False)
    assert why is not None
    assert f"{rule['type']}: {name} " in why


def test_early_terminate_names_one_of_the_objectives() -> None:
    rule = {"type": "hyperband", "min_iter": 3, "metric": "accuracy"}
    with pytest.raises(ConfigError, match="accuracy is not an objective of this sweep; allowed: acc, ms"):
        sweep_from_dict({**SWEEP, "early_terminate": rule})
    spec = sweep_from_dict({**SWEEP, "early_terminate": {**rule, "metric": "ms"}})
    assert sweep_from_dict(spec.to_dict()) == spec
    assert "metric" not in spec.to_wandb()["early_terminate"]
    assert "W&B stops trials by the first metric, acc, and not by ms" in spec.wandb_limits()


# -- what is kept -----------------------------------------------------------------------------------------------------


def test_a_storage_that_was_deleted_is_restored_from_the_folders(tmp_path: Path) -> None:
    sweep = controller(tmp_path, CONSTRAINED)
    ended(sweep, "finished", 80.0, 5.0, params_m=1.5)
    ended(sweep, "stopped", 70.0, 4.0, params_m=5.0)
    ended(sweep, "failed", 60.0, None)
    before = sweep.study.get_trials(deepcopy=False)
    sweep.close()
    sweep.paths.journal.unlink()
    again = controller(tmp_path, CONSTRAINED)
    after = again.study.get_trials(deepcopy=False)
    assert [trial.values for trial in after] == [trial.values for trial in before] == [[80.0, 5.0], None, None]
    assert [trial.system_attrs for trial in after] == [trial.system_attrs for trial in before]
    assert shown(again) == {0: [80.0, 5.0], 1: [70.0, 5.0], 2: [80.0, 5.0]}


def test_results_of_another_sweep_are_learnt_from_with_all_their_values(tmp_path: Path) -> None:
    other = controller(tmp_path, CONSTRAINED)
    ended(other, "finished", 80.0, 5.0, params_m=1.5)
    ended(other, "finished", 85.0, 9.0, params_m=5.0)
    other.paths.spec.write_text(_yaml(other.spec))
    spec = other.spec
    prior, line = read_prior("s", spec, lambda name: other.paths, (None, None))
    assert line == "learning from 2 of 2 finished trials of sweep s"
    assert [(item.value, item.values, item.excesses) for item in prior] == [
        (80.0, [80.0, 5.0], [-0.5]),
        (85.0, [85.0, 9.0], [3.0]),
    ]
    new = tmp_path / "new"
    paths = SweepPaths(new, "s")
    paths.agents.mkdir(parents=True)
    WarmStart(prior=prior).save(paths)
    assert shown(controller(new, CONSTRAINED)) == {-1: [80.0, 5.0], -2: [85.0, 9.0]}
    wrong = replace(spec, more_metrics=(Metric("mb"),))
    with pytest.raises(ConfigError, match="maximizes acc and minimizes ms; this one maximizes acc and minimizes mb"):
        read_prior("s", wrong, lambda name: other.paths, (None, None))


def _yaml(spec: SweepSpec) -> str:
    import yaml

    return str(yaml.safe_dump(spec.to_dict(), sort_keys=False))
