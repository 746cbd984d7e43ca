"""Distributions sample what W&B's own engine samples."""

from __future__ import annotations

import itertools
import json
import math
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from yacs_sweep.base.errors import ConfigError
from yacs_sweep.spec import distributions
from yacs_sweep.spec.distributions import beta_quantile, index, quantile, regularised_beta, weighted_index
from yacs_sweep.spec.parameter import Parameter
from yacs_sweep.spec.read_sweep import sweep_from_dict

ENGINE = json.loads((Path(__file__).parent / "data" / "wandb_engine.json").read_text(encoding="utf-8"))
# The engine refuses these; here their meaning is plain enough to take.
TAKEN_ALTHOUGH_REFUSED = {"categorical_prob_named_categorical", "int_uniform_float_bounds"}


def parameter(config: dict[str, Any]) -> Parameter:
    return sweep_from_dict({"method": "random", "parameters": {"p": config}}).parameters[0]


def close(found: Any, expected: Any) -> bool:
    if isinstance(expected, float):
        return math.isclose(found, expected, rel_tol=1e-10, abs_tol=1e-15)
    return bool(found == expected)


@pytest.mark.parametrize("case", ENGINE["distributions"], ids=lambda case: case["id"])
def test_as_the_engine(case: dict[str, Any]) -> None:
    accepted = case["engine"] and case["id"] != "categorical_prob_not_sum_1"  # its own schema refuses that one
    if not accepted and case["id"] not in TAKEN_ALTHOUGH_REFUSED:
        with pytest.raises(ConfigError):
            parameter(case["config"])
        return
    found = parameter(case["config"])
    for u, expected in case.get("quantiles", []):
        assert close(found.quantile(u), expected), u
    for u, expected in zip(ENGINE["uniforms"], case.get("first_5", []), strict=False):
        assert close(found.quantile(u), expected), u
    if "type" in case:
        numbers = [number for key, number in found.numbers().items() if key != "q"]
        whole = found.q == 1 and all(type(number) is int for number in numbers)  # the engine's are whole, too: 68.0
        assert (
            type(found.quantile(0.3)).__name__ == ("int" if whole else case["type"])
            or case["id"] == "categorical_mixed"
        )


def test_the_figures_cover_every_distribution() -> None:
    named = {
        parameter(case["config"]).distribution
        for case in ENGINE["distributions"]
        if case["engine"] and case["id"] != "categorical_prob_not_sum_1"
    }
    from yacs_sweep.spec.distributions import KEYS

    assert named == set(KEYS)


def test_weighted_choice_has_its_shares() -> None:
    found = parameter({"values": ["a", "b", "c"], "probabilities": [0.5, 0.0, 0.5]})
    drawn = Counter(found.quantile(number / 1000) for number in range(1000))
    assert drawn["b"] == 0
    assert abs(drawn["a"] - 500) <= 1


def test_integers_are_equally_likely_and_stay_inside() -> None:
    found = parameter({"min": -2, "max": 2})
    drawn = Counter(found.quantile((number + 0.5) / 1000) for number in range(1000))
    assert drawn == {-2: 200, -1: 200, 0: 200, 1: 200, 2: 200}
    assert found.quantile(0.0) == -2
    assert found.quantile(1.0 - 2**-53) == 2


@pytest.mark.parametrize(
    "config",
    [
        {"distribution": "log_uniform_values", "min": 1e-5, "max": 0.1},
        {"distribution": "inv_log_uniform_values", "min": 1e-5, "max": 0.1},
        {"distribution": "uniform", "min": 0.1, "max": 0.7},
    ],
)
def test_bounds_hold_to_the_last_digit(config: dict[str, Any]) -> None:
    found = parameter(config)
    for u in (0.0, 1e-17, 0.5, 1.0 - 2**-53):
        assert config["min"] <= found.quantile(u) <= config["max"]
    assert found.type_samples() == (config["min"], config["max"])


@pytest.mark.parametrize("name", ["normal", "log_normal", "q_normal", "q_log_normal"])
def test_unbounded_distributions_stay_finite(name: str) -> None:
    found = parameter({"distribution": name, "mu": 3, "sigma": 200})
    assert all(math.isfinite(found.quantile(u)) for u in (0.0, 1e-300, 1.0 - 2**-53))


def test_quantised_values_are_whole_numbers_where_q_or_the_bounds_are() -> None:  # D13
    whole = parameter({"distribution": "q_log_uniform_values", "min": 16, "max": 512, "q": 8})
    drawn = [whole.quantile(number / 100) for number in range(100)]
    assert all(type(value) is int and value % 8 == 0 for value in drawn)

    def kinds(**described: Any) -> set[str]:
        found = parameter({"distribution": "q_uniform", **described})
        return {type(found.quantile(number / 20)).__name__ for number in range(21)}

    assert kinds(min=32, max=128) == kinds(min=32, max=128, q=8.0) == kinds(min=0.0, max=8.0, q=2) == {"int"}
    assert kinds(min=32.0, max=128.0) == kinds(min=0, max=1, q=0.1) == {"float"}
    assert kinds(distribution="q_normal", mu=64, sigma=16) == kinds(distribution="q_normal", mu=64) == {"int"}
    assert kinds(distribution="q_log_uniform_values", min=16, max=256) == {"int"}


