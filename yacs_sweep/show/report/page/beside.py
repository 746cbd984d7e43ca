"""Writes the section about two sweeps: which is better and how sure that is, what each searched, values on the same axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from ....base.values import finite_number
from ....base.wording import sentence
from ....records.folder import better
from ...lines import Contrast
from ...query.compare import best_params, common_of, common_text, difference, summary_rows, sweep_summary, verdict_text
from ...snapshot import Snapshot
from ..columns import column
from ..data import Sweep, Trial, is_finished, text_of
from ..findings import Findings
from ..repeat import seeds_command
from .blob import curve_data, curve_metrics, metric_names, points_of_curves, trial_columns
from .details import details
from .figures import brief
from .pieces import command, numbers, table, without_long
from .top import ALONE

MOST = 400  # points of a picture
CURVES = 4  # metrics whose curves are drawn
PARAMETERS = 4  # parameters whose values are drawn


@dataclass(frozen=True)
class Pair:
    """Holds two sweeps that are shown side by side; the page is the first one's."""

    snapshots: tuple[Snapshot, Snapshot]
    findings: tuple[Findings, Findings]

    @property
    def ids(self) -> list[str]:
        """The sweeps' ids."""
        return [snapshot.paths.sweep_id for snapshot in self.snapshots]


def beside(pair: Pair) -> str:
    """Writes the section; its pictures are drawn by the script."""
    found = [sweep_summary(snapshot) for snapshot in pair.snapshots]
    verdict = difference(pair.snapshots)
    kind = "lead" if verdict is not None and (verdict.clear or verdict.better is None) else "note"
    parts = [f'<p class="{kind}">{escape(f"The best of each: {verdict_text(pair.snapshots, verdict)}.")}</p>']
    if text := common_text(pair.snapshots, common_of(pair.snapshots)):
        parts.append(f'<p class="lead">{escape(sentence(text))}</p>')
    if verdict is None or not verdict.clear:
        parts.append(_next(pair))
    rows = [[escape(cell) for cell in row] for row in summary_rows(pair.snapshots, found)]
    sure = [_sure(findings) for findings in pair.findings]
    place = next((place for place, row in enumerate(rows) if row[0] == "in"), len(rows) - 1)
    rows.insert(place + 1, ["how sure", *map(escape, sure)])
    heads = [("name", ""), *(("", sweep_id) for sweep_id in pair.ids)]
    parts.append(table(heads, rows, caption="The two sweeps"))
    parts.append("<h3>What was searched</h3>" + _parameters(pair, found))
    parts.append('<div id="beside-pictures"></div>')
    return "".join(parts)


def _next(pair: Pair) -> str:
    """Writes the commands that would tell which best is better: both trained with seeds that no search has used."""
    found = [seeds_command(findings.whole) for findings in pair.findings]
    lines = [command(line) for each in found if each is not None for _, line in [each]]
    if len(lines) < len(found):
        return ""
    compared = " and ".join(f"<code>{escape(sweep_id)}-best</code>" for sweep_id in pair.ids)
    return f'<p class="lead">To know, train both with several seeds, then compare {compared}:</p>{"".join(lines)}'


def _sure(findings: Findings) -> str:
    """Says how sure the best of one sweep is, or why that is not known."""
    if findings.verdict is not None:
        return without_long(findings.verdict.text)
    return (
        ALONE.format(findings.sweep.noun) if findings.sweep.best is not None else "No trial has finished with a value."
    )


def answer(pair: Pair) -> str:
    """Writes for the first screen which of the two is better, with a link to the section."""
    other, text = pair.ids[1], verdict_text(pair.snapshots, difference(pair.snapshots))
    return f'<p class="note"><a href="#beside">Beside {escape(other)}</a>: {escape(text)}.</p>'


