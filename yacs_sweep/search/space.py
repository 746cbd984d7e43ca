"""Converts points of a sweep to Optuna's values, and back."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalChoiceType,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler
from optuna.study import Study, StudyDirection
from optuna.trial import FixedTrial, FrozenTrial, Trial

from ..spec.parameter import Parameter, active, equality_key

LISTED = ("categorical", "categorical_w_probabilities")


def direction_of(goal: str) -> StudyDirection:
    """Returns Optuna's direction for `maximize` or `minimize`."""
    return StudyDirection.MAXIMIZE if goal == "maximize" else StudyDirection.MINIMIZE


class Dimension:
    """Converts the values of one searched parameter.

    Optuna sees a distribution that it lacks (quantised, normal, beta, …) as u in [0, 1]; the parameter's value is the
    distribution's quantile at u.
    """

    def __init__(self, parameter: Parameter, *, listed: bool) -> None:
        self.parameter = parameter
        self.name = parameter.name
        listed = (listed and parameter.distribution != "int_uniform") or parameter.distribution in LISTED
        self.choices: Sequence[Any] = tuple(parameter.choices() or ()) if listed else ()
        self.labels = _labels(self.choices)
        self.by_quantile = False
        self.distribution = self._distribution()

    def _distribution(self) -> BaseDistribution:
        """Returns the distribution as Optuna sees it."""
        parameter = self.parameter
        if self.choices:
            return CategoricalDistribution(self.labels)
        if parameter.distribution == "int_uniform":
            assert parameter.min is not None and parameter.max is not None
            return IntDistribution(int(parameter.min), int(parameter.max))
        if parameter.distribution in ("uniform", "log_uniform_values"):
            assert parameter.min is not None and parameter.max is not None
            return FloatDistribution(
                float(parameter.min), float(parameter.max), log=parameter.distribution == "log_uniform_values"
            )
        self.by_quantile = True
        return FloatDistribution(0.0, 1.0)

    def at(self, u: float) -> Any:
        """Returns Optuna's value at the quantile u."""
        return u if self.by_quantile else self.to_optuna(self.parameter.quantile(u))

    def to_optuna(self, value: Any) -> Any:
        """Converts a value of the parameter to Optuna's. Raises ValueError for one the parameter cannot have."""
        if self.choices:
            wanted = equality_key(value)
            for choice, label in zip(self.choices, self.labels, strict=True):
                if equality_key(choice) == wanted:
                    return label
            raise ValueError(f"{value!r} is not one of its values")
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"{value!r} is not a number")
        if self.by_quantile:
            return self.unit(value)
        if isinstance(self.distribution, IntDistribution):
            if value != int(value):
                raise ValueError(f"{value!r} is not a whole number")
            value = int(value)
        assert isinstance(self.distribution, IntDistribution | FloatDistribution)
        if not self.distribution.low <= value <= self.distribution.high:
            raise ValueError(f"{value!r} is not in {self.distribution.low:g} … {self.distribution.high:g}")
        return value if isinstance(value, int) and isinstance(self.distribution, IntDistribution) else float(value)

    def unit(self, value: float) -> float:
        """Finds the u in [0, 1] at which the quantile is `value`, by bisection: the quantile function only grows."""
        quantile = self.parameter.quantile
        low, high = 0.0, 1.0
        first, last = quantile(low), quantile(high)
        near = 1e-6 * max(abs(value), abs(last - first) * 1e-6)
        if not first - near <= value <= last + near:
            raise ValueError(f"{value!r} is not in {first:g} … {last:g}")
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if quantile(middle) < value else (low, middle)
        # A quantised value has an interval of u: its middle.
        start, (low, high) = high, (high, 1.0)
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if quantile(middle) <= quantile(start) else (low, middle)
        u = (start + low) / 2
        if abs(quantile(u) - value) > max(near, 1e-6 * abs(value)):
            near_by = min(quantile(max(0.0, start - 1e-9)), quantile(u), key=lambda other: abs(other - value))
            raise ValueError(f"{value!r} is not a value it can take; the nearest is {near_by:g}")
        return u

    def from_optuna(self, value: Any) -> Any:
        """Converts a value of Optuna's to the parameter's."""
        if self.by_quantile:
            return self.parameter.quantile(float(value))
        if self.choices:
            return self.choices[self.labels.index(value)]
        return value

    def suggest(self, trial: Trial | FixedTrial) -> Any:
        """Lets the study's sampler choose; returns the parameter's value."""
        distribution = self.distribution
        if isinstance(distribution, CategoricalDistribution):
            return self.from_optuna(trial.suggest_categorical(self.name, distribution.choices))
        if isinstance(distribution, IntDistribution):
            return self.from_optuna(trial.suggest_int(self.name, distribution.low, distribution.high))
        assert isinstance(distribution, FloatDistribution)
        return self.from_optuna(
            trial.suggest_float(self.name, distribution.low, distribution.high, log=distribution.log)
        )


