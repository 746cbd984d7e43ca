"""Finds how far trials came: the rungs that they paused at, and the iterations at which they were resumed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ....base.values import finite_number
from ....spec import hyperband
from ..data import Sweep, Trial

TYPES = ("asha", "hyperband")  # rules that compare trials at rungs


def rungs(sweep: Sweep, *, seeds: bool = False) -> dict[str, Any] | None:
    """Counts how many trials reached each rung; None where no rule ends or pauses trials.

    Args:
        sweep: with every trial, not with points.
        seeds: whether the page's rows are points, so that it knows the trials from here alone.

    Returns:
        `levels`: the rungs, ascending; `reached`: trials that came as far; `resumed`: trials that were resumed; with
        `seeds`: `trials`, best first: name, state, iterations, where it was resumed, until when it pauses, value, point.
    """
    rule = sweep.spec.early_terminate if sweep.spec is not None else None
    if not sweep.trials or (rule is None and not any(t.record.until for t in sweep.trials)):
        return None
    came = [count for trial in sweep.trials if (count := iterations(trial, sweep.metric))]
    if not came:
        return None
    found = {trial.record.until for trial in sweep.trials if trial.record.until} | set(_levels(sweep, max(came)))
    levels = sorted(level for level in found if level <= max(came))
    return {
        "levels": levels,
        "reached": [sum(count >= level for count in came) for level in levels],
        "resumed": sum(bool(resumed(trial, sweep.metric)) for trial in sweep.trials),
        "trials": [_seed(trial, sweep.metric) for trial in sweep.ranked()] if seeds else None,
    }


def _seed(trial: Trial, metric: str | None) -> list[Any]:
    """Lists what the picture shows of a trial that has no row of its own."""
    record = trial.record
    value = record.value if finite_number(record.value) else None
    return [
        record.name,
        record.state,
        iterations(trial, metric),
        resumed(trial, metric),
        record.until,
        value,
        record.point,
    ]


def _levels(sweep: Sweep, most: int) -> Sequence[int]:
    """Lists the rungs of the rule, up to `most` iterations."""
    rule = sweep.spec.early_terminate if sweep.spec is not None else None
    if rule is None or rule.type not in TYPES:
        return ()
    eta = rule.eta or hyperband.DEFAULT_ETA
    if rule.max_iter is not None and rule.s is not None:
        return hyperband.bands(max_iter=rule.max_iter, s=rule.s, eta=eta)
    return [level for level in hyperband.bands(min_iter=rule.min_iter or 1, eta=eta) if level <= most]


def iterations(trial: Trial, metric: str | None) -> int | None:
    """Returns the iterations that a trial has made: those recorded, else the points of its curve of the metric."""
    if trial.record.iterations is not None:
        return trial.record.iterations
    curve = trial.curves.get(metric or "")
    return len(curve.x) if curve is not None else None


def resumed(trial: Trial, metric: str | None) -> list[int]:
    """Returns the iterations after which a trial's trainer was started again; of thinned curves they are interpolated."""
    curve, count = trial.curves.get(metric or ""), iterations(trial, metric)
    if curve is None or not count:
        return []
    steps = curve.step or curve.x
    return [round(sum(step <= start for step in steps) / len(steps) * count) for start in trial.record.starts]
