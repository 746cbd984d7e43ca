"""Writes the report's page: one HTML file with its data, its script and the plotting library, without any network.

Text of trials and servers is escaped where it enters: by `html.escape`, the data by `packed`. A policy in the page's
head forbids every connection, so that a script that slipped through could not call home.
"""

from __future__ import annotations

import base64
import gzip
from collections.abc import Sequence
from dataclasses import astuple
from datetime import datetime, timezone
from functools import cache
from html import escape
from importlib import metadata, resources
from typing import Any

from ....base.values import finite_number
from ....base.wording import sentence
from ....records.control.words import order_rows
from ...lines import epochs_apart, in_search, over_folds, trained_again
from ..data import Sweep, text_of
from ..findings import Findings, commits, failures, searched_rows
from ..repeat import commands
from .beside import Pair, answer, beside, pictures
from .blob import blob, packed
from .pieces import command, numbers, state, table, value
from .sections import curves, family, front, history, importance, parallel, plot, rungs, slices
from .served import Served
from .top import header
from .trials import first_rows

LEVEL = 9  # of compression; the library is compressed once a page, in half a second
POLICY = "default-src 'none'; script-src 'unsafe-inline' blob:; style-src 'unsafe-inline'; img-src data: blob:; font-src data:"
PLOTS = ("base", "history", "parallel", "ranges", "effects", "front", "curves", "paths", "save")
SCRIPTS = (  # in the order in which they run
    *("store", "format", "address", "filter", "table", "views", "curve", "save", "lines", "trial", "compare", "sweeps"),
    *(f"plots/{name}" for name in PLOTS),
    *("reach", "page"),
)
STYLES = ("page", "table", "trial")
TITLES = {  # of sections, where the navigation's word is too short
    "beside": "Two sweeps side by side",
    "front": "Pareto front",
    "parallel": "Parameters together",
    "importance": "Importance and correlation",
    "slices": "Parameters one by one",
    "curves": "Learning curves",
    "rungs": "How far trials came",
    "family": "Who began from whose checkpoint",
    "descent": "Parameters of the best, by iteration",
    "failures": "Stopped and failed trials",
    "orders": "Orders to the running sweep",
    "search": "What was searched",
    "again": "Environment, and how to repeat it",
}


def page(findings: Findings, made: str | None = None, served: Served | None = None, pair: Pair | None = None) -> str:
    """Writes the report as HTML.

    Args:
        made: the time in its footer, by default now.
        served: of a page that a server sends.
        pair: the sweep and another one that is shown beside it.
    """
    sweep = findings.sweep
    content = blob(findings)
    data = content["figures"]
    parts = _parts(findings, data)
    if pair is not None:
        content["beside"] = pictures(pair)
        parts.insert(0, ("beside", "Two sweeps", beside(pair)))
    live = "" if served is None else '<a href="#live">Live</a>'
    nav = live + "".join(f'<a href="#{name}">{title}</a>' for name, title, _ in parts)
    sections = "".join(
        f'<section id="{name}"><h2>{TITLES.get(name, title) if title != "Stopped" else "Stopped trials"}</h2>{body}</section>'
        for name, title, body in parts
    )
    policy = f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">' if served is None else ""
    nonce, head, back, top, more = ("", "", "", "", "") if served is None else astuple(served)
    script = f'<script nonce="{nonce}">' if nonce else "<script>"
    now = made or datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
{policy}
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>{escape(sweep.name)} · sweep {escape(sweep.id)}</title>
<link rel="icon" href="data:,">
<style>{"".join(read_own(f"css/{name}.css") for name in STYLES)}</style>{head}
</head>
<body>
<a class="skip" href="#trials">Skip to the trials</a>
{back}{header(findings, answer(pair) if pair is not None else "")}
<nav><div><span>{nav}</span><button id="theme" type="button">Dark</button></div></nav>
<main>{top}{"".join(f'<p class="note">{escape(note)}</p>' for note in sweep.notes)}{sections}</main>
<footer>Made {escape(now)} by yacs-sweep {escape(_version("yacs-sweep"))} from {escape(sweep.source)}</footer>
<script type="text/plain" id="data">{packed(content)}</script>
<script type="text/plain" id="library">{library()}</script>
{"".join(f"{script}{read_own(f'js/{name}.js')}</script>" for name in SCRIPTS)}{more}
</body>
</html>
"""


@cache
def library() -> str:
    """Packs the plotting library to a third of its size; the browser unpacks it beside the main thread."""
    source = (resources.files("plotly") / "package_data" / "plotly.min.js").read_bytes()
    return base64.b64encode(gzip.compress(source, LEVEL, mtime=0)).decode()


def read_own(name: str) -> str:
    """Reads a script or a style sheet of the page."""
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _version(distribution: str) -> str:
    """Finds the version of an installed distribution."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "(checkout)"