@pytest.mark.parametrize(("a", "b"), [(1, 3), (4, 1), (1, 1)])
def test_beta_has_its_closed_forms(a: float, b: float) -> None:
    for u in (1e-6, 0.1, 0.5, 0.9, 1 - 1e-6):
        exact = u ** (1 / a) if b == 1 else 1 - (1 - u) ** (1 / b)
        assert math.isclose(beta_quantile(a, b, u), exact, rel_tol=1e-9)


def test_beta_quantile_inverts_its_cdf() -> None:
    source = random.Random(3)
    for _ in range(300):
        a, b, u = 10 ** source.uniform(-1, 2.5), 10 ** source.uniform(-1, 2.5), source.uniform(0.01, 0.99)
        x = beta_quantile(a, b, u)
        assert 0 <= x <= 1
        # Where the density is so steep that neighbouring floats differ in u, x is one of them.
        around = [regularised_beta(a, b, y) for y in (math.nextafter(x, 0), x, math.nextafter(x, 1))]
        assert min(around) - 1e-9 <= u <= max(around) + 1e-9, (a, b, u)


def test_beta_is_symmetric() -> None:
    assert math.isclose(beta_quantile(2.5, 2.5, 0.5), 0.5, rel_tol=1e-12)
    assert math.isclose(beta_quantile(0.5, 3, 0.2), 1 - beta_quantile(3, 0.5, 0.8), rel_tol=1e-9)


@pytest.mark.parametrize(
    ("a", "b", "u", "expected"),
    [
        (2.5, 2.5, 0.3, 0.3786479422654),
        (0.5, 0.5, 0.25, 0.1464466094067),
        (3, 0.5, 0.8, 0.988445511852),
        (0.3, 7, 0.1, 4.863763690529e-05),
        (40, 60, 0.999, 0.5538117580359),
        (0.1, 0.2, 0.01, 4.398874754194e-19),
        (150, 2, 0.05, 0.9689704688067),
        (1.5, 300, 0.5, 0.003932258167179),
        (5, 5, 1e-09, 0.006048968085641),
        (800, 1200, 0.25, 0.392592777166),
        (0.05, 3, 0.9, 0.02957327651525),
        (12, 1, 0.3, 0.904537905784),
    ],
)
def test_beta_has_the_quantiles_that_scipy_finds(a: float, b: float, u: float, expected: float) -> None:
    """By `scipy.special.betaincinv` of SciPy 1.17, to thirteen digits."""
    assert math.isclose(beta_quantile(a, b, u), expected, rel_tol=2e-12)
    assert math.isclose(regularised_beta(a, b, expected), u, rel_tol=1e-10)


@pytest.mark.parametrize(("x", "below"), [(-0.5, 0.0), (0.0, 0.0), (1.0, 1.0), (1.5, 1.0)])
def test_nothing_of_beta_lies_outside_of_its_bounds(x: float, below: float) -> None:
    for a, b in ((2, 3), (1, 10), (10, 1), (300, 2), (0.5, 0.5)):
        assert regularised_beta(a, b, x) == below
        assert beta_quantile(a, b, x) == below


def test_a_beta_quantile_takes_few_evaluations_of_the_cdf(monkeypatch: pytest.MonkeyPatch) -> None:
    """Halving alone takes more than 50; 22 on average were measured."""
    calls = []

    def counted(a: float, b: float, x: float) -> float:
        calls.append(x)
        return regularised_beta(a, b, x)

    monkeypatch.setattr(distributions, "regularised_beta", counted)
    source = random.Random(5)
    for _ in range(300):
        beta_quantile(10 ** source.uniform(-0.3, 1.3), 10 ** source.uniform(-0.3, 1.3), source.random())
    assert len(calls) < 300 * 30


def test_a_choice_at_a_border_is_the_one_below_it() -> None:
    assert [index(u, 4) for u in (0.0, 0.25, 0.250001, 0.5, 1.0)] == [0, 0, 1, 1, 3]
    assert [weighted_index(u, (0.25, 0.75)) for u in (0.0, 0.25, 0.250001, 1.0)] == [0, 0, 1, 1]
    assert index(1.0, 2**53 + 3) == 2**53 + 2  # 2 ** 53 + 3 is no float; the next one is larger


def test_a_choice_without_probability_is_never_made() -> None:
    assert weighted_index(0.0, (0.0, 1.0, 0.0)) == 1
    tenths = (0.1,) * 10
    assert [*itertools.accumulate(tenths)][-1] < 1.0  # sum() rounds otherwise from Python 3.12 on
    assert weighted_index(1.0, (*tenths, 0.0)) == 9


def test_the_ends_of_unbounded_distributions_are_those_of_the_smallest_step() -> None:
    """2 ** -53 of a normal distribution lies below -8.2095 standard deviations."""
    numbers = {"mu": 1.0, "sigma": 2.0}
    assert quantile("normal", numbers, 0.0) == pytest.approx(1 - 2 * 8.2095362, rel=1e-6)
    assert quantile("normal", numbers, 1.0) == pytest.approx(1 + 2 * 8.2095362, rel=1e-6)
    assert quantile("log_normal", {"mu": 0.0, "sigma": 100.0}, 1.0) == pytest.approx(1.0142320547350045e304)
