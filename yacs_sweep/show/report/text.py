"""Writes the report as text: Markdown, JSON, CSV."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ...base.values import finite_number, to_json
from ...base.wording import printable, sentence, unprintable
from ...records.control.words import order_rows
from ...records.folder import TrialRecord
from ...records.points import group_points
from ...records.population.lineage import lineage
from ...records.progress import count_retried, savings
from ..left_out import cannot_be, left_out_text
from ..lines import (
    duration_text,
    epochs_apart,
    in_search,
    over_folds,
    reason_shown,
    saved_text,
    trained_again,
)
from .data import Sweep, text_of
from .findings import Findings, busy, commits, counts, failures, searched_rows, span, trial_rows
from .page.sections import aims_text, value_columns
from .repeat import commands

TOP = 10  # trials of the Markdown table
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a text that starts so is a formula to a spreadsheet


def as_csv(findings: Findings) -> str:
    """Writes every trial, best first: trials.csv."""
    rows = trial_rows(findings.whole)
    heads = list(rows[0]) if rows else ["rank", "trial", "state", "value"]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([_cell(head) for head in heads])
    writer.writerows([[_cell(row[head]) for head in heads] for row in rows])
    return printable(out.getvalue())


def _cell(value: Any) -> Any:
    """Formats a value for CSV; a text that a spreadsheet would take as a formula is quoted."""
    if value is None:
        return ""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value if finite_number(value) else str(value)
    text = text_of(value)
    return f"'{text}" if text.startswith(FORMULA) else text


def as_json(findings: Findings) -> str:
    """Writes everything on the page, for programs."""
    sweep, whole = findings.sweep, findings.whole
    verdict = findings.verdict
    content: dict[str, Any] = {
        "sweep_id": sweep.id,
        "name": sweep.name,
        "source": sweep.source,
        "controller": sweep.controller,
        "method": sweep.method,
        "metric": {"name": sweep.metric, "goal": sweep.goal},
        "counts": counts(whole),
        "retried": count_retried(whole.records),
        "seconds": span(whole),
        "trial_seconds": busy(whole),
        **({"saved": dataclasses.asdict(saved)} if (saved := savings(whole.records)) else {}),
        "best": trial_rows(sweep)[0] if sweep.best else None,
        "best_apart": verdict.clear if verdict else None,
        "best_text": verdict.text if verdict else "",
        "alike": verdict.alike if verdict else [],
        "importance": [{**dataclasses.asdict(effect), "clear": effect.clear} for effect in findings.effects],
        "importance_from": {
            "trials": len(findings.used.trials),
            "of": findings.used.total,
            "ended_early": findings.used.early,
            "diverged": findings.used.diverged,
            "text": findings.used.text(),
        },
        "importance_warning": findings.caveat,
        "failures": [dataclasses.asdict(group) for group in failures(whole)],
        "searched": searched_rows(sweep),
        "seeds": sweep.seeds or None,
        "environment": sweep.environment,
        "commits": dict(commits(whole)),
        "commands": [{"what": what, "line": line} for what, line in commands(whole)],
        "notes": sweep.notes,
        **({"orders": [dataclasses.asdict(given) for given in whole.orders]} if whole.orders else {}),
        "trials": trial_rows(whole),
        **({"points": [trial.point.row() for trial in sweep.ranked() if trial.point]} if sweep.by_points else {}),
        **({"pareto": findings.front} if sweep.spec and sweep.spec.more_metrics else {}),
    }
    text = to_json(content, indent=1)
    # JSON has a way to write what is not printable, and has it in texts alone.
    return text.translate({ord(letter): json.dumps(letter)[1:-1] for letter in unprintable(text)}) + "\n"


def as_markdown(findings: Findings) -> str:
    """Writes the findings for a pull request or an issue."""
    sweep, whole, best = findings.sweep, findings.whole, findings.sweep.best
    tally = whole.tally.text or "no trials"
    metric = sweep.metric or "value"
    lines = [f"# {_plain(sweep.name)}", ""]
    took = duration_text(span(whole)) or "–"
    aim = _plain(aims_text(sweep)) if sweep.metric else "no metric"
    lines += [f"Sweep `{sweep.id}`, {sweep.method} search, {aim}: {tally}; took {took}.", ""]
    lines += [_plain(note) for note in sweep.notes]
    if saved := savings(whole.records):
        lines += [f"It {saved_text(saved)}.", ""]
    if best is not None:
        params = ", ".join(f"{_plain(name)} {_value(value)}" for name, value in best.params.items())
        lines += [f"**Best: {_plain(best.name)}, {_plain(metric)} {_value(best.value)}** with {params}.", ""]
    if findings.verdict is not None:
        lines += [_plain(findings.verdict.text), ""]
    lines += _trials(findings) + _descent(sweep) + _seeds(sweep.seeds) + _importance(findings)
    if groups := failures(whole):
        rows = [
            [len(group.names), f"{group.state}, tried again" if group.again else group.state, group.cause, group.reason]
            for group in groups
        ]
        lines += [
            "## Stopped and failed trials",
            "",
            *_table(["trials", "state", "cause", "reason, of the first"], rows),
            "",
        ]
    searched = [[row["name"], row["search"], row["condition"], row["best"]] for row in searched_rows(sweep)]
    if searched:
        lines += [
            "## What was searched",
            "",
            *_table(["parameter", "could be", "", f"in the best {sweep.noun}"], searched),
            "",
        ]
    if orders := order_rows(whole.orders):
        lines += ["## Orders to the running sweep", "", *_table(["when", "by", "order", "answer"], orders), ""]
    if given := commands(whole):
        lines += ["## How to repeat it", ""]
        for what, command in given:
            fence = "```" if "```" not in command else "`" * (max(map(len, re.findall("`+", command))) + 1)
            language = "python" if command.startswith("from ") else "bash"
            lines += [f"{_plain(what)}:", "", f"{fence}{language}", command, fence, ""]
    return printable("\n".join(lines).rstrip()) + "\n"


def _trials(findings: Findings) -> list[str]:
    """Writes the section of the best trials."""
    sweep = findings.sweep
    names = sweep.searched()
    retried = sweep.retried
    ranked, extra = [trial for trial in sweep.ranked() if trial.record.id not in retried][:TOP], value_columns(findings)
    rows = [
        [
            trial.record.name,
            trial.record.value,
            *(of(trial) for _, of in extra),
            _state(trial.record, sweep),
            duration_text(trial.seconds),
            *(trial.record.params.get(name, "–") for name in names),
        ]
        for trial in ranked
    ]
    heads = [sweep.noun, sweep.metric or "value", *(head for head, _ in extra), "state", "time", *names]
    front = _front(findings) + _left_out(findings)
    return [f"## Best {sweep.noun}s", "", *_table(heads, rows), "", *front] if rows else front


def _descent(sweep: Sweep) -> list[str]:
    """Writes the parameters along the best trial's line of descent."""
    found = lineage(sweep.best, sweep.records) if sweep.best is not None else []
    if len(found) < 2:
        return []
    names = sweep.searched()
    rows = [
        [f"{stretch.first} to {stretch.last}", stretch.trial, *(stretch.params.get(name, "–") for name in names)]
        for stretch in found
    ]
    return ["## Parameters of the best, by iteration", "", *_table(["iterations", "trial", *names], rows), ""]


