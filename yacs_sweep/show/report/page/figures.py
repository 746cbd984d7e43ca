"""Computes the data of the page's plots as JSON: rounded and thinned, without any drawing."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Container, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ....base.values import finite_number, utc_seconds
from ....records.control.words import order_text
from ....records.population.lineage import lineage
from ....spec.sweep import Metric
from ...left_out import kind_of, left_out
from ..columns import Column, column
from ..data import Sweep, Trial, is_finished
from ..importance import Effect
from ..scores import Sample, is_censored, is_diverged
from ..statistics import spearman
from .rungs import rungs

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_BOUND = re.compile(
    rf"(?P<name>`[^`]+`|[\w./]+)\s*[<>]=?\s*(?P<at>{_NUMBER})|(?P<from>{_NUMBER})\s*[<>]=?\s*(?P<other>`[^`]+`|[\w./]+)"
)
DIMENSIONS = 12  # axes of the parallel coordinates
GRID = 28  # cells of the contour in each direction
BANDWIDTH = 0.6  # of the contour's kernel, times n^(-1/6), in units of the axis
FAR = 0.02  # kernel weight below which nothing is known of a cell
SURFACE_TRIALS = 12  # trials from which on there is a surface between them
SURFACE_VALUES = 6  # different values of a continuous parameter, and trials of a level beside it, that a surface needs
SURFACE_SHUFFLES = 99  # that the surface must beat, each of them: chance does in 1 of 100
TESTED = 1000  # trials of that test at most
ON_A_LINE = 0.95  # rank correlation of two parameters from which on their trials are on a line, not on a surface


def figures(sweep: Sweep, effects: Sequence[Effect], used: Sample, whole: Sweep | None = None) -> dict[str, Any]:
    """Computes all data for the page's script.

    Args:
        whole: every trial of a sweep with repeats, of which `sweep` has the points.
    """
    whole = sweep if whole is None else whole
    order = [effect.name for effect in effects]
    names = [*order, *(name for name in sweep.searched() if name not in order)]
    columns = [column(sweep, name, sweep.trials).as_levels() for name in names]
    pair = names[:2]
    scores = {id(trial): score for trial, score in zip(used.trials, used.scores, strict=True)}
    drawn = {id(trial) for trial in used.trials if not is_diverged(trial)}
    return {
        "metric": sweep.metric or "",
        "goal": sweep.goal,
        "noun": sweep.noun,
        "repeats": f"{sweep.repeat_noun}s",
        "means": int(sweep.by_points),
        "axis": sweep.axis,
        "trials": {
            "state": [trial.record.state for trial in sweep.trials],
            "counts": [int(is_finished(trial)) for trial in sweep.trials],
            "drawn": [int(id(trial) in drawn) for trial in sweep.trials],
            "early": [int(is_censored(trial)) for trial in sweep.trials],
            "score": [brief(scores.get(id(trial)), 4) for trial in sweep.trials],
        },
        "columns": [_column(item) for item in columns],
        "dimensions": min(DIMENSIONS, len(columns)),
        "effects": [_effect(effect) for effect in effects],
        "slices": [names.index(name) for name in pair],
        "surface": surface(sweep, used, pair, [names.index(name) for name in pair]),
        "descent": descent(sweep),
        "rungs": rungs(whole, seeds=sweep.by_points),
        "family": int(not sweep.by_points and any(trial.record.parent_trial for trial in sweep.trials)),
        "timeline": timeline(whole),
        "all": [] if whole is sweep else [[record.name, record.state, brief(record.value)] for record in whole.records],
        "front": front(sweep),
    }


def brief(value: Any, digits: int = 6) -> float | None:
    """Rounds a number to few digits; None for a value that cannot be drawn."""
    return float(f"{value:.{digits}g}") if finite_number(value) else None


def briefs(values: Sequence[float], digits: int = 6) -> list[float | None]:
    """Rounds many numbers as `brief` does each, at half of the cost."""
    if set(map(type, values)) <= {float} and all(map(math.isfinite, values)):
        return [float(f"{value:.{digits}g}") for value in values]
    return [brief(value, digits) for value in values]


def _column(item: Column) -> dict[str, Any]:
    """Converts a column to JSON."""
    values = [None if value is None else brief(value) for value in item.values]
    return {"name": item.name, "kind": item.kind, "log": item.log, "levels": item.levels, "values": values}


def _effect(effect: Effect) -> dict[str, Any]:
    """Converts an effect to JSON."""
    return {
        "name": effect.name,
        "importance": brief(effect.importance, 4),
        "chance": brief(effect.chance, 4),
        "clear": effect.clear,
        "rank": effect.rank,
        "correlation": brief(effect.correlation, 3),
        "interval": [brief(bound, 3) for bound in effect.interval] if effect.interval else None,
        "level": effect.level,
    }


def descent(sweep: Sweep) -> dict[str, Any] | None:
    """Computes the plot of the parameters along the best trial's line of descent; None where it has no parent."""
    trials = {trial.record.name: trial for trial in sweep.trials}
    found = lineage(sweep.best, sweep.records) if sweep.best is not None else []
    line = [trials[stretch.trial] for stretch in found]
    changed = [column(sweep, name, line).as_levels() for name in sweep.searched()] if len(line) > 1 else []
    changed = [item for item in changed if len(set(item.values)) > 1][:DIMENSIONS]
    if not changed:
        return None
    return {
        "spans": [[stretch.first, stretch.last] for stretch in found],
        "trials": [stretch.trial for stretch in found],
        "columns": [_column(item) for item in changed],
    }


