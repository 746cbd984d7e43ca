"""Makes the HTML that the server sends: the report's page with scripts that follow the sweep, and the index of sweeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any
from urllib.parse import quote

from ..records.folder import SweepPaths, TrialRecord
from ..records.metrics import readable_metrics
from ..show.lines import short_value
from ..show.report.data import read_local, read_without_curves, trial_of
from ..show.report.findings import Findings
from ..show.report.page.blob import blob
from ..show.report.page.details import details_of
from ..show.report.page.html import page, read_own
from ..show.report.page.served import Served
from ..show.report.page.top import header
from .overview import age

STYLES = '<link rel="stylesheet" href="/files/live.css">'


def policy(nonce: str) -> str:
    """Returns the Content-Security-Policy: scripts that the server has marked, and what they load; this server alone."""
    return (
        f"default-src 'none'; script-src 'nonce-{nonce}' 'strict-dynamic'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; font-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )


def sweep_page(paths: SweepPaths, mark: str, nonce: str, *, read_only: bool, index: bool) -> str:
    """Makes the page of a sweep.

    Args:
        mark: the number of the last event that the page holds.
        nonce: marks its scripts.
        read_only: without buttons.
        index: whether it links to the index.

    Raises:
        SweepError: the sweep cannot be read.
    """
    names = ["stream.js", *([] if read_only else ["control.js"]), "merge.js", "details.js", "live.js"]
    base = f"/sweep/{quote(paths.sweep_id)}"
    back = (
        '<div class="to-index" role="navigation" aria-label="Sweeps"><a href="/">All sweeps</a></div>' if index else ""
    )
    live = (
        f'<section id="live" aria-label="Live" data-events="{escape(base)}/events" '
        f'data-orders="{escape(base)}/order" data-whole="{escape(base)}/data" data-trial="{escape(base)}/trial/" '
        f'data-mark="{escape(mark)}"></section>'
    )
    return page(Findings.of(read_local(paths)), served=Served(nonce, STYLES, back, live, _scripts(names, nonce)))


def sweep_data(paths: SweepPaths) -> dict[str, Any]:
    """Makes what a page that is open takes in from time to time: the answer at its top, as HTML, and all its data.

    Raises:
        SweepError: the sweep cannot be read.
    """
    findings = Findings.of(read_local(paths))
    return {"header": header(findings), "data": blob(findings)}


def trial_data(paths: SweepPaths, records: Sequence[TrialRecord], name: str) -> dict[str, Any] | None:
    """Makes the details of one trial; None where the sweep has no trial of this name.

    Args:
        records: of all trials of the sweep.

    Raises:
        SweepError: the sweep cannot be read.
    """
    record = next((record for record in records if record.name == name), None)
    if record is None:
        return None
    sweep = read_without_curves(paths, records)
    return details_of(sweep, trial_of(record, readable_metrics(paths.trial(name).metrics), sweep.metric))


def waiting_page(row: Mapping[str, Any], nonce: str) -> str:
    """Makes the page that is shown until a sweep's own is made: its name and state, and a script that waits for it.

    Args:
        row: the sweep, as the index has it.
    """
    best = "" if row["best"] is None else f" · best {row['metric']} {short_value(float(row['best']))}"
    ready = f"/sweep/{quote(str(row['id']))}/ready"
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(str(row["name"]))} · sweep {escape(str(row["id"]))}</title>
<link rel="icon" href="data:,">
{STYLES}
</head>
<body class="index">
<main><h1>{escape(str(row["name"]))}</h1><p>{escape(row["state"])} · {row["done"]} of {row["target"]} trials{escape(best)}</p>
<p id="waiting" role="status" data-ready="{escape(ready)}">Reading the trials …</p></main>
{_scripts(["waiting.js"], nonce)}
</body>
</html>
"""


def _scripts(names: Sequence[str], nonce: str) -> str:
    """Returns the elements that load scripts of this package."""
    return "".join(f'<script nonce="{nonce}" src="/files/{name}"></script>' for name in names)


def index_page(rows: Sequence[Mapping[str, Any]], mark: str, nonce: str) -> str:
    """Makes the index of all sweeps."""
    heads = "".join(f'<th scope="col">{text}</th>' for text in ("Sweep", "State", "Trials", "Best", "Changed"))
    body = "".join(map(_row, rows))
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Sweeps</title>
<link rel="icon" href="data:,">
{STYLES}
</head>
<body class="index">
<header><h1>Sweeps</h1><p id="connection" role="status"></p></header>
<main><div class="scroll" tabindex="0" role="region" aria-label="Sweeps">
<table id="sweeps" data-events="/events" data-mark="{escape(mark)}"><thead><tr>{heads}</tr></thead>
<tbody>{body}</tbody></table></div></main>
{_scripts(["stream.js"], nonce)}<script nonce="{nonce}">{read_own("js/format.js")}</script>{_scripts(["index.js"], nonce)}
</body>
</html>
"""


def _row(row: Mapping[str, Any]) -> str:
    """Formats a sweep of the index; `index.js` writes the same cells."""
    name = "" if row["name"] == row["id"] else f" {escape(str(row['name']))}"
    running = f", {row['running']} running" if row["running"] else ""
    failed = f", {row['failed']} failed" if row["failed"] else ""
    best = "–" if row["best"] is None else f"{row['metric']} {short_value(float(row['best']))}"
    link = f'<a href="/sweep/{escape(quote(str(row["id"])))}">{escape(str(row["id"]))}{name}</a>'
    return (
        f'<tr data-id="{escape(str(row["id"]))}"><th scope="row">{link}</th>'
        f'<td><span class="state {escape(row["state"])}">{escape(row["state"])}</span></td>'
        f"<td>{row['done']} of {row['target']}{running}{failed}</td><td>{escape(best)}</td>"
        f'<td data-changed="{row["changed"]}">{age(row["changed"])}</td></tr>'
    )
