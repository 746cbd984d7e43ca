"""Tests which model bayes search asks, which results it counts, and that its points are new, allowed and reproducible."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState

from yacs_sweep.records.alive import AgentLock
from yacs_sweep.records.folder import SweepPaths, TrialRecord
from yacs_sweep.search import sampling
from yacs_sweep.search.local import LocalController
from yacs_sweep.search.models.shown import counted_value
from yacs_sweep.search.warm_start import Observation, WarmStart
from yacs_sweep.spec.read_sweep import sweep_from_dict

PARAMETERS: dict[str, Any] = {
    "lr": {"distribution": "log_uniform_values", "min": 1e-5, "max": 1e-1},
    "margin": {"min": 0.0, "max": 1.0},
    "optimizer": {"values": ["sgd", "adam"]},
}


IMPUTES = ("worst", "best", "latest")


def controller(folder: Path, method: str = "bayes", seed: int = 1, agent: str = "a", **top: Any) -> LocalController:
    body = {"method": method, "metric": {"name": "v", "goal": "minimize"}, "parameters": PARAMETERS, **top}
    paths = SweepPaths(folder, "s")
    paths.agents.mkdir(parents=True, exist_ok=True)
    return LocalController(paths, sweep_from_dict(body), lock_name=agent, seed=seed)


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[str]:
    """Locks an agent's file: trials of dead agents are handed out again."""
    lock = AgentLock(SweepPaths(tmp_path, "s").agents, 0, "token")
    yield lock.name
    lock.release()


def step(sweep: LocalController, value: Callable[[dict[str, Any]], tuple[str, float | None]]) -> dict[str, Any]:
    """Runs one trial; returns its parameters."""
    asked = sweep.ask()
    assert asked is not None
    trial, assignment = asked
    params = dict(assignment.params)
    state, number = value(params)
    record = TrialRecord(assignment.id, assignment.name, assignment.number, params, state, value=number)
    sweep.tell(trial, record)
    return params


def near_03(params: dict[str, Any]) -> tuple[str, float | None]:
    return "finished", (params["margin"] - 0.3) ** 2


@pytest.mark.parametrize(("goal", "worst", "median"), [("minimize", 9.0, 3.0), ("maximize", 1.0, 3.0)])
def test_trials_without_a_result_never_count_as_good(goal: str, worst: float, median: float) -> None:
    finished = [1.0, 3.0, 9.0]
    best = 1.0 if goal == "minimize" else 9.0
    about = {"finished": finished, "goal": goal}
    assert counted_value(stopped=False, own=None, **about) == worst
    assert counted_value(stopped=False, own=best, **about) == worst
    # As its author asked, of the values it logged.
    logged = [2.0, 8.0, 5.0]
    imputed = {how: counted_value(stopped=False, own=None, impute=how, logged=logged, **about) for how in IMPUTES}
    assert imputed == {"worst": worst, "best": 2.0 if goal == "minimize" else 8.0, "latest": 5.0}
    assert {counted_value(stopped=False, own=None, impute=how, **about) for how in IMPUTES} == {worst}
    assert counted_value(stopped=True, own=best, **about) == median
    assert counted_value(stopped=True, own=worst, **about) == worst
    assert counted_value(stopped=True, own=None, **about) == worst


# -- what the samplers are shown --------------------------------------------------------------------------------------


def test_failed_and_stopped_trials_are_shown_with_bad_values_and_lost_ones_not_at_all(tmp_path: Path) -> None:
    sweep = controller(tmp_path)
    ends: list[tuple[str, float | None]] = [
        *[("finished", float(value)) for value in (1, 2, 3)],
        ("failed", 0.1),
        ("stopped", None),
        ("lost", None),
        ("killed", 0.0),
        ("finished", float("nan")),
    ]
    for end in ends:
        step(sweep, lambda params, end=end: end)
    trials = sweep.study.get_trials(deepcopy=False)
    assert sweep.chooser._shown.fill(trials) == 3
    shown = {trial.number: trial.value for trial in sweep.chooser._shown.view.shown}
    assert shown == {0: 1.0, 1: 2.0, 2: 3.0, 3: 3.0, 4: 3.0, 7: 3.0}
    assert {trial.state for trial in sweep.chooser._shown.view.shown} == {TrialState.COMPLETE}
    assert trials[3].state == TrialState.FAIL  # the storage keeps the truth


