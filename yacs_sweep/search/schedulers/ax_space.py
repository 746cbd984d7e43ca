"""Converts points between Ax, Optuna's storage and the trainer: of the sweep file's parameters, or of a user's Ax client."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import Trial

from ..space import Dimension, Space
from .engine import Suggestion
from .own import point_of


class AxSpace(Protocol):
    """Converts the points of one sweep."""

    def to_ax(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Returns Ax's parameters of the point with these values of Optuna's."""

    def suggestion(self, parameters: Mapping[str, Any]) -> Suggestion:
        """Returns the point that Ax has chosen."""

    def fill(self, trial: Trial) -> dict[str, Any]:
        """Completes a waiting trial's values; returns what the trainer is given."""

    def recall(self, params: Mapping[str, Any]) -> Suggestion:
        """Finds the values behind a point that the trainer was given. Raises ValueError where the space has none."""


class FileSpace:
    """Converts points of the sweep file's parameters, of which Ax knows numbers and categories."""

    def __init__(self, space: Space) -> None:
        self.space = space
        searched = [item for item in space.dimensions.values() if not item.distribution.single()]
        self.names = {dimension.name: f"parameter_{place}" for place, dimension in enumerate(searched)}

    def configs(self) -> list[Any]:
        """Describes the parameters to Ax; those with a single value are left out."""
        return [_config(name, self.space.dimensions[own]) for own, name in self.names.items()]

    def to_ax(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Returns Ax's parameters; an inactive one is given its median, since Ax wants all of them."""
        found = {}
        for own, name in self.names.items():
            dimension = self.space.dimensions[own]
            value = values[own] if own in values else dimension.at(0.5)
            found[name] = _category(dimension, value) if dimension.choices else value
        return found

    def suggestion(self, parameters: Mapping[str, Any]) -> Suggestion:
        """Returns the point, without inactive parameters."""
        values = {}
        for own, dimension in self.space.dimensions.items():
            value = parameters[self.names[own]] if own in self.names else dimension.at(0.5)
            values[own] = _label(dimension, value) if own in self.names and dimension.choices else value
        params = self.space.from_optuna(values)
        return point_of(self.space, {name: value for name, value in values.items() if name in params})

    def fill(self, trial: Trial) -> dict[str, Any]:
        """Completes a given point at random."""
        return self.space.suggest(trial)

    def recall(self, params: Mapping[str, Any]) -> Suggestion:
        """Converts a point to the values that Optuna's storage keeps."""
        return point_of(self.space, self.space.to_optuna(params))


def _ordered(dimension: Dimension) -> bool:
    """Tells whether a list of values consists of numbers, so that near ones are alike."""
    return all(isinstance(label, int | float) and not isinstance(label, bool) for label in dimension.labels)


def _category(dimension: Dimension, label: Any) -> Any:
    """Returns Ax's value for a listed value: numbers as they are, others by their place."""
    return float(label) if _ordered(dimension) else str(dimension.labels.index(label))


def _label(dimension: Dimension, value: Any) -> Any:
    """Returns Optuna's category for a value of Ax's."""
    if not _ordered(dimension):
        return dimension.labels[int(value)]
    return next(label for label in dimension.labels if isinstance(label, int | float) and float(label) == value)


def _config(name: str, dimension: Dimension) -> Any:
    """Describes a parameter to Ax."""
    from ax.api.configs import ChoiceParameterConfig, RangeParameterConfig

    kind = dimension.distribution
    if isinstance(kind, CategoricalDistribution):
        ordered = _ordered(dimension)
        values = [_category(dimension, label) for label in dimension.labels]
        return ChoiceParameterConfig(
            name=name,
            values=sorted(values) if ordered else values,
            parameter_type="float" if ordered else "str",
            is_ordered=ordered,
        )
    assert isinstance(kind, FloatDistribution | IntDistribution)
    return RangeParameterConfig(
        name=name,
        bounds=(kind.low, kind.high),
        parameter_type="int" if isinstance(kind, IntDistribution) else "float",
        scaling="log" if kind.log else "linear",
    )


class ClientSpace:
    """Converts points of the experiment that a user's Ax client has: the trainer is given Ax's own parameters."""

    def __init__(self, search_space: Any) -> None:
        """`search_space`: of Ax's experiment."""
        self._space = search_space
        self.distributions: dict[str, BaseDistribution] = {
            name: kind for name, item in search_space.parameters.items() if (kind := _distribution(item)) is not None
        }

    def to_ax(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Returns Ax's parameters, with fixed and derived ones, without those that depend on others' values."""
        found, derived = {}, []
        for name, item in self._space.parameters.items():
            if name in self.distributions:
                if name in values:
                    found[name] = item.cast(values[name])
            elif hasattr(item, "compute"):
                derived.append(item)
            else:
                found[name] = item.value
        for item in derived:
            found[item.name] = item.compute(parameters=found)
        return dict(self._space._cast_parameterization(found)) if self._space.is_hierarchical else found

    def suggestion(self, parameters: Mapping[str, Any]) -> Suggestion:
        """Returns the point that the trainer is given, with the searched parameters as Optuna's values."""
        distributions = {name: kind for name, kind in self.distributions.items() if name in parameters}
        return Suggestion(dict(parameters), {name: parameters[name] for name in distributions}, distributions)

    def fill(self, trial: Trial) -> dict[str, Any]:
        """Completes a given point by the study's sampler."""
        return self.to_ax({name: trial._suggest(name, kind) for name, kind in self.distributions.items()})

    def recall(self, params: Mapping[str, Any]) -> Suggestion:
        """Finds the point. Raises ValueError for one that the experiment has not."""
        if not self._space.check_membership(dict(params)):
            raise ValueError(f"{dict(params)} is not a point of the Ax experiment")
        return self.suggestion(params)


def _distribution(parameter: Any) -> BaseDistribution | None:
    """Returns Optuna's distribution of a parameter of Ax's; None for one that has a single value or is derived."""
    if hasattr(parameter, "lower"):
        whole = parameter.parameter_type.name == "INT"
        if whole:
            return IntDistribution(int(parameter.lower), int(parameter.upper), log=bool(parameter.log_scale))
        return FloatDistribution(float(parameter.lower), float(parameter.upper), log=bool(parameter.log_scale))
    return CategoricalDistribution(parameter.values) if hasattr(parameter, "values") else None
