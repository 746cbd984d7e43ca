"""Writes the page's sections about values and parameters: each says how many of how many trials it has, then its plots."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from html import escape
from typing import Any

from ....base.values import finite_number
from ...left_out import words_of
from ..data import Sweep, Trial, is_finished
from ..findings import Findings

NAMED = 8  # trials on the front that are named


def plot(name: str, data: dict[str, Any], kind: str = "") -> str:
    """Makes the element that the script draws a picture into, with its caption, which stands for it where it is not seen."""
    says = escape(data["says"].get(name, ""))
    return (
        f'<figure class="plot" data-plot="{name}"><div class="canvas {kind}"><div class="inner" role="img" '
        f'aria-labelledby="says-{name}"></div></div><figcaption id="says-{name}">{says}</figcaption></figure>'
    )


def history(findings: Findings) -> str:
    """Explains the plot of values over time."""
    sweep = findings.sweep
    text = f"Each {'point' if sweep.by_points else 'trial'}'s {'mean' if sweep.by_points else 'value'}, and the best so far"
    if sweep.by_points:
        text += "; bars are one standard error of the mean"
    early = (
        f"; those that ended early (triangles, crosses) have a value of an earlier {findings.used.axis} "
        "and cannot be the best"
    )
    outside = f"; what violates a constraint (open circles), or has too few {sweep.repeat_noun}s, cannot be the best"
    some = any(is_valued(trial) and not is_finished(trial) for trial in sweep.trials)
    click = ' <span class="mouse">A click on a trial ticks it in the table and marks it in every picture.</span>'
    return text + (early if findings.used.early else "") + (outside if some else "") + "." + click


def aims_text(sweep: Sweep) -> str:
    """Says what the sweep optimises: `maximize val/mAP, minimize ms`."""
    objectives = sweep.spec.objectives if sweep.spec is not None else ()
    if len(objectives) < 2:
        return f"{sweep.goal} {sweep.metric}"
    return ", ".join(f"{metric.goal} {metric.name}" for metric in objectives)


def is_valued(trial: Trial) -> bool:
    """Tells whether a trial has finished with a value, whether it counts or not."""
    return trial.record.state == "finished" and finite_number(trial.record.value)


def value_columns(findings: Findings) -> list[tuple[str, Callable[[Trial], Any]]]:
    """Lists the columns beside the value: standard error and seeds of points, further objectives, the front.

    Returns:
        Head, and what the column has of a trial: a number, None or a text.
    """
    sweep = findings.sweep
    found: list[tuple[str, Callable[[Trial], Any]]] = []
    if sweep.by_points:
        found.append(("± error", _error_of))
        found.append((f"{sweep.repeat_noun}s", _seeds_of))
    for metric in sweep.spec.more_metrics if sweep.spec is not None else ():
        found.append((metric.name, partial(_objective_of, name=metric.name)))
    if findings.front:
        found.append(("front", lambda trial: "●" if trial.record.name in findings.front else ""))
    return found


def _error_of(trial: Trial) -> str | None:
    """Formats the standard error of a point's mean; None with fewer than two seeds."""
    error = trial.point.estimate.error if trial.point else None
    return None if error is None else f"{error:.2g}"


def _seeds_of(trial: Trial) -> str:
    """Says how many seeds of a point have finished, and how many were begun where some have not."""
    if trial.point is None:
        return ""
    done, begun = trial.point.estimate.n, len(trial.point.trials)
    return str(done) if done == begun else f"{done} of {begun}"


def _objective_of(trial: Trial, *, name: str) -> float | None:
    """Returns the value of one of several objectives."""
    return (trial.record.values or {}).get(name)


def front(findings: Findings, data: dict[str, Any]) -> str:
    """Explains and places the plots of several objectives."""
    sweep, pairs = findings.sweep, data["front"]["pairs"]
    noun, kinds = sweep.noun, Counter(data["front"]["kind"])
    on = findings.front
    shown = ", ".join(on[:NAMED]) + (f" and {len(on) - NAMED} more" if len(on) > NAMED else "")
    text = (
        f"On the front, where no other {noun} is better in one objective and as good in all others: <b>{escape(shown)}</b>."
        if on
        else f"No {noun} is on the front."
    )
    text += f" The aim: {escape(aims_text(sweep))}."
    if len(pairs) > 1:
        text += (
            f" Each plot has two of the objectives, so that a {noun} on the front may look worse than others in one."
        )
    others = [f"{kinds[kind]} {words}" for kind, words in words_of(sweep.spec).items() if kinds[kind]]
    text += f" Left out of {sum(kinds.values())} {noun}s: {', '.join(others)}." if others else ""
    if sweep.by_points:
        text += f" Means over {sweep.repeat_noun}s; bars are one standard error."
    if sweep.folder and on:
        text += f' <code>--train-best {escape(sweep.id)} --prefer "…"</code> trains the one that you prefer.'
    plots = "".join(plot(f"front{place}", data) for place in range(len(pairs)))
    return f'<p class="lead">{text}</p><div class="{"pair" if len(pairs) > 1 else ""}">{plots}</div>'


