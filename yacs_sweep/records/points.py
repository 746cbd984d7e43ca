"""Groups the trials of a sweep with repeats into points, and finds the point with the best mean.

A point counts by its finished trials: a seed that failed does not spoil it. A trial that was tried again counts by its last
attempt. In a sweep without repeats every trial is a point of its own.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol

from ..base.values import finite_number
from ..base.wording import counted
from ..spec.constraints import judge
from ..spec.sweep import Metric, Repeats
from .folder import TrialRecord
from .progress import unretried

_STATES = (
    "running",
    "stopped",
    "finished",
    "paused",
    "failed",
    "killed",
    "lost",
)  # a point has the first that one of its trials has


def point_name(number: int) -> str:
    """Names a point by its number: point-0003."""
    return f"point-{number:04d}"


def point_number(name: str) -> int | None:
    """Returns the number of a point of this name; None for the name of a trial."""
    head, _, number = name.rpartition("-")
    return int(number) if head == "point" and number.isdecimal() else None


@dataclass(frozen=True)
class Estimate:
    """Holds a metric over the seeds of a point."""

    n: int  # values
    mean: float | None = None  # None without any
    sd: float | None = None  # standard deviation (n - 1); None with fewer than two

    @classmethod
    def of(cls, values: Iterable[Any]) -> Estimate:
        """Computes the estimate; what is no finite number is left out."""
        usable = [float(value) for value in values if finite_number(value)]
        if not usable:
            return cls(0)
        if len(set(usable)) == 1:  # without rounding
            return cls(len(usable), usable[0], 0.0 if len(usable) > 1 else None)
        mean = math.fsum(usable) / len(usable)
        return cls(len(usable), mean, statistics.stdev(usable, mean) if len(usable) > 1 else None)

    @property
    def error(self) -> float | None:
        """The standard error of the mean; None with fewer than two values."""
        return None if self.sd is None else self.sd / math.sqrt(self.n)


@dataclass(frozen=True)
class Point:
    """Holds the trials of one point, and what they say of it.

    Attributes:
        name: "point-0003"; of a trial that belongs to no point, the trial's.
        trials: its trials, each by the last attempt, in order of their numbers.
    """

    name: str
    trials: tuple[TrialRecord, ...]

    @property
    def params(self) -> dict[str, Any]:
        """The point's parameters."""
        return self.trials[0].params

    @cached_property
    def number(self) -> int:
        """The point's number: of its name, else of its first trial."""
        found = point_number(self.name)
        return self.trials[0].number if found is None else found

    @cached_property
    def finished(self) -> list[TrialRecord]:
        """The trials that count."""
        return [record for record in self.trials if record.state == "finished"]

    @cached_property
    def settled(self) -> int:
        """The number of seeds that have been evaluated, with or without a result.

        One that was stopped early has not: a point must not be the best by the seeds that did well before.
        """
        return sum(record.settled and record.state != "stopped" for record in self.trials)

    @property
    def state(self) -> str:
        """The point's state: running while a trial runs, stopped where one was stopped early, else finished where
        one has finished, else as its trials ended.
        """
        states = {record.state for record in self.trials}
        return next((state for state in _STATES if state in states), "lost")

    @cached_property
    def estimate(self) -> Estimate:
        """The sweep's metric over the finished trials."""
        return Estimate.of(record.value for record in self.finished)

    @property
    def typical(self) -> TrialRecord | None:
        """The finished trial that is nearest to the mean, which stands for the point; None without one."""
        mean = self.estimate.mean
        usable = [record for record in self.finished if finite_number(record.value)]
        return min(usable, key=lambda record: abs((record.value or 0.0) - (mean or 0.0)), default=None)

    def objective(self, metric: str) -> Estimate:
        """Returns one of several objectives over the finished trials."""
        return Estimate.of((record.values or {}).get(metric) for record in self.finished)

    @cached_property
    def values(self) -> dict[str, float | None]:
        """The mean of each objective, where the sweep has several; empty otherwise."""
        names = dict.fromkeys(name for record in self.finished for name in record.values or {})
        return {name: self.objective(name).mean for name in names}

    @cached_property
    def facts(self) -> dict[str, Any]:
        """The values that the constraints name, as `mean_row` makes them of the finished trials."""
        return mean_row([record.facts or {} for record in self.finished])

    def judge(self, constraints: Sequence[str]) -> tuple[bool | None, list[str]]:
        """Judges the means of the finished trials by the constraints, as `constraints.judge` does."""
        return judge(constraints, self.facts)

    def row(self) -> dict[str, Any]:
        """Returns the point as summary.json has it."""
        found = self.estimate
        return {
            "point": self.name,
            "params": self.params,
            "n": found.n,
            "mean": found.mean,
            "sd": found.sd,
            "state": self.state,
            "trials": [record.name for record in self.trials],
            **({"values": values} if (values := self.values) else {}),
        }


