"""Tests the Gaussian process against plain formulas, where points are placed, and what its suggestions do."""

from __future__ import annotations

import itertools
import math
import time
from typing import Any

import numpy as np
import pytest
from scipy.optimize import approx_fprime
from scipy.stats import norm

from yacs_sweep.search.models import gp
from yacs_sweep.search.models.acquisition import log_expected_improvement
from yacs_sweep.search.models.cube import INACTIVE, NO_CATEGORY, Cube
from yacs_sweep.search.models.front import boxes, expected_hypervolume_improvement, non_dominated, reference_point
from yacs_sweep.search.models.surrogate import Surrogate, _loss, matern, squared_distances
from yacs_sweep.search.space import Space
from yacs_sweep.spec.read_sweep import sweep_from_dict

PARAMETERS: dict[str, Any] = {
    "rate": {"distribution": "log_uniform_values", "min": 1e-5, "max": 1e-1},
    "margin": {"min": 0.0, "max": 2.0},
    "layers": {"min": 1, "max": 4},
    "batch": {"values": [64, 16, 32]},
    "step": {"distribution": "q_uniform", "min": 0.0, "max": 1.0, "q": 0.25},
    "optimizer": {"values": ["sgd", "adam", "lamb"]},
    "momentum": {"min": 0.5, "max": 0.9, "parent": "optimizer", "parent_values": ["sgd"]},
    "nesterov": {"values": [True, False], "parent": "optimizer", "parent_values": ["sgd"]},
}

NO_THRESHOLD = np.array([math.nan])
SQUARE: dict[str, Any] = {"x": {"min": 0.0, "max": 1.0}, "y": {"min": 0.0, "max": 1.0}}


def space(parameters: dict[str, Any] = PARAMETERS) -> Space:
    return Space(sweep_from_dict({"method": "random", "parameters": parameters}).parameters)


# -- where points are placed ------------------------------------------------------------------------------------------


def test_points_are_placed_in_the_unit_cube_and_found_again() -> None:
    cube = Cube(space())
    point = {"rate": 1e-3, "margin": 0.5, "layers": 2, "batch": 64, "step": 0.5, "optimizer": "sgd"}
    point |= {"momentum": 0.6, "nesterov": False}
    row = cube.place([space().to_optuna(point)])[0]
    assert row == pytest.approx([0.5, 0.25, 0.375, 5 / 6, 0.5, 0, 0.25, 1])  # lists of numbers in their order
    assert space().from_optuna(cube.point(row)) == pytest.approx(point)
    row[5] = 1.0  # adam has neither momentum nor nesterov
    settled = cube.settle(row[None, :])[0]
    assert list(settled[6:]) == [INACTIVE, NO_CATEGORY]
    assert set(cube.point(settled)) == {"rate", "margin", "layers", "batch", "step", "optimizer"}


def test_drawn_places_are_of_points_and_use_every_level() -> None:
    cube = Cube(space())
    rows = cube.draw(np.random.default_rng(1), 400)
    points = [cube.point(row) for row in rows]
    assert cube.place(points) == pytest.approx(rows, abs=1e-9)
    assert np.array_equal(cube.settle(rows), rows)
    seen = [space().from_optuna(point) for point in points]
    assert {point["layers"] for point in seen} == {1, 2, 3, 4}
    assert {point["step"] for point in seen} == {0.0, 0.25, 0.5, 0.75, 1.0}
    assert {point["optimizer"] for point in seen} == {"sgd", "adam", "lamb"}
    assert all(("momentum" in point) == (point["optimizer"] == "sgd") == ("nesterov" in point) for point in seen)


def test_two_numbers_have_no_order_and_truth_values_neither() -> None:
    parameters = {"a": {"values": [1, 2]}, "b": {"values": [True, False, 2]}, "c": {"values": [1, 2, 3]}}
    assert list(Cube(space(parameters)).choices) == [True, True, False]


# -- the model --------------------------------------------------------------------------------------------------------


def observed(count: int, seed: int = 0) -> tuple[Any, Any, Any]:
    random = np.random.default_rng(seed)
    x = random.random((count, 3))
    x[:, 2] = random.integers(0, 3, count)
    y = np.sin(5 * x[:, 0]) + x[:, 1] ** 2 + 0.5 * (x[:, 2] == 1)
    return x, (y - y.mean()) / y.std(), np.array([False, False, True])