def parallel(findings: Findings) -> str:
    """Explains the parallel coordinates."""
    drawn, means = escape(findings.used.drawn_text("dashed")), findings.sweep.by_points
    return (
        f'<p class="lead">A line is a {findings.sweep.noun}, from its parameters to its {"mean" if means else "value"}: {drawn} '
        '<span class="mouse">Drag along an axis to keep the trials within, in the table and the other pictures too.</span> '
        f"“–” marks {findings.sweep.noun}s a parameter does not apply to.</p>"
        '<div class="controls" id="ranges"><span id="parallel-kept" role="status"></span></div>'
    )


def importance(findings: Findings, data: dict[str, Any]) -> str:
    """Explains and places the plots of importance and correlation."""
    notes = f'<p class="note">{escape(findings.caveat)}</p>' if findings.caveat else ""
    if not findings.effects:
        return notes
    text = (
        f'<p class="lead">{escape(findings.used.text())} Importance says how much a parameter matters; the upright '
        "mark is what chance reaches. Correlation says which way. Grey may be chance.</p>"
        "<details><summary>How these are computed</summary>"
        '<p class="lead"><b>Importance</b>: the share of the differences between trials that the parameter alone explains '
        "(analysis of variance on ranks), beyond the parameters above it. The upright mark is what chance reaches with the "
        "same trials, shuffled: bars that do not pass it are grey. <b>Correlation</b> (Spearman's, with 95 % intervals; "
        "grey where these hold zero): which way the metric went; of a category, its most telling value against the "
        "others. A parameter with its best value in the middle can be important without any correlation.</p></details>"
    )
    return notes + text + f'<div class="pair">{plot("importance", data)}{plot("correlation", data)}</div>'


def slices(findings: Findings, data: dict[str, Any]) -> str:
    """Places the plots of the first two parameters."""
    drawn = escape(findings.used.drawn_text("triangles"))
    names = [data["columns"][place]["name"] for place in data["slices"]]
    text = f'<p class="lead">{_chosen(findings, names)} {drawn}</p>'
    plots = "".join(plot(f"slice{place}", data) for place in range(len(data["slices"])))
    both = f"<h3>Both together</h3>{_surface(findings, data)}{plot('surface', data)}" if data["surface"] else ""
    return f'{text}<div class="{"pair" if len(data["slices"]) > 1 else ""}">{plots}</div>{both}'


def _chosen(findings: Findings, names: Sequence[str]) -> str:
    """Says how the first two parameters stand among all."""
    ranks = {effect.name: effect.rank for effect in findings.effects}
    first, second = [*(f"<b>{escape(name)}</b>" for name in names), ""][:2]
    place, next_place = [*(ranks.get(name) for name in names), None][:2]
    if place is None:
        both = f"{first} and {second}" if second else first
        return f"Which parameters matter cannot be told. Drawn: {both}."
    if next_place is None:
        return f"{first} matters most" + (f"; the effect of {second} may be chance." if second else ".")
    if place == next_place:
        return f"{first} and {second}: which of them matters more cannot be told."
    return f"{first} matters most, then {second}."


def _surface(findings: Findings, data: dict[str, Any]) -> str:
    """Explains the plot of two parameters."""
    drawn = escape(findings.used.drawn_text("triangles"))
    what = "The metric"
    if data["surface"]["score"]:
        what = (
            f"The share of other trials that a trial beats, compared at the last {findings.used.axis} both have reached"
        )
    how = {
        "contour": "smoothed between the trials (points); empty where none was near",
        "cells": "the mean of each cell's trials (points); empty where there is none",
        "strips": "smoothed between the trials (points) of each level; empty where none was near",
        "flat": "at each trial; what lies between them may be chance, so no surface is drawn",
        "points": "at each trial; these are too few, or too much on a line, to draw a surface between them",
    }[data["surface"]["kind"]]
    return f'<p class="lead">{what}, {how}. {drawn}</p>'


def curves(data: dict[str, Any]) -> str:
    """Explains and places the plot of learning curves, with its controls."""
    means = f" Means over the {data['repeats']} of a point; the bands are one standard error." if data["means"] else ""
    text = (
        '<p class="lead">The best five in colour, <b>stopped early or paused</b> in amber with a cross where they ended, '
        f"others grey. A curve of a {data['noun']} that was paused and resumed is one line.{means} "
        '<span id="curves-note" role="status"></span></p>'
    )
    controls = (
        '<div class="controls" id="curve-controls" hidden>'
        '<label>Metric <select id="curve-metric"></select></label>'
        '<label>Over <select id="curve-axis"></select></label>'
        '<label>Smoothed <input id="curve-smooth" type="range" min="0" max="0.99" step="0.01" value="0"></label>'
        '<output id="curve-smoothed" for="curve-smooth">raw</output></div>'
    )
    return text + controls + plot("curves", data)


def rungs(data: dict[str, Any]) -> str:
    """Explains and places the plot of how far trials came."""
    text = (
        '<p class="lead">A bar is a trial, up to the iteration that it reached, the best on top: '
        "a circle where it finished, a triangle where it is <b>paused</b>, a cross where it was stopped or failed. "
        "A tick is where it had paused and was resumed. Dotted lines are the rungs, at which trials are compared.</p>"
    )
    return text + plot("rungs", data)


def family(data: dict[str, Any]) -> str:
    """Explains and places the tree of trials that began from checkpoints of others."""
    text = (
        '<p class="lead">A row is a member of the population, a line a trial from its first to its last iteration, in the '
        "colour of its value. A thin line goes from the trial whose checkpoint was copied to the one that began from it.</p>"
    )
    return text + plot("family", data)