# -- several objectives -----------------------------------------------------------------------------------------------
def front(sweep: Sweep) -> dict[str, Any] | None:
    """Computes the plots of several objectives, two of them each; None where there is one objective.

    Returns:
        The objectives; each trial's values, their standard errors and what it is (front, dominated, violates, beyond a
        threshold, early); the pairs of objectives that are drawn, as places: second on the x-axis; and the bounds that
        constraints set to an objective.
    """
    objectives = sweep.spec.objectives if sweep.spec is not None else ()
    if len(objectives) < 2:
        return None
    names, on_front = [metric.name for metric in objectives], set(sweep.front())
    values = [[(trial.record.values or {}).get(name) for name in names] for trial in sweep.trials]
    errors = [[trial.point.objective(name).error if trial.point else None for name in names] for trial in sweep.trials]
    points = [trial.point for trial in sweep.trials if trial.point is not None]
    out = left_out(sweep.spec, points) if sweep.spec is not None and sweep.by_points else None
    few = range(len(names))
    pairs = (
        [(one, two) for one in few for two in few if one < two] if len(names) <= 3 else [(0, two) for two in few[1:6]]
    )
    return {
        "objectives": [
            {"name": metric.name, "goal": metric.goal, "threshold": brief(metric.threshold)} for metric in objectives
        ],
        "values": [[brief(value) for value in row] for row in values],
        "errors": [[brief(value, 3) for value in row] for row in errors],
        "kind": [_front_kind(trial, objectives, on_front, out) for trial in sweep.trials],
        "pairs": pairs,
        "bounds": [
            {"objective": names.index(name), "at": at, "text": text}
            for text in (sweep.spec.constraints if sweep.spec is not None else ())
            for name, at in bounds_in(text)
            if name in names
        ],
    }


def _front_kind(
    trial: Trial, objectives: Sequence[Metric], on_front: Container[str], out: Mapping[str, str] | None
) -> str:
    """Says why a trial is on the front, or is not; `out`: of points, what keeps them from it (`left_out`)."""
    record = trial.record
    if record.name in on_front:
        return "front"
    if out is not None:
        return out.get(record.name, "dominated")
    finished, keeps, values = record.state == "finished", record.keeps_constraints, record.values or {}
    kind = kind_of(finished=finished, keeps=keeps, able=True, values=values, objectives=objectives)
    return kind or "dominated"