def test_gradient_of_the_fit_is_that_of_its_loss() -> None:
    x, y, choices = observed(20)
    apart = squared_distances(x, x, choices).reshape(3, -1)
    shares = np.random.default_rng(1).uniform(0.2, 1.0, 20)
    for theta in ([0.3, -0.5, 1.0, -3.0], [2.0, 1.0, -1.0, -1.0]):
        about = (apart, y, shares, -0.6)
        numeric = approx_fprime(np.array(theta), lambda t, about=about: _loss(t, *about)[0], 1e-6)
        assert _loss(np.array(theta), *about)[1] == pytest.approx(numeric, rel=1e-3, abs=1e-4)


def test_predictions_are_those_of_the_formula() -> None:
    x, y, choices = observed(15)
    model = Surrogate(x, y, choices)
    new = observed(5, seed=2)[0]

    def kernel(one: Any, other: Any) -> Any:
        return matern(np.tensordot(model.weights, squared_distances(one, other, choices), 1))[0]

    inverse = np.linalg.inv(kernel(x, x) + (model.noise + 1e-8) * np.eye(15))
    mean, deviation = model.predict(new)
    assert mean == pytest.approx(model.mean + kernel(new, x) @ inverse @ (y - model.mean), abs=1e-5)
    rest = 1 - np.diag(kernel(new, x) @ inverse @ kernel(x, new))
    assert deviation == pytest.approx(np.sqrt(model.variance * rest), rel=1e-3)
    assert model.predict(x)[0] == pytest.approx(y, abs=0.05)  # values without noise are believed


def test_a_mean_of_more_seeds_is_believed_more() -> None:
    random = np.random.default_rng(0)
    x = np.repeat(np.linspace(0, 1, 12), 2)[:, None]
    y = random.normal(0, 1, 24)
    y[6], y[7] = 2.0, -2.0  # at one place: the first is the mean of more seeds
    counts = np.ones(24)
    counts[6] = 25
    sure = Surrogate(x, y, np.array([False]), counts).predict(x[6:7])[0][0]
    counts[6], counts[7] = 1, 25
    assert sure > Surrogate(x, y, np.array([False]), counts).predict(x[6:7])[0][0] + 1.0
    equal = Surrogate(x, y, np.array([False]), np.full(24, 3.0)).predict(x)[0]
    assert np.array_equal(equal, Surrogate(x, y, np.array([False])).predict(x)[0])


def test_a_running_point_is_no_longer_uncertain() -> None:
    x, y, choices = observed(10)
    model = Surrogate(x, y, choices)
    place = np.array([[0.9, 0.1, 0.0]])
    mean, before = model.predict(place)
    model.imagine(place)
    assert model.predict(place)[0] == pytest.approx(mean, abs=1e-3)
    assert model.predict(place)[1] < 0.2 * before


def test_many_observations_are_fitted_in_bounded_time_and_all_are_predicted_from() -> None:
    x, y, choices = observed(450)
    started = time.process_time()
    model = Surrogate(x, y, choices, seed=3)
    assert time.process_time() - started < 5.0
    assert model.predict(x)[0] == pytest.approx(y, abs=0.1)


# -- what is searched for ---------------------------------------------------------------------------------------------


def test_expected_improvement_is_the_integral_and_its_logarithm_holds_far_out() -> None:
    means, deviation, best = np.array([-1.0, 0.0, 0.5, 2.0]), np.full(4, 0.7), 0.2
    z = (best - means) / deviation
    plain = deviation * (z * norm.cdf(z) + norm.pdf(z))
    assert np.exp(log_expected_improvement(means, deviation, best)) == pytest.approx(plain, rel=1e-9)
    far = log_expected_improvement(np.array([5.0, 20.0, 60.0, 1e6]), np.ones(4), 0.0)
    assert np.isfinite(far).all() and list(far) == sorted(far, reverse=True)
    assert far[2] == pytest.approx(-0.5 * 60**2 - 0.5 * math.log(2 * math.pi) - 2 * math.log(60), abs=1e-2)


