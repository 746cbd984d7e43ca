"""Perturbs a point: each parameter as its distribution is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from ...base.values import finite_number
from ...spec import distributions
from ...spec.methods.population import Population
from ...spec.parameter import Parameter, equality_key
from ...spec.sweep import SweepSpec
from ..space import LISTED, Dimension

DRAWS = 200  # of one point, until its parameters stay as they are
TAIL = 1e-3  # of the draws of a distribution without bounds that lie below, and above, the values that are moved to


class Explorer:
    """Perturbs points of one sweep.

    A parameter is drawn again with the chance `resample`. Otherwise one of the factors `perturb` is drawn: on a logarithmic
    scale the value is multiplied by it, on another scale it moves by as large a share of its range (20 % for 0.8 and 1.2). A
    whole or quantised number moves by one step at least, a number of a list to its neighbour; words stay. Bounds,
    conditions and inactive parameters are kept.
    """

    def __init__(self, spec: SweepSpec, population: Population) -> None:
        self.spec, self.settings = spec, population
        self._dimensions = {
            item.name: Dimension(item, listed=False) for item in spec.parameters if item.distribution != "constant"
        }

    def __call__(self, params: Mapping[str, Any], random: Random) -> dict[str, Any]:
        """Returns a perturbed point that satisfies the sweep's conditions; the point itself where none is found."""
        for _ in range(DRAWS):
            values = {item.name: self._value(item, params, random) for item in self.spec.parameters}
            found = self.spec.active(values)
            if self.spec.allows(found):
                return found
        return dict(params)

    def _value(self, parameter: Parameter, params: Mapping[str, Any], random: Random) -> Any:
        """Returns a parameter's next value; one that was inactive is drawn."""
        again, factor = random.random() < self.settings.resample, random.choice(self.settings.perturb)
        drawn = parameter.quantile(random.random())
        if parameter.distribution == "constant" or parameter.name not in params or again:
            return drawn
        return moved(self._dimensions[parameter.name], params[parameter.name], factor)


def moved(dimension: Dimension, value: Any, factor: float) -> Any:
    """Moves a value of a parameter by a factor, within its bounds."""
    parameter = dimension.parameter
    up = factor > 1
    if parameter.distribution in LISTED:
        return _neighbour(dimension.choices, value, up=up)
    edge = 0.0 if "min" in distributions.KEYS[parameter.distribution] else TAIL
    low, high = parameter.quantile(edge), parameter.quantile(1.0 - edge)
    if "log" in parameter.distribution:
        target = value * factor
    else:
        target = parameter.quantile(min(1.0 - edge, max(edge, dimension.unit(value) + factor - 1)))
    step = 1 if parameter.distribution == "int_uniform" else parameter.q
    if step is not None:
        size = int(step) if isinstance(value, int) else step
        target = distributions.quantise(target, size)
        if target == value:
            target = distributions.quantise(value + (size if up else -size), size)
    return min(high, max(low, target))


def _neighbour(choices: Sequence[Any], value: Any, *, up: bool) -> Any:
    """Returns the next larger or smaller number of a list; the value itself at an end, and where not all are numbers."""
    if not all(finite_number(choice) for choice in choices):
        return value
    ordered = sorted(choices)
    place = next((at for at, choice in enumerate(ordered) if equality_key(choice) == equality_key(value)), None)
    if place is None:
        return value
    return ordered[min(len(ordered) - 1, max(0, place + (1 if up else -1)))]
