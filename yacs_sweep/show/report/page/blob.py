"""Collects the data of the page as one JSON object, which the scripts read through `report.store`.

The object has `sweep` (what is searched, and the best), `trials` (a list for each column, in the order of the trials'
numbers; with repeats a row is a point), `curves` (thinned, by the trial's name), `details` (of trials' own pages, by name)
and `figures` (what the pictures need beside these). A file holds the object packed; the served page fetches it as text, and
merges rows of changed trials.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from ....base.values import finite_number
from ...lines import reason_shown
from ...query.values import aliases_of
from ..data import Sweep, Trial, text_of, thin_places
from ..findings import Findings, places
from .captions import captions
from .details import background, details
from .figures import brief, briefs, figures
from .rungs import iterations, resumed

LEVEL = 6  # of compression: the next levels take twice the time for a hundredth of the size
NUMBERS = 640_000  # of all curves together: what keeps a page of 1,000 trials below 8 MB
FEWEST, MOST = 16, 80  # points of a curve
METRICS = 60  # columns of metrics in the table
CURVES = 8  # metrics with curves
LONGEST = 400  # characters of a reason or a parameter's text


def blob(findings: Findings) -> dict[str, Any]:
    """Collects the data of a report's page."""
    sweep = findings.sweep
    names = metric_names(sweep)
    drawn = curve_metrics(sweep, names)
    pictures = figures(sweep, findings.effects, findings.used, findings.whole)
    points = points_of_curves(len(sweep.trials), len(drawn))
    pictures["curves"] = {"metrics": drawn, "points": points}
    pictures["says"] = captions(findings, pictures)
    told = details(findings)
    return {
        "sweep": {**sweep_data(findings), **background(findings.whole, told)},
        "trials": trial_columns(sweep, sweep.trials, names),
        "curves": curve_data(sweep.trials, drawn, points),
        "figures": pictures,
        "details": told,
    }


def as_text(content: Any) -> str:
    """Writes the data as JSON; everything beyond ASCII is escaped, so that any text survives any transport."""
    return json.dumps(content, separators=(",", ":"), allow_nan=False)


def packed(content: Any) -> str:
    """Packs the data for a script element: JSON, gzip, base64, none of whose letters mean anything in HTML."""
    return base64.b64encode(gzip.compress(as_text(content).encode(), LEVEL, mtime=0)).decode()


# -- the sweep --------------------------------------------------------------------------------------------------------
def sweep_data(findings: Findings) -> dict[str, Any]:
    """Collects what the scripts need to know of the sweep."""
    sweep, verdict = findings.sweep, findings.verdict
    objectives = sweep.spec.objectives if sweep.spec is not None else ()
    parameters, aliases = sweep.parameters(), aliases_of(sweep.launch) if sweep.launch else {}
    return {
        "id": sweep.id,
        "name": sweep.name,
        "metric": sweep.metric,
        "goal": sweep.goal,
        "metrics": [{"name": metric.name, "goal": metric.goal} for metric in objectives],
        "noun": sweep.noun,
        "repeat": sweep.repeat_noun,
        "axis": sweep.axis,
        "best": sweep.best.name if sweep.best is not None else None,
        "alike": verdict.alike if verdict is not None and verdict.clear is False else [],
        "searched": sweep.searched(),
        "aliases": {name: other for name, other in aliases.items() if other in parameters and name not in parameters},
    }


# -- trials -----------------------------------------------------------------------------------------------------------
def metric_names(sweep: Sweep) -> list[str]:
    """Lists the metrics: the objectives, what the constraints mention, then those that most trials have logged."""
    spec = sweep.spec
    own = [metric.name for metric in spec.objectives] if spec is not None else []
    facts = [name for trial in sweep.trials for name in trial.record.facts or {}]
    counted = Counter(name for trial in sweep.trials for name in trial.curves)
    logged = sorted(counted, key=lambda name: (-counted[name], name))
    return list(dict.fromkeys([*own, *([sweep.metric] if sweep.metric else []), *facts, *logged]))[:METRICS]


