"""The search space as Optuna sees it, and back: sweep parameters ↔ Optuna distributions."""

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
from optuna.trial import FrozenTrial, Trial

from ..spec.parameter import Parameter, active, equality_key

LISTED = ("categorical", "categorical_w_probabilities")


def direction_of(goal: str) -> StudyDirection:
    """Returns Optuna's direction for `maximize` or `minimize`."""
    return StudyDirection.MAXIMIZE if goal == "maximize" else StudyDirection.MINIMIZE


class Dimension:
    """One searched parameter. What Optuna lacks (q-, normal, beta, … distributions) it sees as u in [0, 1], of which
    the parameter is the quantile function."""

    def __init__(self, parameter: Parameter, *, listed: bool) -> None:
        self.parameter = parameter
        self.name = parameter.name
        listed = (listed and parameter.distribution != "int_uniform") or parameter.distribution in LISTED
        self.choices: Sequence[Any] = tuple(parameter.choices() or ()) if listed else ()
        self.labels = _labels(self.choices)
        self.latent = False
        self.distribution = self._distribution()

    def _distribution(self) -> BaseDistribution:
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
        self.latent = True
        return FloatDistribution(0.0, 1.0)

    def at(self, u: float) -> Any:
        """Optuna's value at the quantile `u`."""
        return u if self.latent else self.inner(self.parameter.quantile(u))

    def inner(self, value: Any) -> Any:
        """Optuna's value for one of ours. Raises ValueError for one this parameter cannot have."""
        if self.choices:
            wanted = equality_key(value)
            for choice, label in zip(self.choices, self.labels, strict=True):
                if equality_key(choice) == wanted:
                    return label
            raise ValueError(f"{value!r} is none of its values")
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"{value!r} is not a number")
        if self.latent:
            return self._unit(value)
        if isinstance(self.distribution, IntDistribution):
            if value != int(value):
                raise ValueError(f"{value!r} is not a whole number")
            value = int(value)
        assert isinstance(self.distribution, IntDistribution | FloatDistribution)
        if not self.distribution.low <= value <= self.distribution.high:
            raise ValueError(f"{value!r} is not in {self.distribution.low:g} … {self.distribution.high:g}")
        return value if isinstance(value, int) and isinstance(self.distribution, IntDistribution) else float(value)

    def _unit(self, value: float) -> float:
        """The u in [0, 1] of which `value` is the quantile, by halving: the quantile function only grows."""
        quantile = self.parameter.quantile
        low, high = 0.0, 1.0
        first, last = quantile(low), quantile(high)
        near = 1e-6 * max(abs(value), abs(last - first) * 1e-6)
        if not first - near <= value <= last + near:
            raise ValueError(f"{value!r} is not in {first:g} … {last:g}")
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if quantile(middle) < value else (low, middle)
        # Of a quantised value, the middle of the interval that gives it.
        start, (low, high) = high, (high, 1.0)
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if quantile(middle) <= quantile(start) else (low, middle)
        u = (start + low) / 2
        if abs(quantile(u) - value) > max(near, 1e-6 * abs(value)):
            near_by = min(quantile(max(0.0, start - 1e-9)), quantile(u), key=lambda other: abs(other - value))
            raise ValueError(f"{value!r} is no value of it; the nearest is {near_by:g}")
        return u

    def outer(self, inner: Any) -> Any:
        """Our value for one of Optuna's."""
        if self.latent:
            return self.parameter.quantile(float(inner))
        if self.choices:
            return self.choices[self.labels.index(inner)]
        return inner

    def suggest(self, trial: Trial) -> Any:
        """Lets the study's sampler choose; returns our value."""
        distribution = self.distribution
        if isinstance(distribution, CategoricalDistribution):
            return self.outer(trial.suggest_categorical(self.name, distribution.choices))
        if isinstance(distribution, IntDistribution):
            return self.outer(trial.suggest_int(self.name, distribution.low, distribution.high))
        assert isinstance(distribution, FloatDistribution)
        return self.outer(trial.suggest_float(self.name, distribution.low, distribution.high, log=distribution.log))


def _label(value: Any) -> CategoricalChoiceType:
    """Optuna's categories are scalars; anything else is stored as its JSON text."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return json.dumps(value, sort_keys=True, default=str)


def _labels(choices: Sequence[Any]) -> list[CategoricalChoiceType]:
    """A category for each choice; their JSON texts where Optuna, to which 1 and true are equal, would mix two up."""
    labels = [_label(choice) for choice in choices]
    if len(set(labels)) == len(labels):
        return labels
    return [json.dumps(choice, sort_keys=True, default=str) for choice in choices]


class Space:
    """All parameters of a sweep."""

    def __init__(self, parameters: Sequence[Parameter], *, listed: bool = False) -> None:
        """`listed`: every parameter is one of listed values (grid search)."""
        self.parameters = tuple(parameters)
        self.dimensions = {p.name: Dimension(p, listed=listed) for p in parameters if p.distribution != "constant"}

        self.distributions: dict[str, BaseDistribution] = {
            name: dimension.distribution for name, dimension in self.dimensions.items()
        }
        self._conditional = any(parameter.parent for parameter in parameters)

    def inner(self, point: Mapping[str, Any]) -> dict[str, Any]:
        """Optuna's values of a point of ours. Raises ValueError for a value a parameter cannot have."""
        return {name: dimension.inner(point[name]) for name, dimension in self.dimensions.items() if name in point}

    def at(self, units: Mapping[str, float]) -> dict[str, Any]:
        """Optuna's values of the point at these quantiles."""
        return {name: dimension.at(units[name]) for name, dimension in self.dimensions.items()}

    def outer(self, inner: Mapping[str, Any]) -> dict[str, Any]:
        """The point Optuna's values stand for, constants included and inactive parameters left out."""
        point = {
            item.name: self.dimensions[item.name].outer(inner[item.name]) if item.name in inner else item.value
            for item in self.parameters
            if item.name in inner or item.distribution == "constant"
        }
        return active(self.parameters, point) if self._conditional else point

    def levels(self) -> list[list[str]]:
        """The searched parameters, those that depend on others after these."""
        declared = {parameter.name: parameter for parameter in self.parameters}

        def depth(parameter: Parameter) -> int:
            return 0 if parameter.parent is None else 1 + depth(declared[parameter.parent])

        levels: dict[int, list[str]] = {}
        for parameter in self.parameters:
            if parameter.name in self.dimensions:
                levels.setdefault(depth(parameter), []).append(parameter.name)
        return [levels[level] for level in sorted(levels)]

    def active_group(self, names: Sequence[str], chosen: Mapping[str, Any]) -> dict[str, BaseDistribution]:
        """Of these parameters, the active ones at Optuna's values chosen so far."""
        if not self._conditional:
            return {name: self.distributions[name] for name in names}
        found = active(self.parameters, {**self.outer(chosen), **dict.fromkeys(names)})
        return {name: self.distributions[name] for name in names if name in found}

    def suggest(self, trial: Trial) -> dict[str, Any]:
        """A point chosen by the study's sampler; parameters whose condition does not hold are left out."""
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


class Completer(BaseSampler):
    """Gives what a waiting trial leaves open: the values random search has for its number."""

    def __init__(self, space: Space, random: Callable[[int], dict[str, Any]]) -> None:
        self._space, self._random = space, random

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self._space.distributions

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self._random(trial.number)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._space.dimensions[param_name].at(0.5)
