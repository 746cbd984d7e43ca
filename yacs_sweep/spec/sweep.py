"""Describes a search: a sweep file, validated and immutable."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Container, Hashable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from ..base.errors import SweepError
from ..base.values import finite_number
from . import hyperband
from .budget.budget import Budget
from .conditions import allows
from .grid import LISTED, Grid
from .methods.population import MEMBERS, Population
from .methods.scheduler import Scheduler
from .parameter import Parameter, active, equality_key, nest_values

GOALS = ("minimize", "maximize")
DEFAULT_COUNT = 10
MOST_REPEATS, NOUNS = 1000, ("fold", "split", "seed")  # seeds of a point; what they may be called
DEFAULT_RESULTS_DIR = "./log/sweep"
_POINTS = ("method", "parameters", "where", "order", "scheduler", "pbt")  # keys that decide which points are tried,
_SEEDS = ("key", "seeds")  # and with which seeds
_NEW_DRAWS = 300  # draws of one point before all points are taken to have been tried
_MAX_DRAWS = 1000  # draws of one point before `where` is taken to be impossible


@dataclass(frozen=True)
class Metric:
    """Names the optimised metric: a logged name and a direction (W&B's default is to minimise)."""

    name: str
    goal: str = "minimize"
    target: float | None = None  # the sweep ends when a trial reaches it (of several objectives: all targets)
    impute: str | None = None  # value a failed trial counts with: worst, best or latest
    impute_while_running: str | None = None  # the same for one that runs; by default only its place counts
    threshold: float | None = None  # of one of several objectives: a trial that is worse is not on the front

    @property
    def imputes_logged(self) -> bool:
        """Whether the values logged by a trial without a result decide the value it counts with."""
        return self.impute in ("best", "latest") or self.impute_while_running not in (None, "false")

    def reached(self, value: float | None) -> bool:
        """Tells whether the value has reached the target; False without a target, or for nan and infinities."""
        if self.target is None or not finite_number(value):
            return False
        return value >= self.target if self.goal == "maximize" else value <= self.target

    def within(self, value: float) -> bool:
        """Tells whether the value is no worse than the threshold; True without a threshold."""
        if self.threshold is None:
            return True
        return value >= self.threshold if self.goal == "maximize" else value <= self.threshold

    def to_dict(self) -> dict[str, Any]:
        """Returns the metric as it stands in a sweep file."""
        return _without_none(vars(self))

    def to_wandb(self) -> dict[str, Any]:
        """Returns the metric in W&B's language, which has no threshold."""
        return {key: value for key, value in self.to_dict().items() if key != "threshold"}


DEFAULT_CHANCE = 0.05  # of a trial to become the best, below which `type: curve` ends the trial


@dataclass(frozen=True)
class EarlyTerminate:
    """Describes the rule that ends trials early. Iterations are logged values of the metric.

    Which metric: the first objective, or the one that `metric` names.

    hyperband    W&B's: bands from `min_iter`, or from `max_iter` and `s`; `eta`; `strict`.
    median       ends a trial worse than the median of earlier ones at the same iteration, from
                 iteration `min_iter` on and once `min_trials` have finished.
    asha         successive halving: from `min_iter` on, the best 1/`eta` continue at each rung.
    curve        ends a trial whose chance to become the best, by the learning curves of finished trials, is below
                 `chance`, from iteration `min_iter` on and once `min_trials` have finished.
    patience     ends a trial whose best has not improved by `min_delta` in `patience` iterations.
    divergence   ends a trial when `metric` (default: the objective and every metric with "loss"
                 in its name) is nan or infinite, or its size exceeds `factor` times its first.

    With `mode: promotion` asha and hyperband pause trials, and resume the best up to `max_iter` iterations.
    """

    type: str
    mode: str | None = None  # promotion; None: stop
    min_iter: int | None = None
    max_iter: int | None = None
    s: int | None = None
    eta: float | None = None
    strict: bool | None = None
    min_trials: int | None = None
    patience: int | None = None
    min_delta: float | None = None
    factor: float | None = None
    chance: float | None = None
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


def enough_seeds(n: int, *, race: bool) -> int:
    """Returns how many of its `n` seeds a point needs to be the best: all; half of them in a race, which stops before."""
    return (n + 1) // 2 if race else n


@dataclass(frozen=True)
class Repeats:
    """Says with how many seeds each point is trained, and which.

    Attributes:
        n: trials of a point (with `race`: at most), 2 or more.
        key: the trainer's key or alias that is given the seed; None: the alias `seed`.
        values: seeds to use, such as the folds of a cross-validation; empty: whole numbers from 1 on.
        race: whether a point that is unlikely to become the best gets no further seeds.
        seeds: `common`: every point is trained with the same seeds; `fresh`: each point has seeds of its own.
    """

    n: int
    key: str | None = None
    values: tuple[Any, ...] = ()
    race: bool = False
    seeds: str = "common"

    @property
    def name(self) -> str:
        """The parameter that holds a trial's seed."""
        return self.key or "seed"

    @property
    def noun(self) -> str:
        """The word for one of the repeats: seed; with `values` fold, split or seed by the key's name, else repeat."""
        return next((word for word in NOUNS if word in self.name.lower()), "repeat") if self.values else "seed"

    @property
    def enough(self) -> int:
        """The seeds that a point needs to be the best."""
        return enough_seeds(self.n, race=self.race)

    def seed_at(self, point: int, place: int) -> Any:
        """Returns a seed of a point.

        Args:
            point: number of the point, from 0 on.
            place: number of the seed among those of the point, 0 to n - 1.
        """
        if self.values:
            return self.values[place]
        return place + 1 if self.seeds == "common" else point * MOST_REPEATS + place + 1

    @property
    def paired(self) -> bool:
        """Whether the same place is the same seed for all points."""
        return self.seeds == "common" or bool(self.values)

    def to_dict(self) -> dict[str, Any]:
        """Returns the repeats as they stand in a sweep file."""
        values = {**vars(self), "values": list(self.values) or None, "race": self.race or None}
        return _without_none({**values, "seeds": None if self.values else self.seeds})


@dataclass(frozen=True)
class SweepSpec:
    """Holds everything a sweep file can say, normalised. Parameters keep the order of the file."""

    method: str  # grid, random, bayes; custom: several objectives, or a scheduler's; pbt: a population
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
    order: str = LISTED  # of a grid's points: one of `grid.ORDERS`
    more_metrics: tuple[Metric, ...] = ()  # objectives beside `metric`, which is the first
    constraints: tuple[str, ...] = ()  # on what a trial measured (`spec.constraints`)
    repeats: Repeats | None = None
    scheduler: Scheduler | None = None  # None: the search's own
    pbt: Population | None = None  # of method pbt
    budget: Budget | None = None  # of the whole sweep
    warnings: tuple[str, ...] = field(default=(), compare=False)

    @property
    def objectives(self) -> tuple[Metric, ...]:
        """All metrics that the sweep optimises, `metric` first; empty without any."""
        return (self.metric, *self.more_metrics) if self.metric else ()

    @property
    def compared(self) -> Metric | None:
        """The objective that trials are compared by while they run: the one `early_terminate` names, else the first."""
        named = self.early_terminate.metric if self.early_terminate else None
        return next((metric for metric in self.objectives if metric.name == named), self.metric)

    @property
    def pauses(self) -> bool:
        """Whether trials are paused, and resumed in their folders."""
        rule = self.early_terminate
        return self.pbt is not None or (rule is not None and rule.mode == "promotion")

    @property
    def full_training(self) -> int | None:
        """The iterations of a full training (`max_iter`) in a sweep that pauses trials; None in others."""
        if self.pbt is not None:
            return self.pbt.max_iter
        return self.early_terminate.max_iter if self.pauses and self.early_terminate is not None else None

    @property
    def seeds_each(self) -> int:
        """The number of trials of a point: 1 without repeats."""
        return self.repeats.n if self.repeats else 1

    @property
    def seeds_enough(self) -> int:
        """The number of trials that a point needs to be the best: 1 without repeats."""
        return self.repeats.enough if self.repeats else 1

    @property
    def several_values(self) -> str | None:
        """The one parameter that has several values; None where that is none or more. Of `--train-best` it is the seed."""
        found = [item.name for item in self.parameters if len(item.values) > 1]
        return found[0] if len(found) == 1 else None

    def to_dict(self) -> dict[str, Any]:
        """Returns the normalised sweep file: `sweep_from_dict(to_dict())` is equal to this."""
        metrics = [metric.to_dict() for metric in self.objectives]
        result: dict[str, Any] = {
            "name": self.name,
            "description": self.description,
            "method": self.method,
            "metric": metrics[0] if len(metrics) == 1 else None,
            "metrics": metrics if len(metrics) > 1 else None,
            "metric_constraints": list(self.constraints) or None,
            "repeats": self.repeats.to_dict() if self.repeats else None,
            "scheduler": self.scheduler.to_dict() if self.scheduler else None,
            "pbt": self.pbt.to_dict() if self.pbt else None,
            "parameters": nest_values(
                self.parameters, {item.name: item.to_dict() for item in self.parameters}, below="parameters"
            )
            or None,
            "where": list(self.where) or None,
            "order": None if self.order == LISTED else self.order,
            "early_terminate": self.early_terminate.to_dict() if self.early_terminate else None,
            "optimize": self.optimize,
            "run_cap": self.run_cap,
            "budget": self.budget.to_dict() if self.budget else None,
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
        the points its server hands out. Of several objectives it is sent the first, since its server searches for one
        (`wandb_limits` says so). Project and entity are arguments of `wandb.sweep` itself.
        """
        stops = self.early_terminate
        result: dict[str, Any] = {
            "name": self.name,
            "description": self.description,
            "method": self.method,
            "metric": self.metric.to_wandb() if self.metric else None,
            "parameters": {parameter.name: parameter.to_wandb() for parameter in self.parameters},
            "early_terminate": replace(stops, metric=None).to_dict() if stops and stops.type == "hyperband" else None,
            "run_cap": self._server_cap,
            "program": self.program,
            "command": list(self.command) or None,
        }
        return _without_none(result)

    @property
    def _server_cap(self) -> int | None:
        """`run_cap` for W&B's server, which counts its runs: with repeats these are points.

        In a race a point may have one seed, so that there may be as many points as trials; the launcher counts the trials.
        """
        if self.run_cap is None or self.repeats is None or self.repeats.race:
            return self.run_cap
        return -(-self.run_cap // self.repeats.n)

    def wandb_limits(self) -> tuple[str, ...]:
        """Lists the parts of this description that W&B's server cannot do, a line each."""
        lines = []
        if any(parameter.parent for parameter in self.parameters):
            lines.append("W&B knows no conditional parameters: it draws inactive ones too, they are not passed on")
        if self.method == "bayes" and all(parameter.distribution == "constant" for parameter in self.parameters):
            lines.append("W&B's bayes search gives out no point where every parameter is a constant")
        if self.more_metrics:
            names = ", ".join(metric.name for metric in self.more_metrics)
            first = self.objectives[0].name
            lines.append(
                f"W&B is sent the first of `metrics`, {first}: its search knows no other; judged here: {names}"
            )
        if self.constraints:
            lines.append("W&B knows no `metric_constraints`: trials are judged by them here, its search is not")
        if self.repeats:
            lines.append(
                f"W&B knows no `repeats`: each of its runs is a point with the mean of {self.repeats.n} seeds, which are "
                "runs of a group"
            )
            if self.repeats.race:
                lines.append(
                    "with `race` a point on W&B gets its seeds one after the other until it is out of the race; no last trials "
                    "confirm the best"
                )
            if self.early_terminate and self.early_terminate.type == "hyperband":
                lines.append("with `repeats` W&B's hyperband counts seeds, not epochs: a point logs one mean a seed")
        if self.where:
            lines.append("W&B knows no `where`: points it hands out against the conditions are skipped")
        stops = self.early_terminate
        named = stops.metric if stops and stops.type == "hyperband" else None
        if named and self.metric and named != self.metric.name:
            lines.append(f"W&B stops trials by the first metric, {self.metric.name}, and not by {named}")
        if self.early_terminate and self.early_terminate.type != "hyperband":
            lines.append(f"W&B knows no early_terminate type {self.early_terminate.type}: the local controller does")
        return tuple(lines)

    @property
    def default_count(self) -> int:
        """Trials when the command line gives no --count: the file's, else all of the grid, else those of 10 points."""
        if self.count is not None:
            return self.count
        count = self.grid_trials
        if count is None:
            count = self.run_cap or DEFAULT_COUNT * self.seeds_each
            if self.pbt is not None:
                count = self.pbt.population or MEMBERS
        return min(count, self.run_cap) if self.run_cap else count

    @cached_property
    def fingerprint(self) -> str:
        """A hash that changes with the points trials are given."""
        described = {key: value for key, value in self.to_dict().items() if key in _POINTS}
        if self.repeats is not None:  # their number may grow, their kind decides which trials belong together
            described["repeats"] = {key: value for key, value in self.repeats.to_dict().items() if key in _SEEDS}
        if self.more_metrics:
            described["metrics"] = [[metric.name, metric.goal] for metric in self.objectives]
        return hashlib.sha256(json.dumps(described, default=str).encode()).hexdigest()[:16]

    @property
    def grid_size(self) -> int | None:
        """The number of grid points; None for the other methods."""
        return self._grid.size if self.method == "grid" else None

    @property
    def grid_trials(self) -> int | None:
        """The number of trials of the whole grid, its points times their seeds; None for the other methods."""
        return None if self.grid_size is None else self.grid_size * self.seeds_each

    def at_most(self, count: int) -> int:
        """Limits a number of trials of the whole sweep to those of the grid, and to `run_cap`."""
        return min([count, *(limit for limit in (self.grid_trials, self.run_cap) if limit is not None)])

    def grid_point(self, index: int) -> dict[str, Any]:
        """Returns the parameters of one grid point, in the sweep's `order`. Raises IndexError beyond the last."""
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
        """Returns the values of parameters of this sweep; a run on the W&B server, or a database's row, may hold others.

        The parameters of a scheduler's own search space are in its file, so that all values are taken for them.
        """
        if self.scheduler is not None and self.scheduler.own_space is not None:
            return dict(values)
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
        return Grid(self.parameters, self.where, self.order)


def _without_none(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}
