"""Places points of a sweep in the unit cube, where models compute, and converts them back to Optuna's values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ...base.values import finite_number
from ...spec.parameter import Parameter, equality_key
from ..space import Dimension, Space
from .surrogate import Array

PROBES = 512  # quantiles at which the values of a rounded distribution are looked for
MOST_LEVELS = 64  # values of a rounded distribution, beyond which it counts as continuous
INACTIVE = 0.5  # where an inactive parameter is placed; an inactive category is none of the others
NO_CATEGORY = -1.0

Mask = npt.NDArray[np.bool_]


class Axis:
    """Places one parameter: on a continuous axis, at levels in their order, or as a category.

    A list of different numbers has an order. A category is placed at the index of its value.
    """

    def __init__(self, dimension: Dimension) -> None:
        self.name, self.dimension = dimension.name, dimension
        self.values: list[Any] = []  # Optuna's values of the levels, or categories
        self.levels: Array | None = None  # their places; None: continuous
        self.choice = False
        distribution: Any = dimension.distribution
        self._low, self._high, self._log = 0.0, 1.0, False
        if dimension.choices:
            self._place_choices(dimension)
        elif dimension.by_quantile:
            self._find_levels(dimension)
        else:
            self._low, self._high = float(distribution.low), float(distribution.high)
            self._log = distribution.log
            if self._log:
                self._low, self._high = np.log(self._low), np.log(self._high)
            elif isinstance(distribution.low, int):
                self.values = list(range(distribution.low, distribution.high + 1, distribution.step))
                self.levels = _spaced(len(self.values))
        self._places = {equality_key(value): place for place, value in enumerate(self.values)}

    def _place_choices(self, dimension: Dimension) -> None:
        self.values = list(dimension.labels)
        numbers = [value for value in dimension.choices if finite_number(value) and not isinstance(value, bool)]
        self.choice = len(set(numbers)) < len(self.values) or len(numbers) < 3
        if self.choice:
            self.levels = np.arange(len(self.values), dtype=float)
        else:
            order = sorted(range(len(numbers)), key=lambda place: float(numbers[place]))
            self.values = [self.values[place] for place in order]
            self.levels = _spaced(len(order))

    def _find_levels(self, dimension: Dimension) -> None:
        """Finds the levels of a rounded distribution, each at the middle of its quantiles."""
        quantiles = (np.arange(PROBES) + 0.5) / PROBES
        found: dict[Any, list[float]] = {}
        for u in quantiles:
            found.setdefault(dimension.from_optuna(float(u)), []).append(float(u))
        if len(found) <= MOST_LEVELS:
            self.values = [dimension.to_optuna(value) for value in found]
            self.levels = np.array(self.values)

    def place(self, value: Any) -> float:
        """Places one of Optuna's values."""
        if self.dimension.by_quantile:
            return float(value)
        if self.levels is not None:
            return float(self.levels[self._places[equality_key(value)]])
        return float(((np.log(value) if self._log else value) - self._low) / ((self._high - self._low) or 1.0))

    def value(self, place: float) -> Any:
        """Returns Optuna's value at a place."""
        if self.levels is not None:
            return self.values[int(np.argmin(np.abs(self.levels - place)))]
        if self.dimension.by_quantile:
            return float(place)
        distribution: Any = self.dimension.distribution
        value = self._low + place * (self._high - self._low)
        value = float(np.exp(value)) if self._log else value
        return float(min(distribution.high, max(distribution.low, value)))

    def snap(self, places: Array) -> Array:
        """Moves places to the nearest of the axis."""
        if self.levels is None:
            return np.clip(places, 0.0, 1.0)
        nearest = np.abs(places[:, None] - self.levels).argmin(1)
        return np.asarray(self.levels[nearest])


def _spaced(count: int) -> Array:
    return (np.arange(count) + 0.5) / count


class Cube:
    """Places points: a row for a point, a column for a parameter."""

    def __init__(self, space: Space, where: Sequence[str] = ()) -> None:
        """`where`: conditions that points must satisfy."""
        self.axes = [Axis(dimension) for dimension in space.dimensions.values()]
        self.choices: Mask = np.array([axis.choice for axis in self.axes], dtype=bool)
        self._conditions = _conditions(space, self.axes)
        # Whether a place in hand is likely to have been tried, or not to be allowed.
        self.checked = bool(where) or all(axis.levels is not None for axis in self.axes)

    def place(self, points: Sequence[Mapping[str, Any]]) -> Array:
        """Places points of Optuna's values: shape (points, parameters)."""
        rows = np.empty((len(points), len(self.axes)))
        for column, axis in enumerate(self.axes):
            empty = NO_CATEGORY if axis.choice else INACTIVE
            rows[:, column] = [axis.place(point[axis.name]) if axis.name in point else empty for point in points]
        return rows

    def point(self, row: Array) -> dict[str, Any]:
        """Returns Optuna's values of the active parameters at a place."""
        active = self._active(row[None, :])[0]
        return {
            axis.name: axis.value(float(place))
            for axis, place, is_active in zip(self.axes, row, active, strict=True)
            if is_active
        }

    def draw(self, random: np.random.Generator, count: int) -> Array:
        """Draws places at random, inactive parameters unplaced."""
        return self.settle(random.random((count, len(self.axes))), drawn=True)

    def settle(self, rows: Array, drawn: bool = False) -> Array:
        """Moves rows to places that points can have. `drawn`: categories are uniform in [0, 1), and not indices yet."""
        rows = rows.copy()
        for column, axis in enumerate(self.axes):
            if drawn and axis.choice:
                rows[:, column] = np.floor(rows[:, column] * len(axis.values))
            rows[:, column] = axis.snap(rows[:, column])
        if self._conditions:
            unplaced = np.where(self.choices, NO_CATEGORY, INACTIVE)
            rows = np.where(self._active(rows), rows, unplaced)
        return rows

    def _active(self, rows: Array) -> Mask:
        """Tells which parameters are active: shape of the rows."""
        active = np.ones(rows.shape, dtype=bool)
        for column, parent, wanted in self._conditions:  # parents before children
            active[:, column] = active[:, parent] & np.isclose(rows[:, parent, None], wanted).any(1)
        return active


def _conditions(space: Space, axes: Sequence[Axis]) -> list[tuple[int, int, Array]]:
    """Lists each conditional parameter's column, its parent's, and the parent's places at which it is active.

    A parent that is a constant decides once for all: what it switches off is given no place to be active at.
    """
    columns = {axis.name: column for column, axis in enumerate(axes)}
    declared: dict[str, Parameter] = {parameter.name: parameter for parameter in space.parameters}
    found = []
    for name in (name for level in space.levels() for name in level):
        parent = declared[name].parent
        if parent is None:
            continue
        wanted = {equality_key(value) for value in declared[name].parent_values}
        if parent not in columns:
            on = equality_key(declared[parent].value) in wanted
            found += [] if on else [(columns[name], columns[name], np.empty(0))]
            continue
        axis = axes[columns[parent]]
        places = [
            axis.place(value) for value in axis.values if equality_key(axis.dimension.from_optuna(value)) in wanted
        ]
        found.append((columns[name], columns[parent], np.array(places)))
    return found
