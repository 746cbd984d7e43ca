"""Writes the page's sections about values and parameters: each says how many of how many trials it has, then its plots."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from .findings import Findings


def plot(name: str, kind: str = "") -> str:
    """Makes the element that the script draws a plot into."""
    return f'<div class="plot {kind}" data-plot="{name}"><div class="inner"></div></div>'


def history(findings: Findings) -> str:
    """Explains the plot of values over time."""
    text = "Each trial's value, and the best so far"
    early = (
        f"; those that ended early (triangles, crosses) have a value of an earlier {findings.used.axis} "
        "and cannot be the best"
    )
    return text + (early if findings.used.early else "") + "."


def parallel(findings: Findings) -> str:
    """Explains the parallel coordinates."""
    drawn = escape(findings.used.drawn_text("dashed"))
    return (
        f'<p class="lead">A line is a trial, from its parameters to its value: {drawn} '
        '<span class="mouse">Drag along an axis to keep the trials within.</span> '
        "“–” marks trials a parameter does not apply to.</p>"
        '<p class="controls"><span id="parallel-kept"></span></p>'
    )


def importance(findings: Findings) -> str:
    """Explains and places the plots of importance and correlation."""
    notes = f'<p class="note">{escape(findings.caveat)}</p>' if findings.caveat else ""
    if not findings.effects:
        return notes
    text = (
        f'<p class="lead">{escape(findings.used.text())}</p>'
        '<p class="lead"><b>Importance</b>: the share of the differences between trials that the parameter alone explains '
        "(analysis of variance on ranks), beyond the parameters above it. The upright mark is what chance reaches with the "
        "same trials, shuffled: bars that do not pass it are grey. <b>Correlation</b> (Spearman's, with 95 % intervals; "
        "grey where these hold zero): which way the metric went; of a category, its most telling value against the "
        "others. A parameter with its best value in the middle can be important without any correlation.</p>"
    )
    return notes + text + f'<div class="pair">{plot("importance")}{plot("correlation")}</div>'


def slices(findings: Findings, data: dict[str, Any]) -> str:
    """Places the plots of the first two parameters."""
    drawn = escape(findings.used.drawn_text("triangles"))
    names = [data["columns"][place]["name"] for place in data["slices"]]
    text = f'<p class="lead">{_chosen(findings, names)} {drawn}</p>'
    plots = "".join(plot(f"slice{place}") for place in data["slices"])
    both = f"<h3>Both together</h3>{_surface(findings, data)}{plot('surface')}" if data["surface"] else ""
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