def test_a_stopped_trial_counts_with_its_own_value_whatever_rule_stopped_it(tmp_path: Path) -> None:
    sweep = controller(tmp_path, early_terminate={"type": "patience", "patience": 1})
    for end in [*[("finished", float(value)) for value in (1, 2, 9)], ("stopped", 4.0), ("stopped", 0.5)]:
        step(sweep, lambda params, end=end: end)
    sweep.chooser._shown.fill(sweep.study.get_trials(deepcopy=False))
    assert [trial.value for trial in sweep.chooser._shown.view.shown] == [1.0, 2.0, 9.0, 4.0, 2.0]


@pytest.mark.parametrize(
    ("how", "shown"), [(None, None), ("false", None), ("best", 2.0), ("latest", 5.0), ("worst", 9.0)]
)
def test_running_trials_are_imputed_where_the_file_asks_for_it(
    tmp_path: Path, agent: str, how: str | None, shown: float | None
) -> None:
    more = {} if how is None else {"impute_while_running": how}
    sweep = controller(tmp_path, agent=agent, metric={"name": "v", "goal": "minimize", **more})
    for value in (1.0, 9.0):
        step(sweep, lambda params, value=value: ("finished", value))
    running, silent = sweep.ask(), sweep.ask()
    assert running is not None and silent is not None
    hooks = sweep.hooks(running[0])
    for place, value in enumerate((8.0, 2.0, float("nan"), 5.0)):
        hooks.log({"v": value}, place)
    sweep.chooser._shown.fill(sweep.study.get_trials(deepcopy=False))
    seen = {trial.number: (trial.state, trial.value) for trial in sweep.chooser._shown.view.shown}
    assert seen[2] == ((TrialState.RUNNING, None) if shown is None else (TrialState.COMPLETE, shown))
    assert seen[3] == (TrialState.RUNNING, None)  # it has logged nothing
    assert sweep.study.get_trials(deepcopy=False)[2].state == TrialState.RUNNING  # the storage keeps the truth


def test_a_failed_trial_counts_with_what_it_logged_where_the_file_asks_for_it(tmp_path: Path) -> None:
    sweep = controller(tmp_path, metric={"name": "v", "goal": "minimize", "impute": "best"})
    for value in (3.0, 9.0):
        step(sweep, lambda params, value=value: ("finished", value))
    asked = sweep.ask()
    assert asked is not None
    hooks = sweep.hooks(asked[0])
    for place, value in enumerate((8.0, 2.0, 5.0)):
        hooks.log({"v": value}, place)
    record = TrialRecord(asked[1].id, asked[1].name, 2, dict(asked[1].params), "failed", value=5.0)
    sweep.tell(asked[0], record)
    sweep.chooser._shown.fill(sweep.study.get_trials(deepcopy=False))
    assert [trial.value for trial in sweep.chooser._shown.view.shown] == [3.0, 9.0, 2.0]


def test_many_bad_trials_do_not_make_some_of_them_good(tmp_path: Path) -> None:
    sweep = controller(tmp_path)
    for number in range(40):
        step(sweep, lambda params, number=number: ("finished", 1.0) if number == 0 else ("failed", None))
    sweep.chooser._shown.fill(sweep.study.get_trials(deepcopy=False))
    # TPE takes the best tenth, rounded up: of ten shown trials that is the finished one.
    assert len(sweep.chooser._shown.view.shown) == 10


