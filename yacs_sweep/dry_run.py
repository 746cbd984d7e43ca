"""`--dry-run`: what would be searched and started, as text; creates nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from . import display
from .parameter import Parameter
from .plan import Plan, new_paths

SHOWN = 5  # first trials whose command lines are shown


def _range(parameter: Parameter) -> str:
    if parameter.distribution == "constant":
        return f"always {parameter.value!r}"
    if parameter.values:
        return " | ".join(repr(value) for value in parameter.values)
    return ", ".join(f"{key} {display.short(value)}" for key, value in parameter.numbers().items())


def _space(plan: Plan) -> Iterator[str]:
    schema = plan.overrides.schema
    rows = [["parameter", "key", "default", "distribution", "values"]]
    for parameter in plan.spec.parameters:
        key = plan.overrides.key_for(parameter.name)
        default: Any = schema.values.get(key, "") if schema else ""
        rows.append([parameter.name, key, repr(default) if schema else "", parameter.distribution, _range(parameter)])
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        yield "  " + "  ".join([*(cell.ljust(size) for cell, size in zip(row, widths, strict=False)), row[4]]).rstrip()


def _first_points(plan: Plan) -> list[dict[str, Any]]:
    spec = plan.spec
    if spec.method == "grid":
        return [spec.grid_point(index) for index in range(min(SHOWN, plan.count, spec.grid_size or 0))]
    return [spec.random_point(plan.launch.seed, number) for number in range(min(SHOWN, plan.count))]


def describe(plan: Plan) -> str:
    """The normalised search space, the size of the grid, the first trials' commands and the early-termination bands."""
    spec = plan.spec
    metric = f"{spec.metric.goal} {spec.metric.name} (its {spec.optimize} value)" if spec.metric else "no metric"
    size = f", {spec.grid_size} grid points" if spec.grid_size is not None else ""
    lines = [f"{spec.name}: {spec.method} search{size}, {plan.count} trials, {metric}, controller {plan.launch.controller}"]
    lines += ["", *_space(plan)]
    lines += [f"  where {condition}" for condition in spec.where]
    if spec.early_terminate is not None:
        rule = spec.early_terminate
        at = f" at logged values {', '.join(map(str, rule.bands[:8]))}" if rule.bands else ""
        lines += ["", f"  early termination: {rule.type}{at}"]
    known = "" if spec.method == "grid" else " (bayes starts with random points; these are examples)" * (spec.method == "bayes")
    lines += ["", f"  first trials{known}:"]
    folder = new_paths(plan, "SWEEP_ID").dir
    for number, params in enumerate(_first_points(plan)):
        lines.append("  " + display.command(plan.trial_command(params, folder / f"trial-{number:04d}")))
    return "\n".join([*lines, "", "dry run: nothing was created"])
