"""Tests that every engine keeps the interface: our own search, Optuna's samplers, Ax where it is installed."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState, create_trial

from yacs_sweep.search.repeats.points import SeededPoints
from yacs_sweep.search.sampling import Chooser
from yacs_sweep.search.schedulers.engine import Engine, Suggestion
from yacs_sweep.search.schedulers.make import scheduler_engine
from yacs_sweep.search.schedulers.own import OwnEngine
from yacs_sweep.search.schedulers.source import SourceError, UserFile
from yacs_sweep.search.space import Space
from yacs_sweep.search.stored import PLACE, POINT, POINT_OF
from yacs_sweep.spec.read_sweep import sweep_from_dict

PARAMETERS: dict[str, Any] = {
    "lr": {"distribution": "log_uniform_values", "min": 1e-5, "max": 1e-1},
    "width": {"min": 1, "max": 9},
    "kind": {"values": ["a", "b"]},
    "epochs": {"value": 3},
}
STUDY = """
import optuna

def make(sweep):
    return optuna.create_study(direction=sweep.config["metric"]["goal"], sampler=SAMPLER)

def space(trial):
    kind = trial.suggest_categorical("kind", ["a", "b"])
    point = {"kind": kind, "lr": trial.suggest_float("rate", 1e-5, 1e-1, log=True), "epochs": 3}
    if kind == "b":
        point["width"] = trial.suggest_int("width", 1, 9)
    return point
"""
CLIENT = """
from ax.api.client import Client
from ax.api.configs import ChoiceParameterConfig, RangeParameterConfig

def make(sweep):
    client = Client()
    client.configure_experiment(parameters=[
        RangeParameterConfig(name="lr", bounds=(1e-5, 1e-1), parameter_type="float", scaling="log"),
        RangeParameterConfig(name="width", bounds=(1, 9), parameter_type="int"),
        ChoiceParameterConfig(name="kind", values=["a", "b"], parameter_type="str", is_ordered=False),
        ChoiceParameterConfig(name="epochs", values=[3], parameter_type="int", is_ordered=True),
    ])
    client.configure_optimization(objective="v")
    client.configure_generation_strategy(method="random_search")
    return client
"""
needs_ax = pytest.mark.skipif(
    importlib.util.find_spec("ax") is None, reason="Ax is not installed: pip install ax-platform"
)
SAMPLERS = {
    "tpe": "optuna.samplers.TPESampler(n_startup_trials=3)",
    "tpe, seeded": "optuna.samplers.TPESampler(seed=7, n_startup_trials=3)",
    "random": "optuna.samplers.RandomSampler()",
    "nsga": "optuna.samplers.NSGAIISampler(population_size=4)",
    "qmc": "optuna.samplers.QMCSampler(seed=1, warn_independent_sampling=False)",
    "brute force": "optuna.samplers.BruteForceSampler()",
}


def own(method: str, seed: int) -> Engine:
    parameters = (
        PARAMETERS if method != "grid" else {"width": {"values": [1, 2, 3, 4, 5, 6, 7, 8, 9]}, "epochs": {"value": 3}}
    )
    spec = sweep_from_dict({"method": method, "metric": {"name": "v", "goal": "maximize"}, "parameters": parameters})
    space = Space(spec.parameters, listed=method == "grid")
    return OwnEngine(Chooser(spec, space, seed), space)


def scheduler(folder: Path, seed: int, text: str | None = None, engine: str = "optuna", **keys: str) -> Engine:
    body: dict[str, Any] = {
        "method": "custom",
        "metric": {"name": "v", "goal": "maximize"},
        "scheduler": {"engine": engine, **({"source": "s.py"} if text else {}), **keys},
        **({} if "search_space" in keys else {"parameters": PARAMETERS}),
    }
    spec = sweep_from_dict(body)
    file = None
    if text is not None:
        (folder / "s.py").write_text(text)
        file = UserFile(folder / "s.py", "s.py")
    return scheduler_engine(spec, Space(spec.parameters), seed, file, "s")


Make = Callable[[int], Engine]
pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
AX = [pytest.param(name, marks=needs_ax) for name in ("ax", "ax, client")]
NAMES = ["own grid", "own random", "own bayes", "default", *SAMPLERS, *AX]


@pytest.fixture(params=NAMES)
def make(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Returns a function that makes the engine of an agent, by the seed."""
    name: str = request.param
    if name.startswith("own "):
        return lambda seed: own(name.removeprefix("own "), seed)
    if name == "default":
        return lambda seed: scheduler(tmp_path, seed)
    if name == "ax":
        return lambda seed: scheduler(tmp_path, seed, engine="ax")
    if name == "ax, client":
        return lambda seed: scheduler(tmp_path, seed, CLIENT, engine="ax", optimizer="make")
    text = STUDY.replace("SAMPLER", SAMPLERS[name])
    if name == "brute force":
        text = text.replace('trial.suggest_float("rate", 1e-5, 1e-1, log=True)', "0.1")
    return lambda seed: scheduler(tmp_path, seed, text, optimizer="make", search_space="space")