def test_search_avoids_a_region_where_trials_fail(tmp_path: Path) -> None:
    sweep = controller(tmp_path)

    def fails(params: dict[str, Any]) -> tuple[str, float | None]:
        return ("failed", None) if params["optimizer"] == "sgd" else near_03(params)

    points = [step(sweep, fails)["optimizer"] for _ in range(40)]
    assert points[:10].count("sgd") >= 3
    assert points[10:].count("sgd") <= 8


# -- points ---------------------------------------------------------------------------------------------------------


def test_one_worker_is_reproducible_also_when_it_is_resumed(tmp_path: Path) -> None:
    whole = controller(tmp_path / "a")
    expected = [step(whole, near_03) for _ in range(16)]
    for start, end in ((0, 12), (12, 16)):
        part = controller(tmp_path / "b")
        assert [step(part, near_03) for _ in range(start, end)] == expected[start:end]
    other = controller(tmp_path / "c", seed=2)
    assert step(other, near_03) != expected[0]


def test_bayes_finds_what_random_search_does_not(tmp_path: Path) -> None:
    def best(method: str, seed: int) -> float:
        sweep = controller(tmp_path / method / str(seed), method, seed)
        return min(near_03(step(sweep, near_03))[1] or 0.0 for _ in range(40))

    assert sum(best("bayes", seed) for seed in range(3)) < 0.5 * sum(best("random", seed) for seed in range(3))


def test_agents_that_ask_at_the_same_time_get_different_points(tmp_path: Path, agent: str) -> None:
    small = {"a": {"values": [1, 2, 3, 4]}, "b": {"values": [1, 2, 3]}}
    sweeps = [controller(tmp_path, agent=agent, parameters=small) for _ in range(2)]
    for number in range(10):
        step(sweeps[0], lambda params, number=number: ("finished", float(params["a"] + params["b"])))
    tried = {tuple(trial.params.items()) for trial in sweeps[0].study.get_trials(deepcopy=False)}
    left = 12 - len(tried)
    running = []
    for number in range(left):
        asked = sweeps[number % 2].ask()
        assert asked is not None
        running.append(tuple(asked[1].params.items()))
    assert len({*running, *tried}) == 12  # none twice while there are others


def test_conditional_parameters_are_drawn_only_when_they_apply(tmp_path: Path) -> None:
    parameters = {
        **PARAMETERS,
        "momentum": {"min": 0.5, "max": 0.99, "parent": "optimizer", "parent_values": ["sgd"]},
        "nesterov": {"values": [True, False], "parent": "optimizer", "parent_values": ["sgd"]},
    }
    sweep = controller(tmp_path, parameters=parameters)
    used = set()
    for _ in range(40):
        point = step(sweep, near_03)
        used.add(sweep.chooser.used)
        assert set(point) == set(PARAMETERS) | ({"momentum", "nesterov"} if point["optimizer"] == "sgd" else set())
    assert used == {"random", "GP"}


def test_conditions_hold_for_every_point(tmp_path: Path) -> None:
    sweep = controller(tmp_path, where="margin < 0.4 and optimizer == 'adam'")
    for _ in range(30):
        point = step(sweep, near_03)
        assert point["margin"] < 0.4
        assert point["optimizer"] == "adam"
    assert len(sweep.study.get_trials(deepcopy=False)) == 30  # a refused draw is no trial


def test_gp_is_asked_first_and_tpe_after_many_trials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "GP_MOST", 9)
    points = []
    for place in ("a", "b"):
        sweep = controller(tmp_path / place)
        used = []
        for _ in range(13):
            points.append(step(sweep, near_03))
            used.append(sweep.chooser.used)
        assert used == ["random"] * sampling.STARTUP + ["GP"] * (10 - sampling.STARTUP) + ["TPE"] * 3
        assert sweep.chooser.notes == []
    assert points[:13] == points[13:]


