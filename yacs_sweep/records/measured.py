"""Follows what a trial measures, and judges it by the sweep's further objectives and its constraints."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..base.values import finite_number
from ..base.wording import did_you_mean
from ..spec.constraints import DURATION, FACTS, GPU_MEMORY, judge, names_in
from ..spec.sweep import Metric, SweepSpec
from .folder import TrialRecord
from .metrics import Objective

_NO_GPU = "no GPU's memory can be read here (it takes a driver and nvidia-ml-py)"


@dataclass(frozen=True)
class Demands:
    """Names what a sweep records of a trial beside the value of its metric.

    Attributes:
        more: objectives after the first.
        constraints: what the trial is judged by.
        optimize: which value of an objective counts: `last` or `best`.
        seed_name: the parameter that a trial's seed is given as; None: the sweep has no repeats.
    """

    more: tuple[Metric, ...] = ()
    constraints: tuple[str, ...] = ()
    optimize: str = "last"
    seed_name: str | None = None

    @classmethod
    def of(cls, spec: SweepSpec) -> Demands:
        """Collects the demands of a sweep."""
        seed_name = spec.repeats.name if spec.repeats else None
        return cls(spec.more_metrics, spec.constraints, spec.optimize, seed_name)

    @property
    def names(self) -> tuple[str, ...]:
        """The metrics and facts that are wanted, each once."""
        return tuple(dict.fromkeys([*(metric.name for metric in self.more), *names_in(self.constraints)]))

    @property
    def gpu_memory(self) -> bool:
        """Whether the trial's GPU memory is to be read while it runs."""
        return GPU_MEMORY in self.names

    def with_seed(self, params: Mapping[str, Any], seed: Any) -> dict[str, Any]:
        """Returns a trial's parameters with its seed, which stands before them; None is no seed."""
        named = {} if seed is None or self.seed_name is None else {self.seed_name: seed}
        return {**named, **params}


class Measured:
    """Collects what one trial measures, over all its attempts."""

    def __init__(self, demands: Demands) -> None:
        self.demands = demands
        self.objectives = {
            metric.name: Objective(metric.name, metric.goal, demands.optimize) for metric in demands.more
        }

    def see(self, row: Mapping[str, Any]) -> None:
        """Takes in a row."""
        for objective in self.objectives.values():
            objective.see(row)

    def follow(self, kinds_of: Callable[[str], Sequence[str]]) -> None:
        """Has each objective's value be what the trainer has defined as its summary (`Objective.follow`)."""
        for name, objective in self.objectives.items():
            objective.follow(kinds_of(name))

    def judged(self, first: Objective) -> Objective:
        """Returns the objective that the trial's end is judged by.

        The first one that was not logged, else the first one that is nan or infinite, else the first.

        Args:
            first: the sweep's first objective.
        """
        every = [
            first,
            *(each for each in self.objectives.values() if each.last is not None or each.metric not in FACTS),
        ]
        broken = (each for each in every if each.value is not None and not finite_number(each.value))
        return next((each for each in every if each.last is None), None) or next(broken, first)

    def write(
        self,
        record: TrialRecord,
        metric: str | None,
        last_values: Mapping[str, Any],
        *,
        seconds: float,
        gpu_memory_mb: float | None,
    ) -> None:
        """Writes to the record what was measured, and whether it keeps the constraints.

        Args:
            metric: the sweep's first objective, whose value the record has.
            last_values: the last value of every metric that the trainer has logged; it goes before what the launcher
                has measured under the same name.
            seconds: the trial's duration.
            gpu_memory_mb: the peak of its GPU memory, in MiB; None: not read.
        """
        known = {DURATION: round(seconds, 3), GPU_MEMORY: gpu_memory_mb, **last_values}
        values = {name: _number(each.value, known.get(name)) for name, each in self.objectives.items()}
        if metric is not None and record.value is not None:
            values = {metric: record.value, **values}
        if self.objectives:
            record.values = {**({} if metric is None else {metric: record.value}), **values}
        if self.demands.constraints:
            known.update({name: value for name, value in values.items() if value is not None})
            wanted = names_in(self.demands.constraints)
            record.facts = {name: known[name] for name in wanted if isinstance(known.get(name), int | float | str)}
            record.feasible, record.violated = judge(self.demands.constraints, record.facts)

    def unjudged(self, record: TrialRecord, last_values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """Yields, for each name that a finished trial did not measure, the name and a line for the user."""
        if record.state != "finished":
            return
        for name in self.objectives:  # any but a fact, when it is not logged, fails the trial
            if (record.values or {}).get(name) is None:
                yield name, f"warning: {name} has no value, so the trial is not on the Pareto front: {_NO_GPU}"
        if record.feasible is not None:
            return
        for text in self.demands.constraints:
            for name in names_in([text]):
                if name in (record.facts or {}):
                    continue
                why = f"the trial has logged no {name}{did_you_mean(name, last_values)}"
                if name == GPU_MEMORY:
                    why = _NO_GPU
                yield (
                    name,
                    f"warning: '{text}' cannot be judged, so the trial does not count as one that keeps it: {why}",
                )


def _number(value: float | None, otherwise: Any) -> float | None:
    """Returns an objective's value; of one that was not logged, what the launcher knows under its name."""
    if value is not None:
        return value
    return float(otherwise) if finite_number(otherwise) else None
