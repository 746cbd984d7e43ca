"""Writes the first rows of the table of trials, which the script replaces by the whole table."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from ....base.values import finite_number
from ....records.folder import TrialRecord
from ...lines import duration_text, reason_shown
from ..data import Sweep, Trial, text_of
from ..findings import Findings, places
from .pieces import state, table, value
from .sections import value_columns

SHOWN = 15  # rows, as many as the script shows first


def first_rows(findings: Findings) -> str:
    """Formats the table's first rows, best first; the script puts the whole table in their place."""
    sweep = findings.sweep
    names = sweep.searched()
    ranked = sweep.ranked()
    extra = value_columns(findings)
    heads = [
        ("num", "#"),
        ("name", sweep.noun),
        ("num", sweep.metric or "value"),
        *(("num", head) for head, _ in extra),
    ]
    heads += [("", "state"), ("num", "time")]
    numeric = {
        name: all(finite_number(record.params[name]) for record in sweep.records if name in record.params)
        for name in names
    }
    heads += [("num" if numeric[name] else "", name) for name in names]
    rows, classes = [], []
    alike = set(findings.verdict.alike) if findings.verdict and findings.verdict.clear is False else set()
    numbers, retried = places(ranked), sweep.retried
    for trial, place in zip(ranked[:SHOWN], numbers[:SHOWN], strict=True):
        record = trial.record
        mark = " =" if numbers.count(place) > 1 else " ≈" if record.name in alike and len(alike) > 1 else ""
        cells = [
            f"{place}{mark}" if place else "",
            _linked(trial),
            value(record.value),
            *(item if isinstance(item := of(trial), str) else value(item) for _, of in extra),
            _ending(record, retried, sweep),
            escape(duration_text(trial.seconds)),
        ]
        rows.append([*cells, *(parameter(record.params[name]) if name in record.params else "–" for name in names)])
        classes.append('class="best"' if place == 1 else "")
    if not ranked:
        return '<p class="lead">There are no trials yet.</p>'
    more = f"{SHOWN} of {len(ranked)} {sweep.noun}s; the others need a script, or are in trials.csv."
    note = f'<noscript><p class="lead">{more}</p></noscript>' if len(ranked) > SHOWN else ""
    shown = table(heads, rows, classes, caption=f"The first {sweep.noun}s, best first")
    return f'<div id="table">{shown}{note}</div>'


def _ending(record: TrialRecord, retried: Mapping[str, TrialRecord], sweep: Sweep) -> str:
    """Formats a trial's state, what it misses, and the trial that tried its point again, if one did."""
    later = retried.get(record.id)
    objectives = sweep.spec.objectives if sweep.spec is not None else ()
    if record.state == "finished" and (broken := reason_shown(record, objectives)):
        return f'{state(record.state)} <span class="violates">{escape(broken)}</span>'
    return state(record.state) + (f" tried again as {escape(later.name)}" if later is not None else "")


def _linked(trial: Trial) -> str:
    """Formats a trial's name, as a link where the trial has a page."""
    name = escape(trial.record.name)
    if trial.url.startswith(("https://", "http://")):
        return f'<a href="{escape(trial.url)}">{name}</a>'
    return name


def parameter(item: Any) -> str:
    """Formats a parameter's value, shortened."""
    if finite_number(item):
        return value(item)
    text = text_of(item)
    cut = text if len(text) <= 48 else text[:47] + "…"
    return f'<span title="{escape(text[:500])}">{escape(cut)}</span>'