def test_the_launcher_reads_its_search_without_scipy_and_torch() -> None:
    code = "import sys, yacs_sweep.search.local; print([m for m in ('scipy', 'torch') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_the_gp_takes_no_torch(tmp_path: Path) -> None:
    code = (
        "import sys; from yacs_sweep.search.models import gp; from yacs_sweep.search.models.surrogate import Surrogate;"
        "import numpy as np; x = np.linspace(0, 1, 8)[:, None];"
        "print(Surrogate(x, x[:, 0], np.array([False])).predict(x)[0].shape, 'torch' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert found == "(8,) False\n"


# -- warm start -------------------------------------------------------------------------------------------------------


def test_results_from_elsewhere_are_learnt_from_and_are_no_trials(tmp_path: Path) -> None:
    paths = SweepPaths(tmp_path, "s")
    paths.agents.mkdir(parents=True)
    points = [{"lr": 1e-3, "margin": place / 20, "optimizer": "sgd"} for place in range(20)]
    WarmStart(prior=tuple(Observation(point, (point["margin"] - 0.3) ** 2) for point in points)).save(paths)
    sweep = controller(tmp_path)
    margins = [step(sweep, near_03)["margin"] for _ in range(8)]
    assert sweep.chooser.used == "GP"  # from the first trial on, no random points
    assert sum(abs(margin - 0.3) < 0.2 for margin in margins) >= 6
    assert len(sweep.study.get_trials(deepcopy=False)) == 8


def test_given_points_come_first_and_once(tmp_path: Path) -> None:
    paths = SweepPaths(tmp_path, "s")
    paths.agents.mkdir(parents=True)
    first = {"lr": 1e-3, "margin": 0.25, "optimizer": "adam"}
    second = {"lr": 1e-2, "margin": 0.75, "optimizer": "sgd"}
    WarmStart(enqueue=(first,)).save(paths)
    sweep = controller(tmp_path)
    assert step(sweep, near_03) == first
    WarmStart(enqueue=(second,)).save(paths)  # a resumed sweep is given one more
    again = controller(tmp_path)
    points = [step(again, near_03) for _ in range(3)]
    assert points[0] == second
    assert first not in points
    assert second not in points[1:]


# -- grid and random ------------------------------------------------------------------------------------------------


def test_a_number_given_out_twice_is_void_and_no_point_is_missed(tmp_path: Path, agent: str) -> None:
    grid = {"a": {"values": [1, 2, 3]}}
    sweep = controller(tmp_path, "grid", agent=agent, parameters=grid)
    trials = sweep.study.get_trials(deepcopy=False)
    assert sweep._next._create_trial(0, 0, trials) is not None
    loser = sweep._next._create_trial(0, 0, trials)  # another machine that does not share the lock saw no trial either
    assert loser is not None
    assert loser.number_taken
    sweep._next._void_trial(loser.trial_id)
    points = []
    while (asked := sweep.ask()) is not None:
        points.append(asked[1].params["a"])
    assert points == [2, 3]


def test_random_points_do_not_depend_on_other_trials(tmp_path: Path) -> None:
    sweep = controller(tmp_path, "random")
    for number in range(5):
        assert step(sweep, near_03) == pytest.approx(sweep.spec.random_point(1, number))


@pytest.mark.parametrize("method", ["random", "bayes"])
def test_no_point_is_given_out_twice_while_another_is_left(tmp_path: Path, agent: str, method: str) -> None:
    few = {"a": {"values": [1, 2, 3, 4]}, "b": {"values": [1, 2, 3], "probabilities": [0.8, 0.19, 0.01]}}
    sweeps = [controller(tmp_path, method, agent=agent, parameters=few) for _ in range(4)]
    running = [sweeps[number % 4].ask() for number in range(12)]
    points = [tuple(asked[1].params.values()) for asked in running if asked]
    assert len(points) == 12
    assert len(set(points)) >= 11  # the rarest of all may take more draws than are made
    repeated = sweeps[0].ask()
    assert repeated is not None
    assert tuple(repeated[1].params.values()) in {(a, b) for a in few["a"]["values"] for b in few["b"]["values"]}
    assert any("points repeat" in note for sweep in sweeps for note in sweep.chooser.notes)
