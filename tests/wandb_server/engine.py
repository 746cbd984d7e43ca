"""What a sweep tries next and which runs it ends early: pure functions of the sweep's definition."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Point = dict[str, Any]


def leaves(parameters: Mapping[str, Any], prefix: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Path and definition of each parameter, names sorted at every level, nested ones opened."""
    for name in sorted(parameters):
        definition = parameters[name]
        if isinstance(definition, Mapping) and isinstance(definition.get("parameters"), Mapping):
            yield from leaves(definition["parameters"], (*prefix, name))
        else:
            yield (*prefix, name), definition


def grid(parameters: Mapping[str, Any]) -> list[Point]:
    """All points in W&B's order: sorted names, the last one fastest.

    Raises ValueError for a parameter that has no finite list of values.
    """
    paths, choices = [], []
    for path, definition in leaves(parameters):
        paths.append(path)
        choices.append(_grid_values(".".join(path), definition))
    return [_point(zip(paths, values, strict=True)) for values in itertools.product(*choices)]


def sample(parameters: Mapping[str, Any], rng: random.Random) -> Point:
    """One random point; raises ValueError for an unknown distribution."""
    return _point([(path, _draw(".".join(path), definition, rng)) for path, definition in leaves(parameters)])


def hyperband_stops(
    early_terminate: Mapping[str, Any], goal: str, line: Sequence[float], others: Sequence[Sequence[float]]
) -> bool:
    """Whether a run that logged the metric values `line` ends early, given those of the sweep's other runs.

    As W&B's engine does it (successive halving, Li et al. 2018): at the last band the run passed, its value there
    (its best one so far where `strict` is false) is compared with the best 1/eta share of all values there.
    """
    eta = float(early_terminate.get("eta", 3))
    sign = -1.0 if goal == "maximize" else 1.0
    reached = [band for band in bands(early_terminate) if band <= len(line)]
    if not reached:
        return False
    band = reached[-1]
    there = sorted(sign * other[band - 1] for other in (line, *others) if len(other) >= band)
    threshold = there[min(int(len(there) / eta), len(there) - 1)]
    mine = [sign * value for value in line[:band]]
    return (mine[-1] if early_terminate.get("strict", True) else min(mine)) > threshold


def bands(early_terminate: Mapping[str, Any]) -> list[int]:
    """Counts of logged metric values at which runs are compared, smallest first."""
    eta = float(early_terminate.get("eta", 3))
    if "max_iter" in early_terminate:
        scaled = [int(early_terminate["max_iter"] / eta**k) for k in range(1, int(early_terminate.get("s", 1)) + 1)]
        return sorted({band for band in scaled if band >= 1})
    first = int(early_terminate.get("min_iter", 1))
    return [int(first * eta**k) for k in range(20)]


def _point(items: Any) -> Point:
    point: Point = {}
    for path, value in items:
        node = point
        for name in path[:-1]:
            node = node.setdefault(name, {})
        node[path[-1]] = _wire(value)
    return point


def _wire(value: Any) -> Any:
    # The real server's JSON has no whole floats: 1.0 arrives as 1.
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _grid_values(name: str, definition: Any) -> list[Any]:
    if "value" in definition:
        return [definition["value"]]
    if "values" in definition:
        return list(definition["values"])
    if isinstance(definition.get("min"), int) and isinstance(definition.get("max"), int):
        return list(range(definition["min"], definition["max"] + 1))
    raise ValueError(f"grid search needs value or values for parameter {name}")


def _draw(name: str, definition: Any, rng: random.Random) -> Any:
    if "value" in definition:
        return definition["value"]
    if "values" in definition:
        return rng.choices(definition["values"], weights=definition.get("probabilities"))[0]
    kind = definition.get("distribution") or _implied_distribution(definition)
    low, high = definition.get("min", 0.0), definition.get("max", 1.0)
    if kind == "int_uniform":
        return rng.randint(low, high)
    if kind == "uniform":
        return rng.uniform(low, high)
    if kind == "q_uniform":
        step = definition.get("q", 1.0)
        return round(rng.uniform(low, high) / step) * step
    if kind == "log_uniform":
        return math.exp(rng.uniform(low, high))
    if kind == "log_uniform_values":
        return math.exp(rng.uniform(math.log(low), math.log(high)))
    if kind == "normal":
        return rng.gauss(definition.get("mu", 0.0), definition.get("sigma", 1.0))
    raise ValueError(f"unknown distribution {kind!r} of parameter {name}")


def _implied_distribution(definition: Mapping[str, Any]) -> str:
    return "int_uniform" if all(isinstance(definition.get(k), int) for k in ("min", "max")) else "uniform"