@pytest.mark.parametrize("objectives", [2, 3])
def test_expected_hypervolume_is_the_mean_over_draws(objectives: int) -> None:
    random = np.random.default_rng(objectives)
    front = random.random((12, objectives))
    front = front[non_dominated(front)]
    worst = np.full(objectives, 1.1)
    lower, upper = boxes(front, worst)
    grid = random.random((200_000, objectives)) * 1.1  # what no front point dominates has the volume of the boxes
    free = 1 - (front[:, None, :] <= grid[None, :, :]).all(2).any(0).mean()
    box = np.prod(upper - np.maximum(lower, 0.0), 1).sum() / 1.1**objectives
    assert box == pytest.approx(free, abs=0.01)
    mean, deviation = random.random((1, objectives)) * 0.7, np.full((1, objectives), 0.2)
    draws = mean + deviation * random.standard_normal((20_000, objectives))
    added = np.prod(np.maximum(upper[None] - np.maximum(lower[None], draws[:, None, :]), 0.0), 2).sum(1)
    exact = expected_hypervolume_improvement(mean, deviation, lower, upper)[0]
    assert exact == pytest.approx(added.mean(), abs=4 * added.std() / math.sqrt(20_000))


def test_the_front_is_what_brute_force_finds() -> None:
    values = np.random.default_rng(4).integers(0, 5, (30, 2)).astype(float)
    found = {tuple(row) for row in values[non_dominated(values)]}
    brute = {tuple(row) for row in values if not any((other <= row).all() and (other < row).any() for other in values)}
    assert found == brute
    assert non_dominated(values).sum() == len(brute)  # equal rows count once
    assert (reference_point(values[non_dominated(values)], values) > values[non_dominated(values)].max(0)).all()


# -- suggestions ------------------------------------------------------------------------------------------------------


def search(parameters: dict[str, Any], call: Any, trials: int, where: tuple[str, ...] = (), seed: int = 0) -> list[Any]:
    """Suggests points for a function of one value; returns the points."""
    sweep = sweep_from_dict({"method": "random", "parameters": parameters, **({"where": list(where)} if where else {})})
    own = Space(sweep.parameters)
    cube = Cube(own, where)
    points = [own.to_optuna(sweep.random_point(seed, number)) for number in range(4)]
    for number in range(4, trials):
        x = cube.place(points)
        values = np.array([[call(own.from_optuna(point))] for point in points])
        tried = {tuple(sorted(point.items())) for point in points}

        def is_new(row: Any, tried: Any = tried) -> bool:
            point = cube.point(row)
            return tuple(sorted(point.items())) not in tried and sweep.allows(own.from_optuna(point))

        seen = gp.Observations(
            x, values, np.empty((len(x), 0)), np.ones(len(x)), np.empty((0, x.shape[1])), NO_THRESHOLD
        )
        row = gp.suggest(cube, seen, number, is_new)
        assert row is not None
        points.append(cube.point(row))
    return [own.from_optuna(point) for point in points]


def test_conditional_parameters_are_searched_only_where_they_count() -> None:
    def call(point: dict[str, Any]) -> float:
        own = {"sgd": 0.0, "adam": 0.4, "lamb": 0.8}[point["optimizer"]]
        own += 4 * (point["momentum"] - 0.8) ** 2 + 0.1 * point["nesterov"] if point["optimizer"] == "sgd" else 0.0
        return own + (math.log10(point["rate"]) + 3) ** 2 + (point["margin"] - 0.3) ** 2

    points = search(PARAMETERS, call, 35)
    assert all(("momentum" in point) == (point["optimizer"] == "sgd") for point in points)
    assert min(map(call, points)) < 0.05


def test_where_holds_and_a_small_space_is_tried_to_its_last_point() -> None:
    small = {"a": {"values": [1, 2, 3, 4]}, "b": {"values": ["x", "y", "z"]}}
    points = search(small, lambda point: point["a"] + (point["b"] == "y"), 9, ("a < 4",))
    assert {(point["a"], point["b"]) for point in points} == set(itertools.product([1, 2, 3], "xyz"))