def stored(number: int, chosen: Suggestion, state: TrialState, value: float | None = None) -> FrozenTrial:
    """Makes the trial of the storage that a point becomes."""
    trial = create_trial(
        state=state,
        value=value,
        params=dict(chosen.values),
        distributions=dict(chosen.distributions),
        user_attrs=dict(chosen.attributes),
        system_attrs=dict(chosen.kept),
    )
    trial.number = number
    return trial


def quality(params: Any) -> float:
    return float(params.get("width", 0)) + 10 * params.get("lr", 0.0)


def run(agents: list[Engine], count: int) -> list[FrozenTrial]:
    """Lets agents take turns at the trials of one storage, each trial finished before the next."""
    trials: list[FrozenTrial] = []
    for number in range(count):
        engine = agents[number % len(agents)]
        engine.tell(trials)
        chosen = engine.ask(number)
        assert chosen is not None
        trials.append(stored(number, chosen, TrialState.COMPLETE, quality(chosen.params)))
    return trials


def test_points_are_in_the_space(make: Make) -> None:
    engine = make(1)
    engine.tell([])
    assert engine.seen() == 0
    chosen = engine.ask(0)
    assert chosen is not None
    assert set(chosen.params) <= {*PARAMETERS} and chosen.params["epochs"] == 3
    assert set(chosen.values) == set(chosen.distributions)
    assert all(
        chosen.distributions[name]._contains(chosen.distributions[name].to_internal_repr(value))
        for name, value in chosen.values.items()
    )
    assert 1 <= chosen.params.get("width", 1) <= 9 and 1e-5 <= chosen.params.get("lr", 0.1) <= 1e-1
    assert engine.says()
    engine.close()


def test_results_are_seen(make: Make) -> None:
    engine = make(1)
    trials = run([engine], 5)
    engine.tell(trials)
    assert engine.seen() == 5
    failed = stored(5, engine.ask(5) or pytest.fail("no point"), TrialState.FAIL)
    waiting = create_trial(state=TrialState.WAITING)
    waiting.number = 6
    engine.tell([*trials, failed, waiting])
    assert engine.seen() == 5
    assert engine.ask(7) is not None


def test_two_agents_try_different_points(make: Make) -> None:
    trials = run([make(1), make(1)], 8)
    points = {tuple(sorted(trial.params.items())) for trial in trials}
    assert len(points) >= 6  # NSGA-II may try a point again; two agents with the same random numbers would try 4


def test_an_agent_that_comes_later_chooses_as_one_that_was_there(make: Make) -> None:
    there = make(1)
    trials = run([there], 7)
    later = make(1)
    there.tell(trials)
    later.tell(trials)
    first, second = there.ask(7), later.ask(7)
    assert first is not None and second is not None
    assert first.params == second.params


def test_the_seed_decides(make: Make, request: pytest.FixtureRequest) -> None:
    if any(name in request.node.name for name in ("grid", "seeded", "qmc")):
        pytest.skip("the order is fixed, or the user has seeded the sampler")
    first, same, other = (run([make(seed)], 6) for seed in (1, 1, 2))
    assert [trial.params for trial in first] == [trial.params for trial in same]
    assert [trial.params for trial in first] != [trial.params for trial in other]


def test_a_waiting_trial_keeps_its_values(make: Make) -> None:
    engine = make(1)
    engine.tell([])
    chosen = engine.ask(0)
    assert chosen is not None
    study = optuna.create_study()
    study.enqueue_trial(dict(chosen.values))
    assert engine.fill(study.ask()) == chosen.params


def test_a_finite_space_is_exhausted(tmp_path: Path) -> None:
    grid = STUDY.replace(
        "SAMPLER", 'optuna.samplers.GridSampler({"kind": ["a", "b"], "rate": [1e-4], "width": [1, 2]})'
    )
    brute = STUDY.replace("SAMPLER", "optuna.samplers.BruteForceSampler()")
    brute = brute.replace('trial.suggest_float("rate", 1e-5, 1e-1, log=True)', "0.1")
    for text, count in ((grid, 4), (brute, 10)):
        agents = [scheduler(tmp_path, seed, text, optimizer="make", search_space="space") for seed in (1, 2)]
        trials = run(agents, count)
        for engine in agents:
            engine.tell(trials)
            assert engine.ask(count) is None
        points = {tuple(sorted(trial.params.items())) for trial in trials}
        assert len(points) == (3 if text is grid else 10)  # the grid's width does not count where kind is a