def _label(value: Any) -> CategoricalChoiceType:
    """Returns Optuna's category for a value: a scalar as it stands, anything else as JSON text."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return json.dumps(value, sort_keys=True, default=str)


def _labels(choices: Sequence[Any]) -> list[CategoricalChoiceType]:
    """Returns a category for each choice; JSON texts where Optuna would mix two up, such as 1 and true."""
    labels = [_label(choice) for choice in choices]
    if len(set(labels)) == len(labels):
        return labels
    return [json.dumps(choice, sort_keys=True, default=str) for choice in choices]


class Space:
    """Converts points of a sweep: all parameters together."""

    def __init__(self, parameters: Sequence[Parameter], *, listed: bool = False) -> None:
        """`listed`: every parameter is categorical, as on a grid."""
        self.parameters = tuple(parameters)
        self.dimensions = {p.name: Dimension(p, listed=listed) for p in parameters if p.distribution != "constant"}

        self.distributions: dict[str, BaseDistribution] = {
            name: dimension.distribution for name, dimension in self.dimensions.items()
        }
        self._conditional = any(parameter.parent for parameter in parameters)

    def to_optuna(self, point: Mapping[str, Any]) -> dict[str, Any]:
        """Converts a point to Optuna's values. Raises ValueError for a value a parameter cannot have."""
        return {name: dimension.to_optuna(point[name]) for name, dimension in self.dimensions.items() if name in point}

    def at(self, units: Mapping[str, float]) -> dict[str, Any]:
        """Returns Optuna's values of the point at these quantiles."""
        return {name: dimension.at(units[name]) for name, dimension in self.dimensions.items()}

    def from_optuna(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Converts Optuna's values to a point: with constants, without inactive parameters."""
        point = {
            item.name: self.dimensions[item.name].from_optuna(values[item.name]) if item.name in values else item.value
            for item in self.parameters
            if item.name in values or item.distribution == "constant"
        }
        return active(self.parameters, point) if self._conditional else point

    def levels(self) -> list[list[str]]:
        """Groups the searched parameters, so that each group depends on earlier groups only."""
        declared = {parameter.name: parameter for parameter in self.parameters}

        def depth(parameter: Parameter) -> int:
            return 0 if parameter.parent is None else 1 + depth(declared[parameter.parent])

        levels: dict[int, list[str]] = {}
        for parameter in self.parameters:
            if parameter.name in self.dimensions:
                levels.setdefault(depth(parameter), []).append(parameter.name)
        return [levels[level] for level in sorted(levels)]

    def active_group(self, names: Sequence[str], chosen: Mapping[str, Any]) -> dict[str, BaseDistribution]:
        """Returns the distributions of those parameters in `names` that are active at Optuna's values chosen so far."""
        if not self._conditional:
            return {name: self.distributions[name] for name in names}
        found = active(self.parameters, {**self.from_optuna(chosen), **dict.fromkeys(names)})
        return {name: self.distributions[name] for name in names if name in found}

    def suggest(self, trial: Trial | FixedTrial) -> dict[str, Any]:
        """Lets the study's sampler choose a point; inactive parameters are left out."""
        point: dict[str, Any] = {}
        waiting = list(self.parameters)
        while waiting:  # parents before children, in whatever order they were declared
            later = []
            for parameter in waiting:
                if parameter.parent is not None and any(other.name == parameter.parent for other in waiting):
                    later.append(parameter)
                elif parameter.name in active(self.parameters, {**point, parameter.name: None}):
                    dimension = self.dimensions.get(parameter.name)
                    point[parameter.name] = parameter.value if dimension is None else dimension.suggest(trial)
            waiting = later
        return active(self.parameters, point)


class EnqueuedSampler(BaseSampler):
    """Completes an enqueued point by the values that random search has for the trial's number."""

    def __init__(self, space: Space, random: Callable[[int], dict[str, Any]]) -> None:
        """`random`: returns Optuna's values for a trial's number."""
        self._space, self._random = space, random

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Returns all parameters: they are drawn together."""
        return self._space.distributions

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Draws all parameters."""
        return self._random(trial.number)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Returns the median, for a parameter that was not drawn."""
        return self._space.dimensions[param_name].at(0.5)