def test_values_that_a_constraint_forbids_are_avoided() -> None:
    cube = Cube(space(SQUARE))
    x = np.random.default_rng(0).random((12, 2))
    for _ in range(10):  # the best would be x = 0; x below 0.5 misses the constraint
        seen = gp.Observations(x, x[:, :1], (0.5 - x)[:, :1], np.ones(len(x)), np.empty((0, 2)), NO_THRESHOLD)
        row = gp.suggest(cube, seen, len(x), lambda row: True)
        assert row is not None
        x = np.vstack([x, row])
    assert abs(x[12:, 0] - 0.5).max() < 0.3
    assert 0.5 <= x[x[:, 0] >= 0.5][:, 0].min() < 0.52


def test_a_value_far_off_hides_nothing() -> None:
    plain = gp.compressed(np.array([1.0, 2.0, 3.0, 4.0, 5.0]))
    far = gp.compressed(np.array([1.0, 2.0, 3.0, 4.0, 1e9]))
    assert np.diff(plain)[0] < 4 * np.diff(far)[0]
    assert list(gp.compressed(np.full(4, 7.0))) == [0.0] * 4


def suggested(x: Any, values: Any, thresholds: Any) -> Any:
    """Returns ten suggestions for two objectives, of different seeds."""
    excesses = (values - thresholds)[:, np.isfinite(thresholds)]
    seen = gp.Observations(x, values, excesses, np.ones(len(x)), np.empty((0, 2)), thresholds)
    rows = [gp.suggest(Cube(space(SQUARE)), seen, seed, lambda row: True) for seed in range(10)]
    return np.array(rows)


def test_the_hypervolume_ends_at_the_thresholds() -> None:
    ends = np.array([0.0, 0.15, 0.3, 0.4, 1.0])
    x = np.column_stack([np.repeat(ends, 2), np.tile([0.0, 0.5], 5)])
    values = np.column_stack([x[:, 0], 1 - x[:, 0] + x[:, 1]])
    free = suggested(x, values, np.array([math.nan, math.nan]))
    assert np.median(free[:, 0]) > 0.5  # the widest gap of the front
    held = suggested(x, values, np.array([0.45, math.nan]))
    assert held[:, 0].max() <= 0.45


def test_what_a_predicted_front_dominates_adds_nothing() -> None:
    # A quarter of a circle, whose radius grows with y: its ends were tried with a large radius only.
    x = np.array([[0.0, 1.0], [0.1, 0.8], [0.3, 0.6], [0.5, 0.2], [0.5, 0.6], [0.7, 0.6], [0.9, 0.8], [1.0, 1.0]])
    angle = x[:, 0] * math.pi / 2
    values = (1 + x[:, 1:]) * np.column_stack([np.cos(angle), np.sin(angle)])
    rows = suggested(x, values, np.array([math.nan, math.nan]))
    assert np.median(rows[:, 1]) < 0.2


def test_values_far_beyond_the_front_are_drawn_together_and_others_are_not() -> None:
    scale = gp.compressing(np.array([1.0, 2.0, 3.0, 4.0, 5.0, 12.0, 1e9]), gp.BAD_OF_SEVERAL)
    steps = np.diff(scale(np.array([0.0, 4.0, 8.0, 12.0])))
    assert steps == pytest.approx(steps[0])
    assert scale(np.array([1e9]))[0] == pytest.approx(scale(np.array([1e8]))[0])
    assert math.isnan(scale(np.array([math.nan]))[0])


def test_a_constraint_that_all_miss_alike_is_no_nearer_for_more_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    """The computed deviation of equal numbers is not exactly 0 for some counts, such as 25, and is for others, such as 4."""
    limits = []
    monkeypatch.setattr(gp, "log_probability_below", lambda mean, deviation, limit: limits.append(limit) or mean)
    for count in range(2, 60):
        x, excesses = np.random.default_rng(0).random((count, 2)), np.full((count, 1), 0.1)
        seen = gp.Observations(x, x[:, :1], excesses, np.ones(count), np.empty((0, 2)), NO_THRESHOLD)
        gp._probability_kept(seen, excesses[:, 0], Cube(space(SQUARE)), 0)(x)
    assert limits == pytest.approx([-math.log(2)] * 58)