def _state(record: TrialRecord, sweep: Sweep) -> str:
    """Writes a trial's state, and the constraints and thresholds that it misses."""
    reason = reason_shown(record, sweep.spec.objectives if sweep.spec else ()) if record.state == "finished" else ""
    return f"{record.state}, {reason}" if reason else record.state


def _front(findings: Findings) -> list[str]:
    """Writes the section of the front of several objectives."""
    sweep = findings.sweep
    if sweep.spec is None or not sweep.spec.more_metrics:
        return []
    if not findings.front:
        return ["## Pareto front", "", f"No {sweep.noun} is on the front.", ""]
    records = {record.name: record for record in sweep.records}
    metrics, names = [metric.name for metric in sweep.spec.objectives], sweep.searched()
    rows = []
    for name in findings.front:
        record = records[name]
        values = [(record.values or {}).get(metric) for metric in metrics]
        rows.append([name, *values, *(record.params.get(each, "–") for each in names)])
    aims = _plain(aims_text(sweep))
    limits = "".join(f"; {_plain(text)}" for text in sweep.spec.constraints)
    return ["## Pareto front", "", f"{aims}{limits}.", "", *_table([sweep.noun, *metrics, *names], rows), ""]


def _left_out(findings: Findings) -> list[str]:
    """Says how many trials, or points, cannot be the best or on the front."""
    spec = findings.sweep.spec
    text = left_out_text(spec, group_points(findings.whole.records)) if spec is not None else ""
    return [f"{cannot_be(spec).capitalize()}: {_plain(text)}.", ""] if spec is not None and text else []


def _seeds(seeds: Mapping[str, Any]) -> list[str]:
    """Writes the section of the best configuration, trained again."""
    metrics: Mapping[str, Any] = seeds.get("metrics") or {}
    search = in_search(seeds)
    rows = []
    for name, found in metrics.items():
        before = search.get(name, "")
        rows.append([name, found.get("mean"), found.get("std"), len(found.get("values", [])), before])
    heads = ["metric", "mean", "standard deviation", "seeds", "in the search"]
    if not search:
        heads, rows = heads[:-1], [row[:-1] for row in rows]
    notes = [sentence(text) for text in (trained_again(seeds), over_folds(seeds), epochs_apart(seeds)) if text]
    note = [line for text in notes for line in (_plain(text), "")]
    return ["## Best, trained again", "", *note, *_table(heads, rows), ""] if rows else []


def _importance(findings: Findings) -> list[str]:
    """Writes the section of importance and correlation."""
    if not findings.effects:
        return [findings.caveat, ""] if findings.caveat else []
    rows = [
        [
            effect.name,
            effect.rank,
            f"{100 * effect.importance:.0f} %",
            f"{100 * effect.chance:.0f} %",
            effect.correlation,
            f"{effect.interval[0]:.2f} to {effect.interval[1]:.2f}" if effect.interval else "",
            effect.level,
        ]
        for effect in findings.effects
    ]
    heads = ["parameter", "order", "importance", "chance reaches", "rank correlation", "95 %", "of the value"]
    return [
        "## Importance and correlation",
        "",
        findings.used.text(),
        "",
        *([_plain(findings.caveat), ""] if findings.caveat else []),
        *_table(heads, rows),
        "",
    ]


def _table(heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    """Writes a table in Markdown."""
    lines = ["| " + " | ".join(map(_plain, heads)) + " |", "|" + "---|" * len(heads)]
    return lines + ["| " + " | ".join(_value(cell) for cell in row) + " |" for row in rows]


def _value(value: Any) -> str:
    """Formats a cell of a table in Markdown."""
    if value is None:
        return "–"
    return f"{value:.4g}" if finite_number(value) else _plain(text_of(value))


def _plain(text: str) -> str:
    """Escapes text so that Markdown shows the text as written."""
    clean = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"[\\`*|\[\]]|\b_|_\b", r"\\\g<0>", clean)