def bounds_in(constraint: str) -> list[tuple[str, float]]:
    """Finds the names that a constraint compares with a number alone, and the numbers: `val/mAP >= 80 and ms < 5`."""
    found = []
    for part in re.split(r"\band\b", constraint):
        match = _BOUND.fullmatch(part.strip())
        if match is not None:
            name = match["name"] or match["other"]
            found.append((name.strip("`"), float(match["at"] or match["from"])))
    return found


# -- workers ----------------------------------------------------------------------------------------------------------
def timeline(sweep: Sweep) -> dict[str, Any]:
    """Computes the bars of trials on their lanes, and the moments of orders, in seconds from the first start.

    A lane is a GPU of a host; where trials on one overlap, there are as many lanes as ran at the same time.
    """
    now = max((end for trial in sweep.trials if (end := utc_seconds(trial.record.ended)) is not None), default=None)
    spans: dict[tuple[str, str], list[tuple[float, float, int]]] = defaultdict(list)
    for place, trial in enumerate(sweep.trials):
        start = utc_seconds(trial.record.started)
        end = utc_seconds(trial.record.ended) or now
        if start is not None:
            key = trial.record.host, ",".join(trial.record.gpu_ids)
            spans[key].append((start, max(start, end if end is not None else start), place))
    if not spans:
        return {"lanes": [], "bars": [], "start": None, "orders": []}
    first = min(start for group in spans.values() for start, _, _ in group)
    hosts = {host for host, _ in spans}
    lanes: list[str] = []
    bars: list[list[float]] = []
    for (host, gpus), group in sorted(spans.items()):
        ends: list[float] = []
        base = len(lanes)
        for start, end, place in sorted(group):
            lane = next((index for index, free in enumerate(ends) if free <= start + 0.001), len(ends))
            ends[lane : lane + 1] = [end]
            bars.append([base + lane, brief(start - first) or 0.0, brief(end - start) or 0.0, place])
        label = " · ".join(filter(None, [host if len(hosts) > 1 else "", f"GPU {gpus}" if gpus else ""]))
        numbered = len(ends) > 1 or not label
        lanes += [f"{label} worker {index + 1}".strip() if numbered else label for index in range(len(ends))]
    orders = [
        [brief(at - first) or 0.0, f"{order_text(given.order)} by {given.order.who}"]
        for given in sweep.orders
        if (at := utc_seconds(given.order.at)) is not None
    ]
    return {"lanes": lanes, "bars": bars, "start": first, "orders": orders}


# -- two parameters ---------------------------------------------------------------------------------------------------
def surface(sweep: Sweep, used: Sample, names: Sequence[str], places: Sequence[int]) -> dict[str, Any] | None:
    """Computes how good trials are over two parameters, smoothed by a Gaussian kernel (Nadaraya-Watson).

    Of finished trials alone it is the metric. With trials that ended early, whose values are of earlier epochs, it is the
    score. Cells far from every trial are empty. Levels, also of a discrete number, have a cell each and no neighbours.

    Args:
        names: the two parameters.
        places: their columns in the figures' data.

    Returns:
        `kind`: contour, cells (both have levels), strips (one has), points where the trials make no surface, flat where it
        may be chance; whether it is of the score; the grid (`xs`, `ys`) and values (`z`, rows by y), empty for points and
        flat. None with fewer than four trials.
    """
    drawn = [place for place, trial in enumerate(used.trials) if not is_diverged(trial)]
    if len(names) < 2 or len(drawn) < 4:
        return None
    trials = [used.trials[place] for place in drawn]
    axes = [column(sweep, name, trials).as_levels() for name in names]
    both = [place for place in range(len(trials)) if all(axis.values[place] is not None for axis in axes)]
    if len(both) < 4:
        return None
    of_score = any(used.censored[drawn[place]] for place in both)
    values = [used.scores[drawn[place]] if of_score else float(trials[place].record.value or 0.0) for place in both]
    at = [[axis.at(value) for place in both if (value := axis.values[place]) is not None] for axis in axes]
    kind = _surface_kind(axes, at)
    ranked = [used.scores[drawn[place]] for place in both]
    if kind in ("contour", "strips") and not _follows(axes, at, ranked):
        kind = "flat"
    found = {"kind": kind, "x": places[0], "y": places[1], "score": of_score, "xs": [], "ys": [], "z": []}
    if kind not in ("points", "flat"):
        found["xs"], found["ys"], found["z"] = _smooth(axes, at, values)
    return found