def _parameters(pair: Pair, found: Sequence[Mapping[str, Any]]) -> str:
    """Writes the table of parameters: first those that were searched in one sweep and fixed in the other."""
    names = list(dict.fromkeys(name for each in found for name in (*each["searched"], *best_params(each))))
    kinds = {name: [_kind(findings.whole, name) for findings in pair.findings] for name in names}
    order = {"searched": 0, "fixed": 1, "not set": 2}
    apart = [name for name in names if len(set(kinds[name])) > 1]
    best = [best_params(each) for each in found]
    contrast = Contrast.of_values({name: [params[name] for params in best if name in params] for name in names})
    rows = []
    for name in [
        *apart,
        *sorted((name for name in names if name not in apart), key=lambda each: order[kinds[each][0]]),
    ]:
        row = [escape(name)]
        for each, params, kind in zip(found, best, kinds[name], strict=True):
            described = each["searched"].get(name, "")
            text = numbers(described) if kind == "searched" else numbers(f"{kind} {described}".strip())
            row += [
                f"<b>{text}</b>" if name in apart else text,
                numbers(contrast.text(name, params[name])) if name in params else "–",
            ]
        rows.append(row)
    heads = [("name", "parameter")]
    for sweep_id in pair.ids:
        heads += [("", sweep_id), ("", "in its best")]
    lead = ""
    if apart:
        lead = f'<p class="lead">Searched in one sweep and not in the other: {escape(", ".join(apart))}.</p>'
    return lead + (
        table(heads, rows, caption="Parameters of the two sweeps")
        if rows
        else '<p class="lead">Neither has a parameter.</p>'
    )


def _kind(sweep: Sweep, name: str) -> str:
    """Says whether a sweep searched a parameter: searched, fixed, or not set."""
    declared = sweep.declared(name)
    if declared is not None:
        return "fixed" if declared.distribution == "constant" or len(declared.values or (0, 0)) == 1 else "searched"
    values = {text_of(record.params[name]) for record in sweep.records if name in record.params}
    return "searched" if len(values) > 1 else "fixed" if values else "not set"


# -- pictures ---------------------------------------------------------------------------------------------------------
def pictures(pair: Pair) -> dict[str, Any]:
    """Collects the pictures of both sweeps on the same axes, as the script draws them, and the trials of the other sweep.

    Returns:
        `names` of the sweeps, and `figures`: title, name of the x-axis, whether it is logarithmic, and the series, each with
        the place of its sweep; `other`: what `#compare=` needs to show trials of the second sweep beside those of the first.
    """
    sweeps = [findings.sweep for findings in pair.findings]
    one, other = sweeps
    found: list[dict[str, Any]] = []
    if one.metric is not None and (one.metric, one.goal) == (other.metric, other.goal):
        found.append(_figure(f"best {one.metric} so far", "trial", [_so_far(sweep) for sweep in sweeps]))
        spent = [_by_seconds(sweep) for sweep in sweeps]
        unit, word = _unit(max((x[-1] for x, _ in spent if x), default=0.0))
        lines = [([seconds / unit for seconds in x], y) for x, y in spent]
        found.append(_figure(f"best {one.metric} so far", f"{word} of training", lines))
        several = [name for name in one.parameters() if any(_kind(sweep, name) == "searched" for sweep in sweeps)]
        common = [name for name in several if name in other.parameters() and _is_number(sweeps, name)]
        chosen = sorted(common, key=lambda name: name not in one.searched() and name not in other.searched())
        for name in chosen[:PARAMETERS]:
            log = any(column(sweep, name, _given(sweep, name)).log for sweep in sweeps)
            points = [_values(sweep, name) for sweep in sweeps]
            found.append(_figure(one.metric, name, points, points=True, log=log))
    bests = [sweep.best_trial for sweep in sweeps]
    names = dict.fromkeys(name for trial in bests if trial is not None for name in trial.curves)
    first = [name for name in names if name == one.metric] + [name for name in names if name != one.metric]
    for name in first[:CURVES]:
        curves = [trial.curves.get(name) if trial is not None else None for trial in bests]
        if all(curve is not None for curve in curves):
            lines = [(curve.x, curve.y) for curve in curves if curve is not None]
            found.append(_figure(f"{name} of the best", one.axis, lines))
    figures = [each for each in found if each["series"]]
    return {"names": pair.ids, "figures": figures, "other": _other(pair.ids[1], pair.findings[1])}


