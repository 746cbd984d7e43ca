"""Folds the seeds of a sweep with repeats: each point is shown as one trial, with means, and their standard errors."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace

from ...base.values import finite_number
from ...records.points import Estimate, Point, able_points, group_points
from .data import Curve, Sweep, Trial, thin


def by_points(sweep: Sweep) -> Sweep:
    """Returns the sweep with a trial for each point; without repeats the sweep itself."""
    if sweep.spec is None or sweep.spec.repeats is None or sweep.by_points:
        return sweep
    trials = {trial.record.id: trial for trial in sweep.trials}
    points = group_points(sweep.records)
    able = {point.name for point in able_points(sweep.spec, points)}
    folded = []
    for point in points:
        members = [trials[record.id] for record in point.trials]
        folded.append(_fold(point, members, sweep.spec.constraints, able=point.name in able))
    return replace(sweep, trials=folded)


def _fold(point: Point, members: Sequence[Trial], constraints: Sequence[str], *, able: bool) -> Trial:
    """Makes one trial of a point: the one that stands for it, with the means of all that have finished.

    A point of which no trial has finished has the mean of the last values of those that ended early.
    """
    finished = [trial for trial in members if trial.record.state == "finished"]
    used = finished or [trial for trial in members if finite_number(trial.record.value)] or list(members)
    shown = point.typical or used[0].record
    mean = point.estimate.mean if finished else Estimate.of(trial.record.value for trial in used).mean
    keeps, violated = point.judge(constraints)
    record = replace(
        shown,
        name=point.name,
        number=point.number,
        state="finished" if finished else point.state,
        value=shown.value if mean is None else mean,
        values=point.values or shown.values,
        facts=point.facts if constraints else None,
        feasible=keeps if constraints else None,
        violated=violated,
        seed=None,
        retry_of=None,
    )
    names = dict.fromkeys(name for trial in used for name in trial.curves)
    curves, bands = {}, {}
    for name in names:
        curves[name], bands[name] = _mean_curve([trial.curves[name] for trial in used if name in trial.curves])
    epochs = any(trial.epochs for trial in members)
    url = next((trial.url for trial in members if trial.url), "")
    return Trial(record, curves, [], epochs, {}, url, point, able, bands)


def _mean_curve(curves: Sequence[Curve]) -> tuple[Curve, list[float | None]]:
    """Averages curves as far as all of them go; returns the standard errors of the means, too.

    A curve that has no value at a place has there that of the straight line between its neighbours.
    """
    usable = [
        ([x for x, _ in pairs], [y for _, y in pairs])
        for curve in curves
        if (pairs := sorted((x, y) for x, y in zip(curve.x, curve.y, strict=True) if finite_number(y)))
    ]
    if not usable:
        return curves[0], [None] * len(curves[0].x)
    first, last = max(xs[0] for xs, _ in usable), min(xs[-1] for xs, _ in usable)
    places = sorted({x for xs, _ in usable for x in xs if first <= x <= last})
    thinned = thin(places, places).x
    found = [Estimate.of(_at(xs, ys, place) for xs, ys in usable) for place in thinned]
    return Curve(thinned, [each.mean or 0.0 for each in found]), [each.error for each in found]


def _at(xs: Sequence[float], ys: Sequence[float], x: float) -> float:
    """Returns a curve's value at x, which lies within its range."""
    place = bisect_left(xs, x)
    if xs[place] == x or place == 0:
        return ys[place]
    share = (x - xs[place - 1]) / (xs[place] - xs[place - 1])
    return ys[place - 1] * (1 - share) + ys[place] * share