def _surface_kind(axes: Sequence[Column], at: Sequence[Sequence[float]]) -> str:
    """Decides whether trials make a surface: contour, cells, strips, or points where they do not.

    Args:
        at: the trials' places on each axis.
    """
    cells = len(set(zip(*at, strict=True)))
    if all(axis.kind == "category" for axis in axes):
        return "cells" if cells > max(len(set(own)) for own in at) else "points"
    continuous = [len(set(own)) for axis, own in zip(axes, at, strict=True) if axis.kind == "number"]
    if len(at[0]) < SURFACE_TRIALS or min(continuous) < SURFACE_VALUES:
        return "points"
    if len(continuous) == 1:
        levels = next(len(set(own)) for axis, own in zip(axes, at, strict=True) if axis.kind == "category")
        return "strips" if levels > 1 and len(at[0]) >= SURFACE_VALUES * levels else "points"
    return "contour" if abs(spearman(*at) or 0.0) < ON_A_LINE else "points"


def _kernel(axis: Column, own: Sequence[float], grid: Sequence[float]) -> Array:
    """Computes the weight of each trial at each place of an axis: places × trials."""
    import numpy as np

    apart = np.array(grid)[:, None] - np.array(own)[None, :]
    width = BANDWIDTH * len(own) ** (-1 / 6) / 2 * (max(own) - min(own)) / 2
    weights: Array = (apart == 0).astype(float) if axis.kind == "category" else np.exp(-0.5 * (apart / width) ** 2)
    return weights


def _follows(axes: Sequence[Column], at: Sequence[Sequence[float]], scores: Sequence[float]) -> bool:
    """Tells whether a trial's neighbours say more of its score than chance: a permutation test of leaving each trial out."""
    import numpy as np

    step = math.ceil(len(scores) / TESTED)
    known = np.array(scores)[::step]
    thinned = [own[::step] for own in at]
    kernel = _kernel(axes[0], thinned[0], thinned[0]) * _kernel(axes[1], thinned[1], thinned[1])
    np.fill_diagonal(kernel, 0.0)
    kernel /= np.maximum(kernel.sum(axis=1, keepdims=True), 1e-300)
    source = np.random.default_rng(0)
    shuffled = source.permuted(np.tile(known, (SURFACE_SHUFFLES, 1)), axis=1)
    rows = np.vstack([known, shuffled]) - known.mean()
    errors = ((rows - rows @ kernel.T) ** 2).sum(axis=1)
    return bool(errors[0] < errors[1:].min())


def _smooth(
    axes: Sequence[Column], at: Sequence[Sequence[float]], values: Sequence[float]
) -> tuple[list[float | None], list[float | None], list[list[float | None]]]:
    """Smooths the values of trials over two axes: the cells of both, and the value in each, rows by y."""
    import numpy as np

    weights, cells = [], []
    for axis, own in zip(axes, at, strict=True):
        levels = axis.kind == "category"
        grid = np.arange(float(len(axis.levels))) if levels else np.linspace(min(own), max(own), GRID)
        weights.append(_kernel(axis, own, grid.tolist()))
        cells.append([brief(10.0**value if axis.log else value) for value in grid.tolist()])
    kernel = weights[1][:, None, :] * weights[0][None, :, :]  # y, x, trial
    total = kernel.sum(axis=2)
    smooth = np.where(total > FAR, (kernel @ np.array(values)) / np.maximum(total, 1e-300), math.nan)
    return cells[0], cells[1], [[brief(value, 5) for value in row] for row in smooth.tolist()]