def mean_row(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Returns the mean of each number over trials; of a text, the one that all have."""
    found: dict[str, Any] = {}
    for name in dict.fromkeys(name for row in rows for name in row):
        given = [row[name] for row in rows if row.get(name) is not None]
        mean = Estimate.of(given).mean
        if mean is not None:
            found[name] = mean
        elif given and all(value == given[0] for value in given):
            found[name] = given[0]
    return found


def group_points(records: Iterable[TrialRecord]) -> list[Point]:
    """Groups trials into points, in order of the points' first trials."""
    groups: dict[str, list[TrialRecord]] = {}
    for record in sorted(unretried(records), key=lambda record: (record.number, record.started)):
        groups.setdefault(record.point or record.name, []).append(record)
    return [Point(name, tuple(_by_seed(trials))) for name, trials in groups.items()]


def point_of_seeds(records: Iterable[TrialRecord], seed: str) -> Point | None:
    """Makes a point of the trials of one configuration with several seeds, which `--train-best` has; None without a trial.

    Args:
        seed: the parameter that holds a trial's seed.
    """
    trials = []
    for record in sorted(unretried(records), key=lambda record: (record.number, record.started)):
        params = {name: value for name, value in record.params.items() if name != seed}
        trials.append(replace(record, params=params, seed=record.params.get(seed)))
    return Point(trials[0].name, tuple(_by_seed(trials))) if trials else None


def _by_seed(trials: Sequence[TrialRecord]) -> list[TrialRecord]:
    """Keeps one trial for each seed: of several the last that has finished, else the last."""
    kept: dict[Any, TrialRecord] = {}
    for place, record in enumerate(trials):
        key = ("trial", place) if record.seed is None else ("seed", record.seed)
        before = kept.get(key)
        if before is None or record.state == "finished" or before.state != "finished":
            kept[key] = record
    return sorted(kept.values(), key=lambda record: (record.number, record.started))


class Aims(Protocol):
    """Says what a sweep aims at, as a `SweepSpec` does."""

    @property
    def objectives(self) -> tuple[Metric, ...]:
        """The metrics that it optimises."""

    @property
    def constraints(self) -> tuple[str, ...]:
        """The conditions that a trial must keep to be the best or on the front."""

    @property
    def repeats(self) -> Repeats | None:
        """The seeds that each point is trained with; None: each once."""

    @property
    def seeds_enough(self) -> int:
        """The number of seeds that a point needs to be the best: 1 without repeats."""


def noun_of(aims: Aims | None) -> str:
    """Returns the word for one of the repeats of a point: seed, or fold of a cross-validation."""
    return aims.repeats.noun if aims is not None and aims.repeats is not None else "seed"


def is_plain(aims: Aims) -> bool:
    """Tells whether trials are compared by one value alone: one objective, neither constraints nor repeats."""
    return aims.repeats is None and not aims.constraints and len(aims.objectives) < 2


def seeds_needed(evaluated: Iterable[int], enough: int) -> int:
    """Returns with how many seeds a point can be the best: `enough`; while none has so many, the most that one has.

    Args:
        evaluated: number of seeds of each point that could be the best otherwise.
    """
    return min(enough, max(evaluated, default=0))


def with_enough_seeds(points: Sequence[Point], enough: int) -> list[Point]:
    """Selects the points that were evaluated with enough seeds (`seeds_needed`)."""
    least = seeds_needed((point.settled for point in points), enough)
    return [point for point in points if point.settled >= least]


def keeping_constraints(aims: Aims, points: Iterable[Point]) -> list[Point]:
    """Selects the points with a mean that are known to keep the constraints."""
    return [point for point in points if point.estimate.mean is not None and point.judge(aims.constraints)[0]]


def able_points(aims: Aims, points: Iterable[Point]) -> list[Point]:
    """Selects the points that could be the best: with enough seeds, and means that are known to keep the constraints."""
    return with_enough_seeds(keeping_constraints(aims, points), aims.seeds_enough)


def why_none_is_best(aims: Aims, points: Iterable[Point]) -> str | None:
    """Explains why there is no best point though some have a mean: none is known to keep the constraints.

    Returns None where there is one, or where no trial has finished with a value.
    """
    valued = [point for point in points if point.estimate.mean is not None]
    if not valued or able_points(aims, valued):
        return None
    kept = "; ".join(aims.constraints)
    what = "finished trial" if aims.repeats is None else "finished point"
    return f"of {counted(len(valued), what)} none is known to keep the constraints: {kept}"


# -- targets ----------------------------------------------------------------------------------------------------------
def mean_of(point: Point, metric: str, aims: Aims) -> float | None:
    """Returns the mean of one of the sweep's objectives over the finished trials of a point; None without a value."""
    return (point.estimate if len(aims.objectives) == 1 else point.objective(metric)).mean


def reaches(aims: Aims, point: Point) -> bool:
    """Tells whether the means of a point, over all its seeds, have reached all targets that are set; False where none is."""
    wanted = [metric for metric in aims.objectives if metric.target is not None]
    seeds = aims.repeats.n if aims.repeats else 1
    if not wanted or not point.finished or point.settled < seeds or not point.judge(aims.constraints)[0]:
        return False
    return all(metric.reached(mean_of(point, metric.name, aims)) for metric in wanted)


def target_reached(aims: Aims, records: Iterable[TrialRecord]) -> bool:
    """Tells whether a finished trial, or with repeats the mean of a point, has reached all targets of the objectives."""
    if not any(metric.target is not None for metric in aims.objectives):
        return False
    return any(reaches(aims, point) for point in group_points(records))
