"""Tests population-based training: who is replaced by whom, how points are perturbed, and simulated sweeps."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.simulator import Faults, Simulator
from yacs_sweep.search.promotion.explore import Explorer
from yacs_sweep.search.promotion.pbt import Pbt
from yacs_sweep.search.promotion.scheduler import Fork, New, Resume, TrialView, Wait
from yacs_sweep.search.space import Space
from yacs_sweep.spec.methods.population import Population
from yacs_sweep.spec.read_sweep import sweep_from_dict
from yacs_sweep.spec.sweep import SweepSpec


def doubled(params: Mapping[str, Any], source: random.Random) -> dict[str, Any]:
    return {"x": 2 * params.get("x", 1)}


def pbt(population: int = 4, interval: int = 2, max_iter: int = 10, **more: Any) -> Pbt:
    return Pbt(
        population, interval, max_iter, **{"goal": "minimize", "quantile": 0.25, "seed": 0, "explore": doubled, **more}
    )


def paused(number: int, *values: float, until: int | None = None, **more: Any) -> TrialView:
    return TrialView(number, values, "paused", until or len(values), **more)


FOUR = [paused(number, 9.0, float(number), params={"x": number}) for number in range(4)]


# -- who is replaced by whom ------------------------------------------------------------------------------------------


def test_members_start_before_any_continues() -> None:
    assert pbt().next([], 4) == New(2)
    assert pbt().next(FOUR[:3], 1) == New(2)
    assert pbt().next(FOUR[:3], None) == New(2)  # counted by the scheduler itself


def test_the_worst_is_replaced_by_a_perturbed_copy_of_the_best() -> None:
    assert pbt(quantile=0.5).next(FOUR, 0) in (Fork(0, 2, {"x": 0}, 4), Fork(1, 2, {"x": 2}, 4))
    scheduler = pbt()
    assert scheduler.next(FOUR, 0) == Resume(1, 4)  # neither among the best nor among the worst
    rest = [FOUR[0], TrialView(1, (9.0, 1.0), "running", 4), TrialView(2, (9.0, 2.0), "running", 4), FOUR[3]]
    assert scheduler.next(rest, 0) == Fork(0, 3, {"x": 0}, 4)
    heir = TrialView(4, (), "running", 4, {"x": 0}, 0, 2)
    ended = TrialView(3, (9.0, 3.0), "ended", 2)
    assert scheduler.next([*rest[:3], ended, heir], 0) == Resume(0, 4)  # its checkpoint has been copied


def test_the_largest_is_the_best_of_a_goal_to_maximize() -> None:
    rest = [FOUR[0], *(TrialView(n, (9.0, float(n)), "running", 4) for n in (1, 2)), FOUR[3]]
    assert pbt(goal="maximize").next(rest, 0) == Fork(3, 0, {"x": 6}, 4)


def test_a_member_waits_until_its_fate_is_certain() -> None:
    late = TrialView(3, (9.0,), "running", 2)
    assert pbt().next([FOUR[0], late], 0) == Wait()
    assert pbt().next([*FOUR[:3], late], 0) == Resume(1, 4)  # one is better, one is worse
    running = [TrialView(1, FOUR[1].values, "running", 4)]
    assert pbt().next([FOUR[0], *running, FOUR[2], late], 0) == Wait()  # the last may be better, or worse


def test_a_member_whose_fate_is_certain_does_not_pause() -> None:
    def asked(value: float, *others: TrialView) -> int | None:
        own = TrialView(9, (9.0, value), "running", 2)
        return pbt(population=3).runs_on(9, [*others, own])

    assert asked(1.5, FOUR[1], FOUR[2]) == 4
    assert asked(0.5, FOUR[1], FOUR[2]) == 2  # the best, and the worst needs a copy
    assert asked(2.5, FOUR[1], FOUR[2]) == 2
    assert asked(1.5, FOUR[1]) == 2  # the third is to come


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_not_finite_is_the_worst_and_never_copied(bad: float) -> None:
    trials = [paused(0, 1.0, bad), *(TrialView(n, (1.0, float(n)), "running", 4) for n in (1, 2)), paused(3, 1.0, 5.0)]
    assert pbt().next(trials, 0) == Resume(0, 4)  # the best, 1, has gone on: nothing to copy
    trials[1] = paused(1, 1.0, 0.0)
    assert pbt().next(trials, 0) == Fork(1, 0, {"x": 2}, 4)
    assert pbt(population=2).next([paused(0, 1.0, bad), paused(1, 1.0, bad)], 0) == Resume(1, 4)


def test_failed_members_are_not_waited_for() -> None:
    failed = TrialView(3, (9.0,), "ended", 2, failed=True)
    trials = [FOUR[0], TrialView(1, FOUR[1].values, "running", 4), FOUR[2], failed]
    assert pbt().next(trials, 0) == Fork(0, 2, {"x": 0}, 4)
    assert pbt().next([failed], 0) is None


def test_a_member_that_came_to_its_end_before_it_paused_is_not_copied() -> None:
    late = paused(0, *[1.0] * 7, 0.0, 0.0, 0.0, until=8)
    worst = paused(1, *[1.0] * 7, 9.0, until=8)
    assert pbt(population=2).next([late, worst], 0) == Resume(1, None)


def test_after_the_last_comparison_members_run_to_their_end() -> None:
    last = [paused(n, *[1.0] * 7, float(n), until=8) for n in range(3)]
    assert pbt().next(last, 0) == Resume(1, None)
    assert [pbt().after(iterations) for iterations in (0, 1, 2, 7, 8, 9)] == [2, 2, 4, 8, None, None]
    assert pbt(interval=3, max_iter=9).after(6) is None


def test_a_member_that_paused_too_early_is_resumed_first() -> None:
    early = TrialView(3, (9.0,), "paused", 2)
    assert pbt().next([*FOUR[:3], early], 0) == Resume(3, 2)


# -- whole sweeps -----------------------------------------------------------------------------------------------------


def simulated(workers: int = 1, seed: int = 0, faults: Faults | None = None, **more: Any) -> Simulator:
    source = random.Random(seed)
    scheduler = pbt(**{"population": 6, "interval": 2, "max_iter": 10, "quantile": 0.3, **more})
    rates = [source.random() for _ in range(2000)]
    speeds = [math.exp(source.gauss(0, 1)) for _ in rates]
    spread = random.Random(seed + 1).random()
    return Simulator(
        scheduler,
        lambda number, point, iteration: math.sin(1e3 * (point["x"] + spread * iteration)),
        scheduler.max_iter,
        scheduler.population,
        workers,
        choose=lambda number, trials: {"x": rates[number]},
        seconds=lambda number: speeds[number],
        faults=faults or Faults(),
        source=source,
    )


def outcome(sweep: Simulator) -> Counter[tuple[float, ...]]:
    return Counter((trial.params["x"], trial.begun_at, *trial.values) for trial in sweep.trials)


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    workers=st.integers(1, 8),
    population=st.integers(2, 9),
    interval=st.integers(1, 5),
    quantile=st.sampled_from([0.1, 0.25, 0.5]),
    fault=st.sampled_from(["fail", "stop", "kill", "relaunch", "late"]),
    chance=st.sampled_from([0.0, 0.03, 0.2]),
)
def test_what_always_holds(
    seed: int, workers: int, population: int, interval: int, quantile: float, fault: str, chance: float
) -> None:
    sweep = simulated(
        workers, seed, Faults(**{fault: chance}), population=population, interval=interval, quantile=quantile
    )
    trials = sweep.run()  # checks each step: no iteration twice, nobody waits for nobody, only paused trials are copied
    forks = [action for action in sweep.actions if isinstance(action, Fork)]
    assert not any(trial.state == "paused" for trial in trials)
    assert len(trials) == population + len(forks)
    assert len({fork.replaces for fork in forks}) == len(forks)
    for fork in forks:
        assert fork.source != fork.replaces
        assert fork.until is None or fork.until % interval == 0
    replaced = {fork.replaces for fork in forks}
    if fault in ("kill", "relaunch", "late") or not chance:  # nobody ends early: the budget is that of a plain sweep
        assert sum(trial.iterations == 10 for trial in trials) == population
        assert all(trial.iterations == 10 for trial in trials if trial.number not in replaced)
        if fault != "late":
            assert sweep.trained == 10 * population
    if not chance and population > 1 and interval < 10:
        assert forks


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), workers=st.integers(2, 8), fault=st.sampled_from(["kill", "relaunch"]))
def test_the_result_does_not_depend_on_workers_speeds_and_kills(seed: int, workers: int, fault: str) -> None:
    one, many = simulated(1, seed), simulated(workers, seed, Faults(**{fault: 0.1}))
    one.run(), many.run()
    assert outcome(one) == outcome(many)


def test_workers_have_work_while_the_last_member_trains() -> None:
    """Of eight members the four in the middle need not wait for the last one, once enough are better and worse."""
    sweep = simulated(8, 3, population=8)
    sweep.run()
    busy = sum(len(trial.values) * sweep.seconds(trial.number) for trial in sweep.trials)
    assert busy <= 8 * sweep.now


# -- how points are perturbed -----------------------------------------------------------------------------------------

PARAMETERS: dict[str, Any] = {
    "rate": {"distribution": "log_uniform_values", "min": 1e-5, "max": 1e-1},
    "drop": {"min": 0.0, "max": 0.5},
    "layers": {"min": 1, "max": 6},
    "width": {"distribution": "q_log_uniform_values", "min": 16, "max": 512, "q": 16},
    "margin": {"distribution": "q_uniform", "min": 0.1, "max": 0.9, "q": 0.1},
    "noise": {"distribution": "normal", "mu": 0, "sigma": 1},
    "scale": {"distribution": "log_normal", "mu": 0, "sigma": 1},
    "old": {"distribution": "log_uniform", "min": -5, "max": 1},
    "odd": {"distribution": "inv_log_uniform_values", "min": 0.01, "max": 1.0},
    "share": {"distribution": "beta", "a": 2, "b": 5},
    "batch": {"values": [16, 32, 64]},
    "optimizer": {"values": ["sgd", "adam"]},
    "momentum": {"min": 0.5, "max": 0.99, "parent": "optimizer", "parent_values": ["sgd"]},
    "fixed": {"value": 7},
}


def spec_of(parameters: dict[str, Any] = PARAMETERS, **more: Any) -> SweepSpec:
    return sweep_from_dict(
        {
            "method": "pbt",
            "metric": {"name": "loss", "goal": "minimize"},
            "parameters": parameters,
            "pbt": {"interval": 2, "max_iter": 10, **more.pop("pbt", {})},
            **more,
        }
    )


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), resample=st.sampled_from([0.0, 0.25, 1.0]), steps=st.integers(1, 4))
def test_perturbed_points_are_points_of_the_sweep(seed: int, resample: float, steps: int) -> None:
    spec = spec_of(where=["layers < width", "rate < 0.09"])
    explore, space = Explorer(spec, Population(2, 10, resample=resample)), Space(spec.parameters)
    source, point = random.Random(seed), spec.random_point(seed, 0)
    for _ in range(steps):
        point = explore(point, source)
        assert spec.allows(point)
        assert point == spec.active(point)
        assert set(point) - {"momentum"} == set(PARAMETERS) - {"momentum"}
        assert ("momentum" in point) == (point["optimizer"] == "sgd")
        back = space.from_optuna(space.to_optuna(point))  # raises for a value that a parameter cannot have
        assert all(
            back[name] == pytest.approx(value, rel=1e-5) if isinstance(value, float) else back[name] == value
            for name, value in point.items()
        )


@pytest.mark.parametrize(
    ("name", "value", "down", "up"),
    [
        ("rate", 0.01, 0.008, 0.012),
        ("rate", 0.095, 0.076, 0.1),
        ("drop", 0.25, 0.15, 0.35),
        ("drop", 0.45, 0.35, 0.5),
        ("layers", 3, 2, 4),
        ("layers", 6, 5, 6),
        ("layers", 1, 1, 2),
        ("width", 32, 16, 48),
        ("width", 256, 208, 304),
        ("margin", 0.5, 0.3, 0.7),
        ("batch", 32, 16, 64),
        ("batch", 64, 32, 64),
        ("optimizer", "adam", "adam", "adam"),
        ("odd", 0.5, 0.4, 0.6),
        ("fixed", 7, 7, 7),
    ],
)
def test_each_parameter_moves_as_its_distribution_is(name: str, value: Any, down: Any, up: Any) -> None:
    spec = spec_of()
    point = {**spec.random_point(0, 0), name: value}
    for factor, expected in ((0.8, down), (1.2, up)):
        found = Explorer(spec, Population(2, 10, resample=0.0, perturb=(factor,)))(point, random.Random(1))
        assert found[name] == (pytest.approx(expected) if isinstance(expected, float) else expected)


def test_a_point_that_cannot_be_perturbed_stays() -> None:
    spec = spec_of({"a": {"values": [1, 2, 3]}}, where=["a == 2"])
    point = {"a": 2}
    assert Explorer(spec, Population(2, 10, resample=0.0))(point, random.Random(0)) == point