def test_draws_of_one_seed_are_independent(tmp_path: Path) -> None:
    engine = scheduler(
        tmp_path,
        1,
        STUDY.replace("SAMPLER", "optuna.samplers.RandomSampler(seed=4)"),
        optimizer="make",
        search_space="space",
    )
    chosen = [engine.ask(number) for number in range(200)]
    kinds = [item.params["kind"] for item in chosen if item is not None]
    assert 70 < kinds.count("a") < 130
    assert len({item.params["lr"] for item in chosen if item is not None}) == 200


def test_what_the_users_study_holds_counts(tmp_path: Path) -> None:
    text = (
        STUDY.replace("SAMPLER", "optuna.samplers.TPESampler(seed=1)")
        + """
def filled(sweep):
    study = make(sweep)
    study.enqueue_trial({"kind": "b", "width": 4, "rate": 0.01})
    study.add_trial(optuna.trial.create_trial(value=3.0, params={"kind": "a"},
        distributions={"kind": optuna.distributions.CategoricalDistribution(["a", "b"])}))
    return study, lambda study: len(study.trials) > 4
"""
    )
    engine = scheduler(tmp_path, 1, text, optimizer="filled", search_space="space")
    assert engine.seen() == 1 and engine.notes == ["the scheduler's study has 1 result to learn from"]
    trials = run([engine], 4)
    assert trials[0].params == {"kind": "b", "width": 4, "rate": 0.01}
    assert trials[1].params != trials[0].params
    engine.tell(trials)
    assert engine.ask(4) is None  # the user's function ends the search


@needs_ax
def test_ax_learns_from_a_restored_storage_with_objectives_and_constraints() -> None:
    spec = sweep_from_dict(
        {
            "method": "custom",
            "metrics": [
                {"name": "val/a", "goal": "maximize", "threshold": 0.1},
                {"name": "ms", "goal": "minimize"},
            ],
            "metric_constraints": ["ms <= 5"],
            "scheduler": {"engine": "ax"},
            "parameters": {
                "x": {"min": 0.0, "max": 1.0},
                "normal": {"distribution": "normal", "mu": 0, "sigma": 1},
                "mixed": {"values": [True, None, "a"]},
                "size": {"values": [64, 8, 32]},
                "fixed": {"value": 3},
            },
        }
    )
    engine = scheduler_engine(spec, Space(spec.parameters), 3, None, "s")
    trials: list[FrozenTrial] = []
    chosen = None
    for number in range(6):
        engine.tell(trials)
        chosen = engine.ask(number)
        assert chosen is not None
        params = chosen.params
        assert params["fixed"] == 3 and params["size"] in (64, 8, 32) and params["mixed"] in (True, None, "a")
        assert dict(engine.recall(params).values) == pytest.approx(dict(chosen.values))
        trial = create_trial(
            values=[params["x"], 3 + 4 * params["x"]],
            params=dict(chosen.values),
            distributions=dict(chosen.distributions),
            system_attrs={"constraints": [4 * params["x"] - 2]},  # what the engine kept is lost with the storage
        )
        trial.number = number
        trials.append(trial)
    assert chosen is not None and dict(chosen.kept) == {"ax": "MBM"}
    engine.tell(trials)
    assert engine.seen() == 6


@needs_ax
def test_points_of_ax_keep_the_conditions_of_the_sweep() -> None:
    body = {"method": "custom", "metric": {"name": "v"}, "scheduler": {"engine": "ax"}, "where": ["width * lr > 0.4"]}
    spec = sweep_from_dict({**body, "parameters": PARAMETERS})
    engine = scheduler_engine(spec, Space(spec.parameters), 3, None, "s")
    for number in range(4):
        chosen = engine.ask(number)
        assert chosen is not None and spec.allows(chosen.params)


def test_what_a_sampler_keeps_with_a_point_is_not_lost_with_repeats(tmp_path: Path) -> None:
    """NSGA-II keeps the generation with a trial; a point's further seeds, and one that is tried again, have none of it."""
    text = STUDY.replace("SAMPLER", "optuna.samplers.NSGAIISampler(seed=1, population_size=2)")
    keys = {"engine": "optuna", "source": "s.py", "optimizer": "make"}
    body = {"method": "custom", "metric": {"name": "v", "goal": "maximize"}, "scheduler": keys, "repeats": 2}
    spec = sweep_from_dict({**body, "parameters": PARAMETERS})
    (tmp_path / "s.py").write_text(text)
    engine = scheduler_engine(spec, Space(spec.parameters), 3, UserFile(tmp_path / "s.py", "s.py"), "s")
    points, generations, number = SeededPoints(spec), [], 0
    for point in range(8):
        engine.tell(points.as_trials())
        chosen = engine.ask(point)
        assert chosen is not None
        generations.append(chosen.kept["NSGAIISampler:generation"])
        for place, again in ((0, None), (0, f"s-{number}"), (1, None)):
            failed = place == 0 and not again
            state = TrialState.FAIL if failed else TrialState.COMPLETE
            trial = stored(number, chosen, state, None if failed else float(point))
            trial.user_attrs = {POINT: point, PLACE: place, **({POINT_OF: again} if again else {})}
            trial.system_attrs = {} if place or again else dict(chosen.kept)
            points.update(trial)
            number += 1
    assert generations == [0, 0, 1, 1, 2, 2, 3, 3]