def _other(sweep_id: str, findings: Findings) -> dict[str, Any]:
    """Collects the trials of the other sweep: columns, curves, details, as the page's own data have them."""
    sweep = findings.sweep
    names = metric_names(sweep)
    drawn = curve_metrics(sweep, names)
    return {
        "id": sweep_id,
        "best": sweep.best.name if sweep.best is not None else None,
        "axis": sweep.axis,
        "trials": trial_columns(sweep, sweep.trials, names),
        "curves": curve_data(sweep.trials, drawn, points_of_curves(len(sweep.trials), len(drawn))),
        "details": details(findings),
    }


def _figure(
    title: str,
    x_title: str,
    lines: Sequence[tuple[Sequence[float], Sequence[float]]],
    *,
    points: bool = False,
    log: bool = False,
) -> dict[str, Any]:
    """Makes a picture of a line or the points of each sweep; a sweep without any is left out."""
    series = []
    for place, (x, y) in enumerate(lines):
        step = max(1, -(-len(x) // MOST))
        kept = [at for at in range(len(x)) if at % step == 0 or at == len(x) - 1]
        if kept:
            xs, ys = [brief(x[at]) for at in kept], [brief(y[at], 5) for at in kept]
            series.append({"place": place, "x": xs, "y": ys, "points": points})
    return {"title": title, "x_title": x_title, "log": log, "series": series}


def _so_far(sweep: Sweep) -> tuple[list[float], list[float]]:
    """Computes the best value after each finished trial, by the number of trials that had begun."""
    return _best_so_far(sweep, [(float(place), trial) for place, trial in enumerate(sweep.trials, start=1)])


def _unit(most: float) -> tuple[float, str]:
    """Returns the unit that seconds up to `most` are drawn in: how many seconds it has, and its name."""
    return (3600.0, "hours") if most > 3 * 3600 else (60.0, "minutes") if most > 180 else (1.0, "seconds")


def _by_seconds(sweep: Sweep) -> tuple[list[float], list[float]]:
    """Computes the best value by the seconds that trials had taken together."""
    spent, found = 0.0, []
    for trial in sorted(sweep.trials, key=lambda trial: trial.record.ended or "~"):
        spent += trial.seconds or 0.0
        found.append((spent, trial))
    return _best_so_far(sweep, found)


def _best_so_far(sweep: Sweep, trials: Sequence[tuple[float, Trial]]) -> tuple[list[float], list[float]]:
    """Computes the best value so far at each trial that changes it, and at the last one."""
    xs: list[float] = []
    ys: list[float] = []
    for x, trial in trials:
        value = trial.record.value
        if is_finished(trial) and value is not None and (not ys or better(sweep.goal, value, ys[-1])):
            if ys:
                xs.append(x)
                ys.append(ys[-1])
            xs.append(x)
            ys.append(value)
    if xs and trials:
        xs.append(trials[-1][0])
        ys.append(ys[-1])
    return xs, ys


def _given(sweep: Sweep, name: str) -> list[Trial]:
    """Lists the trials with a value of the parameter."""
    return [trial for trial in sweep.trials if name in trial.record.params]


def _values(sweep: Sweep, name: str) -> tuple[list[float], list[float]]:
    """Collects a parameter's values and the metric of the finished trials."""
    trials = [trial for trial in _given(sweep, name) if is_finished(trial)]
    pairs = [(float(trial.record.params[name]), float(trial.record.value or 0.0)) for trial in trials]
    return [x for x, _ in pairs], [y for _, y in pairs]


def _is_number(sweeps: Sequence[Sweep], name: str) -> bool:
    """Tells whether both sweeps gave the parameter numbers alone."""
    given = [[trial.record.params[name] for trial in _given(sweep, name)] for sweep in sweeps]
    return all(values and all(finite_number(value) for value in values) for values in given)