def trial_columns(sweep: Sweep, trials: Sequence[Trial], metrics: Sequence[str]) -> dict[str, Any]:
    """Makes the columns of some trials; one in which no trial has a value is left out.

    Args:
        trials: all of the sweep, or those that have changed.

    Returns:
        A list by the name of each field, and of such lists `params` by the parameter, `values` and `best` by the metric
        (its last value; of objectives the best that was reached).
    """
    ranked = sweep.ranked()
    rank = {id(trial): place for trial, place in zip(ranked, places(ranked), strict=True)}
    records = [trial.record for trial in trials]
    objectives, front = sweep.spec.objectives if sweep.spec is not None else (), set(sweep.front())
    fields: dict[str, list[Any]] = {
        "name": [record.name for record in records],
        "number": [record.number for record in records],
        "state": [record.state for record in records],
        "rank": [rank.get(id(trial)) for trial in trials],
        "value": [_value(record.value) for record in records],
        "error": [brief(trial.point.estimate.error, 4) if trial.point else None for trial in trials],
        "seeds": [trial.point.estimate.n if trial.point else None for trial in trials],
        "members": [[each.name for each in trial.point.trials] if trial.point else None for trial in trials],
        "duration": [brief(trial.seconds) for trial in trials],
        "started": [record.started or None for record in records],
        "ended": [record.ended for record in records],
        "reason": [record.reason[:LONGEST] or None for record in records],
        "cause": [record.cause or None for record in records],
        "point": [record.point for record in records],
        "seed": [record.seed for record in records],
        "attempts": [record.attempts if record.attempts > 1 else None for record in records],
        "exit_code": [record.exit_code or None for record in records],
        "gpus": [",".join(record.gpu_ids) or None for record in records],
        "host": [record.host or None for record in records],
        "retry_of": [record.retry_of for record in records],
        "parent": [record.parent_trial for record in records],
        "begun_at": [record.begun_at or None for record in records],
        "replaces": [record.replaces for record in records],
        "until": [record.until for record in records],
        "iterations": [iterations(trial, sweep.metric) for trial in trials],
        "resumed": [resumed(trial, sweep.metric) or None for trial in trials],
        "violated": [
            (reason_shown(record, objectives) or None) if record.state == "finished" else None for record in records
        ],
        "front": [record.name in front or None for record in records],
        "id": [record.id for record in records],
        "url": [trial.url or None for trial in trials],
    }
    kept: dict[str, Any] = {
        name: values
        for name, values in fields.items()
        if name in ("name", "number", "state", "value") or any(value is not None for value in values)
    }
    kept["params"] = {
        name: [_value(record.params[name]) if name in record.params else None for record in records]
        for name in sweep.parameters()
    }
    kept["values"] = {name: [_last(trial, name, sweep.metric) for trial in trials] for name in metrics}
    goals = {metric.name: metric.goal for metric in sweep.spec.objectives} if sweep.spec is not None else {}
    kept["best"] = {name: [_reached(trial, name, goal) for trial in trials] for name, goal in goals.items()}
    return kept


def _value(value: Any) -> Any:
    """Converts a value for the scripts: numbers beyond JSON become their names, long texts are cut, mappings are texts."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int) and finite_number(value):
        return value
    if isinstance(value, int | float):
        return float(f"{value:.10g}") if finite_number(value) else _name_of(value)
    if isinstance(value, list | tuple):
        items = [_value(item) for item in value]
        return items if len(items) <= 32 else text_of(value)[:LONGEST]
    return text_of(value)[:LONGEST]


def _name_of(value: float) -> str:
    """Names a number that JSON has no way to write: NaN, Infinity or -Infinity."""
    return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"


def _last(trial: Trial, name: str, metric: str | None) -> Any:
    """Returns a metric's value: what the record has of an objective or a constraint, else the last that was logged."""
    record = trial.record
    found = record.value if name == metric else (record.values or {}).get(name)
    found = (record.facts or {}).get(name) if found is None else found
    if found is None and name in trial.curves and trial.curves[name].y:
        found = trial.curves[name].y[-1]
    return _value(found)


def _reached(trial: Trial, name: str, goal: str) -> float | None:
    """Returns the best value of an objective that a trial has logged."""
    if name not in trial.reached:
        return None
    least, most = trial.reached[name]
    return brief(most if goal == "maximize" else least)


# -- curves -----------------------------------------------------------------------------------------------------------
def curve_metrics(sweep: Sweep, names: Iterable[str]) -> list[str]:
    """Chooses the metrics with curves: as many as leave each curve `FEWEST` points."""
    there = {name for trial in sweep.trials for name in trial.curves}
    most = max(1, NUMBERS // (2 * FEWEST * max(1, len(sweep.trials))))
    return [name for name in names if name in there][: min(CURVES, most)]


def points_of_curves(trials: int, metrics: int) -> int:
    """Computes how many points each curve has."""
    return max(FEWEST, min(MOST, NUMBERS // (2 * max(1, trials * metrics))))


def curve_data(trials: Sequence[Trial], metrics: Sequence[str], points: int) -> dict[str, dict[str, Any]]:
    """Thins the curves of some trials.

    Returns:
        By the trial's name and the metric: `x` (epoch or step, as the sweep's axis says), `y`, `step` where x is the epoch;
        with repeats `error`, the standard errors of the means `y`.
    """
    return {
        trial.record.name: {name: _curve(trial, name, points) for name in metrics if name in trial.curves}
        for trial in trials
        if trial.curves
    }


def _curve(trial: Trial, name: str, points: int) -> dict[str, Any]:
    """Thins and rounds one curve."""
    curve = trial.curves[name]
    size = len(curve.x)
    places = thin_places(size, points)
    found: dict[str, Any] = {
        "x": briefs([curve.x[place] for place in places]),
        "y": briefs([curve.y[place] for place in places], 5),
    }
    if trial.epochs and len(curve.step) == size:
        found["step"] = briefs([curve.step[place] for place in places])
    errors = trial.bands.get(name)
    if errors and len(errors) == size:
        found["error"] = [brief(errors[place], 3) for place in places]
    return found