WIDTHS = {"width": {"min": 1, "max": 9}, "kind": {"values": ["a", "b"]}}
FINITE_SAMPLERS = {
    "optuna.samplers.GridSampler({'width': list(range(1, 10)), 'kind': ['a', 'b']})": 3,
    "optuna.samplers.BruteForceSampler()": 3,
}


def with_where(folder: Path, where: str, sampler: str, space: bool = False) -> Engine:
    """Makes an engine for a sweep with conditions, over `WIDTHS`."""
    text = "import optuna\ndef make(sweep):\n    return optuna.create_study(direction='maximize', sampler=SAMPLER)\n"
    text += "def space(trial):\n    return {'width': trial.suggest_int('width', 1, 9), 'kind': 'a'}\n"
    (folder / "where.py").write_text(text.replace("SAMPLER", sampler))
    keys = {
        "engine": "optuna",
        "source": "where.py",
        "optimizer": "make",
        **({"search_space": "space"} if space else {}),
    }
    body = {"method": "custom", "metric": {"name": "v", "goal": "maximize"}, "scheduler": keys, "where": [where]}
    spec = sweep_from_dict({**body, "parameters": WIDTHS})
    file = UserFile(folder / "where.py", "where.py")
    return scheduler_engine(spec, Space(spec.parameters), 3, file, "s")


@pytest.mark.parametrize("space", [False, True])
@pytest.mark.parametrize("name", ["tpe, seeded", "random", "nsga", "qmc"])
def test_points_of_optuna_keep_the_conditions_of_the_sweep(tmp_path: Path, name: str, space: bool) -> None:
    agents = [with_where(tmp_path, "width < 3", SAMPLERS[name], space) for _ in range(2)]
    trials = run(agents, 20)  # no number is spent on a point that is not tried
    assert {trial.params["width"] for trial in trials} == {1, 2}


@pytest.mark.parametrize(("sampler", "count"), FINITE_SAMPLERS.items())
def test_a_finite_space_is_exhausted_by_the_points_that_keep_the_conditions(
    tmp_path: Path, sampler: str, count: int
) -> None:
    engine = with_where(tmp_path, "kind == 'b' and width > 6", sampler)
    trials = run([engine], count)
    assert {trial.params["width"] for trial in trials} == {7, 8, 9}
    engine.tell(trials)
    assert engine.ask(count) is None


def test_a_point_to_try_first_that_breaks_the_conditions_is_told(tmp_path: Path) -> None:
    text = "import optuna\ndef make(sweep):\n    study = optuna.create_study(direction='maximize')\n"
    text += "    study.enqueue_trial({'width': 9, 'kind': 'a'})\n    return study\n"
    (tmp_path / "first.py").write_text(text)
    body = {
        "method": "custom",
        "metric": {"name": "v", "goal": "maximize"},
        "where": ["width < 9"],
        "parameters": WIDTHS,
    }
    spec = sweep_from_dict({**body, "scheduler": {"engine": "optuna", "source": "first.py", "optimizer": "make"}})
    engine = scheduler_engine(spec, Space(spec.parameters), 3, UserFile(tmp_path / "first.py", "first.py"), "s")
    chosen = engine.ask(0)
    assert chosen is not None and chosen.params["width"] < 9
    assert engine.notes == [
        "the scheduler's study has a point to try first that breaks `where`: {'width': 9, 'kind': 'a'}"
    ]


def test_a_space_of_the_users_without_a_point_that_keeps_the_conditions_is_refused(tmp_path: Path) -> None:
    engine = with_where(tmp_path, "kind == 'b'", SAMPLERS["random"], space=True)
    with pytest.raises(SourceError, match="search_space: no point in 50 draws satisfies where: kind == 'b'"):
        engine.ask(0)
    drawn = with_where(tmp_path, "kind == 'b' and width == 4", SAMPLERS["random"])
    chosen = drawn.ask(0)
    assert chosen is not None and chosen.params == {"width": 4, "kind": "b"}
