"""Describes a search: a sweep file, validated and immutable."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Container, Hashable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from ..base.errors import SweepError
from ..base.values import finite_number
from . import hyperband
from .conditions import allows
from .grid import Grid
from .parameter import Parameter, active, equality_key, nest_values

GOALS = ("minimize", "maximize")
DEFAULT_COUNT = 10
DEFAULT_RESULTS_DIR = "./log/sweep"
_NEW_DRAWS = 300  # draws of one point before all points are taken to have been tried
_MAX_DRAWS = 1000  # draws of one point before `where` is taken to be impossible


@dataclass(frozen=True)
class Metric:
    """Names the optimised metric: a logged name and a direction (W&B's default is to minimise)."""

    name: str
    goal: str = "minimize"
    target: float | None = None  # the sweep ends when a trial reaches it
    impute: str | None = None  # value a failed trial counts with: worst, best or latest
    impute_while_running: str | None = None  # the same for one that runs; by default only its place counts

    @property
    def imputes_logged(self) -> bool:
        """Whether the values logged by a trial without a result decide the value it counts with."""
        return self.impute in ("best", "latest") or self.impute_while_running not in (None, "false")

    def reached(self, value: float | None) -> bool:
        """Tells whether the value has reached the target; False without a target, or for nan and infinities."""
        if self.target is None or not finite_number(value):
            return False
        return value >= self.target if self.goal == "maximize" else value <= self.target

    def to_dict(self) -> dict[str, Any]:
        """Returns the metric in W&B's language."""
        return _without_none(vars(self))


@dataclass(frozen=True)
class EarlyTerminate:
    """Describes the rule that ends trials early. Iterations are logged values of the metric.

    hyperband    W&B's: bands from `min_iter`, or from `max_iter` and `s`; `eta`; `strict`.
    median       ends a trial worse than the median of earlier ones at the same iteration, from
                 iteration `min_iter` on and once `min_trials` have finished.
    asha         successive halving: from `min_iter` on, the best 1/`eta` continue at each rung.
    patience     ends a trial whose best has not improved by `min_delta` in `patience` iterations.
    divergence   ends a trial when `metric` (default: the objective and every metric with "loss"
                 in its name) is nan or infinite, or its size exceeds `factor` times its first.
    """

    type: str
    min_iter: int | None = None
    max_iter: int | None = None
    s: int | None = None
    eta: float | None = None
    strict: bool | None = None
    min_trials: int | None = None
    patience: int | None = None
    min_delta: float | None = None
    factor: float | None = None
    metric: str | None = None

    @cached_property
    def bands(self) -> tuple[int, ...]:
        """Iterations at which hyperband compares trials, ascending; empty for the other types."""
        if self.type != "hyperband":
            return ()
        return hyperband.bands(
            min_iter=self.min_iter, max_iter=self.max_iter, s=self.s, eta=self.eta or hyperband.DEFAULT_ETA
        )

    def to_dict(self) -> dict[str, Any]:
        """Returns the rule as it stands in a sweep file."""
        return _without_none({key: value for key, value in vars(self).items() if key != "bands"})


@dataclass(frozen=True)
class SweepSpec:
    """Holds everything a sweep file can say, normalised. Parameters keep the order of the file."""

    method: str  # grid, random or bayes
    parameters: tuple[Parameter, ...]
    metric: Metric | None = None  # always there for bayes and with early_terminate
    name: str | None = None
    description: str | None = None
    early_terminate: EarlyTerminate | None = None
    run_cap: int | None = None  # runs in the whole sweep's life, over all agents
    count: int | None = None  # trials of one call of the launcher
    results_dir_base: str = DEFAULT_RESULTS_DIR
    program: str | None = None
    command: tuple[str, ...] = ()
    project: str | None = None
    entity: str | None = None
    optimize: str = "last"  # which value of a trial counts: its last, as on W&B, or its best
    where: tuple[str, ...] = ()
    warnings: tuple[str, ...] = field(default=(), compare=False)

    def to_dict(self) -> dict[str, Any]:
        """Returns the normalised sweep file: `sweep_from_dict(to_dict())` is equal to this."""
        result: dict[str, Any] = {
            "name": self.name,
            "description": self.description,
            "method": self.method,
            "metric": self.metric.to_dict() if self.metric else None,
            "parameters": nest_values(
                self.parameters, {item.name: item.to_dict() for item in self.parameters}, below="parameters"
            ),
            "where": list(self.where) or None,
            "early_terminate": self.early_terminate.to_dict() if self.early_terminate else None,
            "optimize": self.optimize,
            "run_cap": self.run_cap,
            "count": self.count,
            "results_dir_base": self.results_dir_base,
            "program": self.program,
            "command": list(self.command) or None,
            "project": self.project,
            "entity": self.entity,
        }
        return _without_none(result)

    def to_wandb(self) -> dict[str, Any]:
        """Returns the description `wandb.sweep` accepts: W&B's keys only, every distribution named.

        W&B has no conditions between parameters: `active` and `allows` apply them to
        the points its server hands out. Project and entity are arguments of `wandb.sweep` itself.
        """
        stops = self.early_terminate
        result: dict[str, Any] = {
            "name": self.name,
            "description": self.description,
            "method": self.method,
            "metric": self.metric.to_dict() if self.metric else None,
            "parameters": {parameter.name: parameter.to_wandb() for parameter in self.parameters},
            "early_terminate": stops.to_dict() if stops and stops.type == "hyperband" else None,
            "run_cap": self.run_cap,
            "program": self.program,
            "command": list(self.command) or None,
        }
        return _without_none(result)

    def wandb_limits(self) -> tuple[str, ...]:
        """Lists the parts of this description that W&B's server cannot do, a line each."""
        lines = []
        if any(parameter.parent for parameter in self.parameters):
            lines.append("W&B knows no conditional parameters: it draws inactive ones too, they are not passed on")
        if self.method == "bayes" and all(parameter.distribution == "constant" for parameter in self.parameters):
            lines.append("W&B's bayes search gives out no point where every parameter is a constant")
        if self.where:
            lines.append("W&B knows no `where`: points it hands out against the conditions are skipped")
        if self.early_terminate and self.early_terminate.type != "hyperband":
            lines.append(f"W&B knows no early_terminate type {self.early_terminate.type}: the local controller does")
        return tuple(lines)

    @property
    def default_count(self) -> int:
        """Trials when the command line gives no --count: the file's, else the grid's size, else 10."""
        if self.count is not None:
            return self.count
        count = self.grid_size if self.grid_size is not None else self.run_cap or DEFAULT_COUNT
        return min(count, self.run_cap) if self.run_cap else count

    @cached_property
    def fingerprint(self) -> str:
        """A hash that changes with the points trials are given."""
        described = {key: value for key, value in self.to_dict().items() if key in ("method", "parameters", "where")}
        return hashlib.sha256(json.dumps(described, default=str).encode()).hexdigest()[:16]

    @property
    def grid_size(self) -> int | None:
        """The number of grid points; None for the other methods."""
        return self._grid.size if self.method == "grid" else None

    def grid_point(self, index: int) -> dict[str, Any]:
        """Returns the parameters of one grid point, in W&B's order. Raises IndexError beyond the last."""
        return self._grid.point(index)

    def random_point(self, seed: int, number: int, tried: Container[Hashable] = ()) -> dict[str, Any]:
        """Draws the parameters of random trial `number`: always the same for the same seed.

        The draw does not depend on other trials, unless it is a point already `tried` (by `equality_key`), which is
        returned only when no other is found. Raises SweepError when no draw satisfies `where`.
        """
        return self.draw(seed, number, tried)[1]

    def draw(self, seed: int, number: int, tried: Container[Hashable] = ()) -> tuple[dict[str, float], dict[str, Any]]:
        """Draws as `random_point` does; returns the point of the unit cube and its parameters."""
        source = random.Random(f"{seed}:{number}")
        repeated: tuple[dict[str, float], dict[str, Any]] | None = None
        for draw in range(_MAX_DRAWS):
            units = {name: source.random() for name in self._names}
            values = self.point_at(units)
            if self.allows(values):
                if equality_key(values) not in tried:
                    return units, values
                repeated = repeated or (units, values)
            if repeated and draw >= _NEW_DRAWS:
                return repeated
        if repeated:
            return repeated
        raise SweepError(f"no point in {_MAX_DRAWS} draws satisfies where: {' and '.join(self.where)}")

    def point_at(self, units: Mapping[str, float]) -> dict[str, Any]:
        """Maps a point of the unit cube (name → u in [0, 1)) to parameters, inactive ones left out."""
        return self.active({item.name: item.quantile(units[item.name]) for item in self.parameters})

    def searched(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the values of parameters of this sweep; a run on the W&B server, or a database's row, may hold others."""
        names = {item.name for item in self.parameters}
        return {name: value for name, value in values.items() if name in names}

    def active(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Selects, of values for all parameters, those of active ones, in the order of the file."""
        return active(self.parameters, values)

    def allows(self, values: Mapping[str, Any]) -> bool:
        """Tells whether values of the active parameters satisfy every condition of `where`."""
        return allows(self.where, values)

    @cached_property
    def _names(self) -> list[str]:
        return sorted(parameter.name for parameter in self.parameters)

    @cached_property
    def _grid(self) -> Grid:
        return Grid(self.parameters, self.where)


def _without_none(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}
