"""Computes the data of the page's plots as JSON: rounded and thinned, without any drawing."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

from ...base.values import finite_number, utc_seconds
from .columns import Column, column
from .data import Sweep, Trial, thin
from .statistics import Effect

LINES = 240  # learning curves drawn; more cannot be told apart
OTHER_METRICS = 6  # metrics beside the sweep's own
OTHER_POINTS = 40  # points of their curves
DIMENSIONS = 12  # axes of the parallel coordinates
GRID = 28  # cells of the contour in each direction
BANDWIDTH = 0.6  # of the contour's kernel, times n^(-1/6), in units of the axis
FAR = 0.02  # kernel weight below which nothing is known of a cell


def figures(sweep: Sweep, effects: Sequence[Effect]) -> dict[str, Any]:
    """Computes all data for the page's script."""
    order = [effect.name for effect in effects]
    names = [*order, *(name for name in sweep.searched() if name not in order)]
    columns = [column(sweep, name, sweep.trials) for name in names]
    finished = {id(trial) for trial in sweep.finished}
    pair = telling(effects) or names[:2]
    return {
        "metric": sweep.metric or "",
        "goal": sweep.goal,
        "axis": sweep.axis,
        "trials": {
            "name": [trial.record.name for trial in sweep.trials],
            "number": [trial.record.number for trial in sweep.trials],
            "state": [trial.record.state for trial in sweep.trials],
            "value": [brief(trial.record.value) for trial in sweep.trials],
            "counts": [int(id(trial) in finished) for trial in sweep.trials],
            "url": [trial.url for trial in sweep.trials],
            "seconds": [brief(trial.seconds, 4) for trial in sweep.trials],
        },
        "columns": [_column(item) for item in columns],
        "dimensions": min(DIMENSIONS, len(columns)),
        "effects": [_effect(effect) for effect in effects],
        "slices": [names.index(name) for name in pair],
        "surface": surface(sweep, pair, [names.index(name) for name in pair]),
        "curves": curves(sweep),
        "timeline": timeline(sweep),
    }


def telling(effects: Sequence[Effect]) -> list[str]:
    """Chooses the two most important parameters: those beyond chance first, and those that most trials have."""
    order = sorted(effects, key=lambda effect: (not effect.clear, -effect.importance * effect.trials))
    return [effect.name for effect in order[:2]]


def brief(value: Any, digits: int = 6) -> float | None:
    """Rounds a number to few digits; None for a value that cannot be drawn."""
    return float(f"{value:.{digits}g}") if finite_number(value) else None


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
        "correlation": brief(effect.correlation, 3),
        "interval": [brief(bound, 3) for bound in effect.interval] if effect.interval else None,
        "level": effect.level,
    }


# -- learning curves --------------------------------------------------------------------------------------------------
def curves(sweep: Sweep) -> dict[str, Any]:
    """Chooses the curves of the best trials, and of others evenly over the sweep."""
    ranked = [trial for trial in sweep.ranked() if trial.curves]
    chosen = ranked[:10]
    rest = sorted(ranked[10:], key=lambda trial: trial.record.number)
    step = max(1.0, len(rest) / (LINES - len(chosen)))
    chosen += [rest[int(place * step)] for place in range(int(len(rest) / step))]
    counted = Counter(name for trial in chosen for name in trial.curves)
    own = [sweep.metric] if sweep.metric is not None and sweep.metric in counted else []
    metrics = [*own, *sorted((name for name in counted if name not in own), key=lambda name: (-counted[name], name))]
    metrics = metrics[: OTHER_METRICS + 1]
    places = {id(trial): place for place, trial in enumerate(sweep.trials)}
    lines = [
        {"trial": places[id(trial)], "best": rank, "xy": [_xy(trial, name, name == sweep.metric) for name in metrics]}
        for rank, trial in enumerate(chosen)
    ]
    return {"metrics": metrics, "lines": lines, "all": len(ranked)}


def _xy(trial: Trial, name: str, full: bool) -> list[list[float | None]] | None:
    """Rounds the points of a curve, and thins them unless they are wanted in full."""
    curve = trial.curves.get(name)
    if curve is None:
        return None
    if not full:
        curve = thin(curve.x, curve.y, OTHER_POINTS)
    return [[brief(value, 5) for value in curve.x], [brief(value, 5) for value in curve.y]]


# -- workers ----------------------------------------------------------------------------------------------------------
def timeline(sweep: Sweep) -> dict[str, Any]:
    """Computes the bars of trials on their lanes, in seconds from the first start.

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
        return {"lanes": [], "bars": [], "start": None}
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
    return {"lanes": lanes, "bars": bars, "start": first}


# -- two parameters ---------------------------------------------------------------------------------------------------
def surface(sweep: Sweep, names: Sequence[str], places: Sequence[int]) -> dict[str, Any] | None:
    """Computes the metric over two parameters: finished trials, smoothed by a Gaussian kernel (Nadaraya-Watson).

    Cells far from every trial are empty. A category has a cell for each level, and no neighbours.

    Args:
        names: the two parameters.
        places: their columns in the figures' data.

    Returns:
        Grid (`xs`, `ys`) and values (`z`, rows by y); None when there are too few trials or values.
    """
    trials = sweep.finished
    if len(names) < 2 or len(trials) < 4:
        return None
    import numpy as np

    axes = [column(sweep, name, trials) for name in names]
    both = [place for place in range(len(trials)) if all(axis.values[place] is not None for axis in axes)]
    if len(both) < 4:
        return None
    values = np.array([float(trials[place].record.value or 0.0) for place in both])
    weights, cells = [], []
    for axis in axes:
        known = [axis.values[place] for place in both]
        at = np.array([axis.at(value) if axis.kind == "number" else value for value in known if value is not None])
        if axis.kind == "category":
            grid = np.arange(float(len(axis.levels)))
            weights.append((grid[:, None] == at[None, :]).astype(float))
        else:
            low, high = float(at.min()), float(at.max())
            if low == high:
                return None
            grid = np.linspace(low, high, GRID)
            width = BANDWIDTH * len(both) ** (-1 / 6) / 2 * (high - low) / 2
            weights.append(np.exp(-0.5 * ((grid[:, None] - at[None, :]) / width) ** 2))
        cells.append([10.0**value if axis.log else value for value in grid.tolist()])
    kernel = weights[1][:, None, :] * weights[0][None, :, :]  # y, x, trial
    total = kernel.sum(axis=2)
    smooth = np.where(total > FAR, (kernel @ values) / np.maximum(total, 1e-300), math.nan)
    return {
        "x": places[0],
        "y": places[1],
        "xs": [brief(value) for value in cells[0]],
        "ys": [brief(value) for value in cells[1]],
        "z": [[brief(value, 5) for value in row] for row in smooth.tolist()],
        "smooth": all(axis.kind == "number" for axis in axes),
    }