# -- sections --------------------------------------------------------------------------------------------------------
def _parts(findings: Findings, data: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Lists the sections as id, title and HTML; empty ones are left out."""
    sweep = findings.sweep
    valued = len(findings.used.trials)
    parts = [("trials", f"Best {sweep.noun}s", first_rows(findings))]
    if data["front"]:
        parts.append(("front", "Front", front(findings, data)))
    if seeds := _seeds(sweep):
        parts.append(("seeds", "Best, trained again", seeds))
    if any(finite_number(trial.record.value) for trial in sweep.trials):
        text = f'<p class="lead">{history(findings)}</p>'
        parts.append(("history", "History", text + plot("history", data)))
    if valued > 1 and data["columns"]:
        parts.append(("parallel", "Parameters", parallel(findings) + plot("parallel", data, "scroll")))
    if findings.effects:
        parts.append(("importance", "Importance", importance(findings, data)))
    if valued > 1 and data["slices"]:
        parts.append(("slices", "One by one", slices(findings, data)))
    if data["curves"]["metrics"]:
        parts.append(("curves", "Curves", curves(data)))
    if data["rungs"]:
        parts.append(("rungs", "Rungs", rungs(data)))
    if data["family"]:
        parts.append(("family", "Copies", family(data)))
    if data["descent"]:
        parts.append(("descent", "Schedule", _descent(data) + plot("descent", data)))
    if data["timeline"]["bars"]:
        marks = " Dotted lines are orders from users." if data["timeline"]["orders"] else ""
        text = f'<p class="lead">When each trial ran, and where.{marks}</p>'
        parts.append(("workers", "Workers", text + plot("timeline", data)))
    if any(record.state not in ("finished", "paused", "running") for record in findings.whole.records):
        stopped = {group.state for group in failures(findings.whole)} == {"stopped"}
        parts.append(("failures", "Stopped" if stopped else "Failures", _failures(findings.whole)))
    if orders := order_rows(findings.whole.orders):
        parts.append(("orders", "Orders", _orders(orders)))
    parts.append(("search", "Search", _search(sweep)))
    if again := _again(findings.whole):
        parts.append(("again", "Repeat it", again))
    return parts


def _seeds(sweep: Sweep) -> str:
    """Formats the metrics of the best configuration, trained with several seeds."""
    metrics: dict[str, Any] = sweep.seeds.get("metrics") or {}
    if not metrics:
        return ""
    search = in_search(sweep.seeds)
    rows = []
    for name, found in metrics.items():
        spread = "–" if found.get("std") is None else value(found["std"])
        values = ", ".join(value(number) for number in found.get("values", []))
        before = value(search[name]) if name in search else ""
        rows.append([escape(str(name)), value(found.get("mean")), spread, values, *([before] if search else [])])
    heads = [("name", "metric"), ("num", "mean"), ("num", "standard deviation"), ("num", "each seed")]
    heads += [("num", "in the search")] if search else []
    text = (
        f"{escape(sentence(trained_again(sweep.seeds))[:-1])}: what to expect of it. "
        "The standard deviation is over seeds, with n − 1."
    )
    notes = [text for text in (over_folds(sweep.seeds), epochs_apart(sweep.seeds)) if text]
    note = "".join(f'<p class="note">{escape(sentence(text))}</p>' for text in notes)
    shown = table(heads, rows, caption="Metrics of the best, trained with several seeds")
    return f'<p class="lead">{text}</p>{note}{shown}'


def _descent(data: dict[str, Any]) -> str:
    """Explains the plot of the best trial's line of descent."""
    *before, last = data["descent"]["trials"]
    names = ", ".join(map(escape, before))
    return (
        f'<p class="lead">Which parameters led to {escape(last)}: it continued from checkpoints of {names}. The curve of a '
        "trial begins with that of the trial it continued from. <code>best_schedule.yml</code> has the numbers.</p>"
    )


def _failures(sweep: Sweep) -> str:
    """Formats the trials that did not finish, by reason, with their last lines."""
    rows = []
    details = []
    for group in failures(sweep):
        names = ", ".join(group.names[:6]) + (f" and {len(group.names) - 6} more" if len(group.names) > 6 else "")
        rows.append(
            [
                str(len(group.names)),
                state(group.state) + (" tried again" if group.again else ""),
                escape("" if group.cause == group.state else group.cause),
                escape(group.reason),
                escape(names),
            ]
        )
        if group.last_lines:
            lines = escape("\n".join(group.last_lines))
            head = f"{escape(group.lines_of)}: the last lines it printed"
            details.append(f"<details><summary>{head}</summary><pre>{lines}</pre></details>")
    heads = [("num", "trials"), ("", "state"), ("", "cause"), ("", "reason, of the first"), ("", "which")]
    return table(heads, rows, caption="Trials that did not finish, by reason") + "".join(details)


def _orders(rows: Sequence[Sequence[str]]) -> str:
    """Formats what users ordered while the sweep ran."""
    heads = [("", "when"), ("", "by"), ("", "order"), ("", "answer")]
    return table(heads, [[escape(cell) for cell in row] for row in rows], caption="Orders")


def _search(sweep: Sweep) -> str:
    """Formats the search: each parameter's distribution, values tried, and the rules."""
    rows = []
    for row in searched_rows(sweep):
        condition = f"<br><small>{escape(row['condition'])}</small>" if row["condition"] else ""
        cells = [escape(row["name"]), numbers(row["search"]) + condition, numbers(row["tried"]), numbers(row["best"])]
        rows.append(cells)
    heads = [("name", "parameter"), ("", "could be"), ("", "was tried"), ("", f"in the best {sweep.noun}")]
    extra = []
    if sweep.spec is not None:
        if sweep.spec.early_terminate:
            stops = sweep.spec.early_terminate.to_dict()
            extra.append("Early termination: " + ", ".join(f"{key} {text_of(item)}" for key, item in stops.items()))
        if sweep.spec.pbt:
            told = ", ".join(f"{key} {text_of(item)}" for key, item in sweep.spec.pbt.to_dict().items())
            extra.append(f"Population-based training: {told}")
        if sweep.spec.where:
            extra.append("Conditions: " + " and ".join(sweep.spec.where))
        if sweep.spec.constraints:
            extra.append("Constraints: " + " and ".join(sweep.spec.constraints))
        if sweep.spec.repeats:
            told = ", ".join(f"{key} {text_of(item)}" for key, item in sweep.spec.repeats.to_dict().items())
            extra.append(f"Repeats: {told}")
        if sweep.spec.optimize == "best":
            extra.append("A trial's value is the best it reached, not its last.")
    lines = "".join(f'<p class="lead">{escape(line)}</p>' for line in extra)
    return (table(heads, rows, caption="Parameters that were searched") if rows else "") + lines


def _again(sweep: Sweep) -> str:
    """Formats the environment, and the commands that repeat the sweep."""
    rows = []
    for commit, number in commits(sweep):
        dirty = " with changes that were not committed" if commit.endswith("+dirty") else ""
        code = f"<code>{escape(commit.removesuffix('+dirty'))}</code>{dirty}"
        name = code if commit else "outside a git repository, or not recorded"
        rows.append(["git commit", f"{name} ({number} trial{'' if number == 1 else 's'})"])
    hosts = sorted({record.host for record in sweep.records if record.host})
    if hosts:
        rows.append(["machines", escape(", ".join(hosts))])
    for key, item in sweep.environment.items():
        shown = (
            ", ".join(f"{name} {number}" for name, number in item.items()) if isinstance(item, dict) else text_of(item)
        )
        rows.append([escape(str(key)), escape(shown)])
    if sweep.best_files:
        rows.append(["kept in best/", escape(", ".join(sweep.best_files))])
    body = table([("name", ""), ("", "")], rows, caption="Environment") if rows else ""
    lines = "".join(f"<h3>{escape(what)}</h3>{command(line)}" for what, line in commands(sweep))
    return body + lines
