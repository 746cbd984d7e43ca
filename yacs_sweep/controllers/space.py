"""The search space as Optuna sees it, and back: sweep parameters ↔ Optuna distributions."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalChoiceType,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import Trial

from ..parameter import Parameter, active

LISTED = ("categorical", "categorical_w_probabilities")


class Dimension:
    """One searched parameter. What Optuna lacks (q-, normal, beta, … distributions) it sees as u in [0, 1], of which
    the parameter is the quantile function."""

    def __init__(self, parameter: Parameter, *, listed: bool) -> None:
        self.parameter = parameter
        self.name = parameter.name
        self.choices: Sequence[Any] = tuple(parameter.choices() or ()) if listed or parameter.distribution in LISTED else ()
        self.latent = False
        self.distribution = self._distribution()

    def _distribution(self) -> BaseDistribution:
        parameter = self.parameter
        if self.choices:
            return CategoricalDistribution([_label(choice) for choice in self.choices])
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
        """Optuna's value for one of ours; not for latent dimensions."""
        return _label(value) if self.choices else value

    def outer(self, inner: Any) -> Any:
        """Our value for one of Optuna's."""
        if self.latent:
            return self.parameter.quantile(float(inner))
        if self.choices:
            return next(choice for choice in self.choices if _same(_label(choice), inner))
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


def _same(left: Any, right: Any) -> bool:
    return left == right and isinstance(left, bool) == isinstance(right, bool)


class Space:
    """All parameters of a sweep."""

    def __init__(self, parameters: Sequence[Parameter], *, listed: bool = False) -> None:
        """`listed`: every parameter is one of listed values (grid search)."""
        self.parameters = tuple(parameters)
        self.dimensions = {p.name: Dimension(p, listed=listed) for p in parameters if p.distribution != "constant"}

    @property
    def distributions(self) -> dict[str, BaseDistribution]:
        return {name: dimension.distribution for name, dimension in self.dimensions.items()}

    def inner(self, point: Mapping[str, Any]) -> dict[str, Any]:
        """Optuna's values of a point whose parameters can all be listed (a grid point)."""
        return {name: dimension.inner(point[name]) for name, dimension in self.dimensions.items() if name in point}

    def at(self, units: Mapping[str, float]) -> dict[str, Any]:
        """Optuna's values of the point at these quantiles."""
        return {name: dimension.at(units[name]) for name, dimension in self.dimensions.items()}

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
