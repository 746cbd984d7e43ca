"""Converts what a trial measured to what the storage keeps of it, for searches with several objectives or constraints."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from ...base.values import finite_number
from ...records.folder import SweepPaths, TrialRecord, better
from ...records.metrics import metric_value, readable_metrics
from ...spec.constraints import excesses
from ...spec.sweep import Metric, SweepSpec
from ..space import direction_of
from ..stored import CONSTRAINTS, end_of

UNNAMED = Metric("")  # of a sweep without a metric


def objectives_of(spec: SweepSpec) -> tuple[Metric, ...]:
    """Returns the objectives of a sweep; one without a name where the sweep has none."""
    return spec.objectives or (UNNAMED,)


def directions_of(spec: SweepSpec) -> list[StudyDirection]:
    """Returns Optuna's direction of each objective."""
    return [direction_of(metric.goal) for metric in objectives_of(spec)]


def values_of(record: TrialRecord, spec: SweepSpec) -> list[float]:
    """Returns a trial's value of each objective; nan for one that it has not."""
    values = record.values or {}
    found = [record.value, *(values.get(metric.name) for metric in spec.more_metrics)]
    return [math.nan if value is None else value for value in found]


def missed(record: TrialRecord, spec: SweepSpec) -> dict[str, list[float]]:
    """Returns Optuna's attribute of constraints: by how much the trial misses each one (0 or less: kept); empty without."""
    if not spec.constraints:
        return {}
    return {CONSTRAINTS: excesses(spec.constraints, record.facts or {})}


def end_with_values(record: TrialRecord, spec: SweepSpec, paths: SweepPaths) -> dict[str, Any]:
    """Returns what the storage keeps, as `END`, of a trial without a result: of several objectives, each one's value.

    For a failed trial also the best and the last value it logged of each objective that is to be imputed so; where the
    trial's files are on another machine, there are none, and the trial counts as the worst.
    """
    end = end_of(record)
    if not spec.more_metrics:
        return end
    end["values"] = [value if finite_number(value) else None for value in values_of(record, spec)]
    if record.state == "failed" and any(metric.imputes_logged for metric in spec.objectives):
        rows = readable_metrics(paths.trial(record.name).metrics)
        end["logged"] = [_best_and_last(rows, metric) for metric in spec.objectives]
    return end


def _best_and_last(rows: Sequence[Any], metric: Metric) -> list[float]:
    """Returns the best and the last finite value of a metric in the rows; empty without any."""
    found = [value for row in rows if finite_number(value := metric_value(row, metric.name))]
    best = None
    for value in found:
        best = value if best is None or better(metric.goal, value, best) else best
    return [] if best is None else [best, found[-1]]


def reaches_targets(trial: FrozenTrial, spec: SweepSpec) -> bool:
    """Tells whether a finished trial keeps the constraints and has reached all targets that are set; False where none is."""
    wanted = [place for place, metric in enumerate(spec.objectives) if metric.target is not None]
    if not wanted or trial.state != TrialState.COMPLETE or trial.values is None:
        return False
    kept = all(excess <= 0 for excess in trial.system_attrs.get(CONSTRAINTS, ()))
    return kept and all(spec.objectives[place].reached(trial.values[place]) for place in wanted)
