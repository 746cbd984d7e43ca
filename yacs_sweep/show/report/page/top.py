"""Writes the first screen: the best and how sure that is, what mattered, what to do next, and the figures of the sweep."""

from __future__ import annotations

from html import escape
from pathlib import Path
from urllib.parse import quote

from ....base.wording import counted
from ....records.environment import read_defaults
from ....records.folder import TrialRecord
from ....records.progress import savings
from ...lines import duration_text
from ..data import Sweep
from ..findings import Findings, busy, described, span
from ..importance import leading
from ..repeat import commands, resume_command, seeds_command
from .pieces import breakable, command, numbers, table, value, without_long
from .sections import aims_text
from .trials import parameter

CONFIGURED = 10  # parameters of the best configuration; the table below has all
NAMED = 4  # parameters that matter
SURE = {  # by the verdict's `clear`
    True: "Ahead of the others by more than chance.",
    False: "Not the only candidate: others may be as good.",
    None: "Not known yet: that takes several {}s.",
}

ALONE = "Nothing to compare with: no other {} has finished."


def header(findings: Findings, beside: str = "") -> str:
    """Writes the first screen.

    Args:
        beside: how the sweep compares with the one beside it, as HTML.
    """
    title = f'<h1>{escape(findings.sweep.name)}</h1><p class="sub">{_subtitle(findings.sweep)}</p>{beside}'
    return f"<header>{title}{_tiles(findings)}{_answer(findings)}</header>"


def _answer(findings: Findings) -> str:
    """Writes the best configuration, and beside it how sure, what mattered, what to do next."""
    said = [
        ("How sure", _sure(findings)),
        ("What mattered", "".join(f"<p>{text}</p>" for text in _mattered(findings))),
        ("What to do next", _next(findings)),
    ]
    words = "".join(f"<h2>{head}</h2>{text}" for head, text in said if text)
    best = _configuration(findings)
    sides = "".join(f"<div>{side}</div>" for side in (best, words) if side)
    return f'<div class="answer">{sides}</div>' if sides else ""


def _configuration(findings: Findings) -> str:
    """Formats the searched parameters of the best, beside what they could be."""
    sweep = findings.sweep
    best, names = sweep.best, sweep.searched()
    if best is None or not names:
        return ""
    given = [name for name in names if name in best.params]
    first = leading(findings.effects)
    given.sort(key=lambda name: name not in first)
    defaults = read_defaults(Path(sweep.folder)) if sweep.folder else {}
    rows = []
    for name in given[:CONFIGURED]:
        declared = sweep.declared(name)
        before = [parameter(defaults[name]) if name in defaults else "–"] if defaults else []
        found = described(declared) if declared else ""
        rows.append([breakable(name), *before, parameter(best.params[name]), numbers(found)])
    heads = [("name", "parameter"), *([("num", "default")] if defaults else []), ("num", "best"), ("", "searched over")]
    more = (
        f'<p class="lead">and {len(given) - CONFIGURED} more in the table below</p>' if len(given) > CONFIGURED else ""
    )
    shown = table(heads, rows, caption="Parameters of the best")
    link = f'<a href="#trial={quote(best.name, safe="")}">{escape(best.name)}</a>'
    return f"<h2>Best configuration: {link}</h2>{shown}{more}"


def _sure(findings: Findings) -> str:
    """Says whether the best is the best: the verdict in bold, why, and, folded, with the numbers."""
    sweep = findings.sweep
    verdict = findings.verdict
    if verdict is None:
        return f"<p>{ALONE.format(sweep.noun)}</p>" if sweep.best is not None else ""
    brief = without_long(verdict.text)
    more = f"<details><summary>In numbers</summary><p>{escape(verdict.text)}</p></details>"
    clear = SURE[verdict.clear].format(sweep.repeat_noun)
    found = f"<p><b>{escape(clear)}</b></p><p>{escape(brief)}</p>{more if brief != verdict.text else ''}"
    if (many := len(sweep.finished)) > 10 and not sweep.by_points:
        found += (
            f"<p>The best of {many} values is an optimistic estimate of what its configuration gives on average.</p>"
        )
    return found


def _mattered(findings: Findings) -> list[str]:
    """Says which parameters explain the differences, as HTML."""
    clear = [effect for effect in findings.effects if effect.clear]
    if not clear:
        caveat = findings.caveat
        return [escape(caveat[0].upper() + caveat[1:])] if caveat else []
    named = ", ".join(f"<b>{escape(effect.name)}</b> ({100 * effect.importance:.0f} %)" for effect in clear[:NAMED])
    more = f" and {len(clear) - NAMED} more" if len(clear) > NAMED else ""
    rest = len(findings.effects) - len(clear)
    others = (
        f" What the other {rest} add to that may be chance."
        if rest > 1
        else " What the other one adds to that may be chance."
    )
    return [f"Of the differences between {findings.sweep.noun}s: {named}{more}.{others if rest else ''}"]


def _next(findings: Findings) -> str:
    """Says what to do next, with the command for it."""
    sweep, whole = findings.sweep, findings.whole
    running = whole.tally.counts.get("running", 0)
    if sweep.best is None and any(record.state in ("failed", "lost") for record in whole.records):
        return '<p>No trial finished with a value: <a href="#failures">see why they failed</a>.</p>'
    if whole.left and not whole.runs and (line := resume_command(whole)):
        return f"<p>The sweep ended early, {counted(whole.left, 'trial')} to go. Resume it:</p>{command(line)}"
    if sweep.best is None:
        return f"<p>{running} running: write the report again when some have finished.</p>" if running else ""
    if whole.runs:
        return f"<p>Wait for the rest: {counted(whole.left, 'trial')} to go. What is best may change.</p>"
    what, line = seeds_command(whole) or next(iter(commands(whole)), ("", ""))
    return f"<p>{escape(what)}:</p>{command(line)}" if line else ""


def _subtitle(sweep: Sweep) -> str:
    """Formats id, method, metric and controller."""
    words = [f"sweep <code>{escape(sweep.id)}</code>", escape(sweep.method) + " search"]
    if sweep.metric:
        words.append(escape(aims_text(sweep)))
    words.append({"wandb": "W&amp;B", "local": "local controller"}.get(sweep.controller, escape(sweep.controller)))
    return " · ".join(word for word in words if word)


def _tiles(findings: Findings) -> str:
    """Formats the figures at the page's top."""
    sweep = findings.sweep
    best = sweep.best
    tally, whole = findings.whole.tally, findings.whole
    others = ", ".join(f"{number} {name}" for name, number in tally.counts.items() if name != "finished")
    to_start = whole.left - tally.counts.get("running", 0)
    others = ", ".join(
        part for part in ((others + tally.again_text).strip(), to_start and f"{to_start} to start") if part
    )
    finished = f"{tally.counts.get('finished', 0)} of {max(whole.progress.target, sum(tally.counts.values()))}"
    if whole.left:
        finished += ", running" if whole.runs else ", ended early"
    none = "no trial finished with a value" if sweep.metric else "the sweep has no metric"
    took, spent = span(findings.whole), busy(findings.whole)
    tiles = [
        (
            f"best {'mean ' if sweep.by_points else ''}{sweep.metric or 'value'}",
            _best_value(findings) if best else "none",
            escape(_and_equals(sweep, best)) if best else none,
        ),
        ("trials finished", finished, escape(others)),
        (
            "took so far" if whole.runs else "took",
            escape(duration_text(took)) or "–",
            f"{escape(duration_text(spent))} of trials" if spent else "",
        ),
    ]
    if saved := savings(findings.whole.records):
        share = f"{saved.percent:.0f} %"
        hours = f"; {saved.gpu_hours:.1f} GPU hours saved" if saved.gpu_hours is not None and saved.percent else ""
        tiles.append(("trained less", share, f"{saved.trained} of {saved.full} iterations{hours}"))
    if findings.front:
        many = f"{len(findings.front)} {sweep.noun}{'' if len(findings.front) == 1 else 's'}"
        tiles.append(("on the front", many, f"of {len(sweep.spec.objectives) if sweep.spec else 0} objectives"))
    if findings.effects:
        first = leading(findings.effects)
        share = f"{100 * findings.effects[0].importance:.0f} % of the differences"
        if not first:
            tiles.append(("matters most", "cannot tell", "may all be chance"))
        else:
            tiles.append(
                ("matters most", escape(" or ".join(first)), share if len(first) == 1 else "cannot tell which")
            )
    cells = "".join(f"<div class=tile><dt>{escape(a)}</dt><dd>{b}<small>{c}</small></dd></div>" for a, b, c in tiles)
    return f'<dl class="tiles">{cells}</dl>'


def _best_value(findings: Findings) -> str:
    """Formats the best value, with its standard error where it is a mean."""
    trial = findings.sweep.best_trial
    error = trial.point.estimate.error if trial is not None and trial.point is not None else None
    shown = value(trial.record.value) if trial is not None else "none"
    return shown if error is None else f'{shown} <span class="error">± {error:.2g}</span>'


def _and_equals(sweep: Sweep, best: TrialRecord) -> str:
    """Formats the best trial's name, and how many others are equally good."""
    equal = sum(trial.record.value == best.value for trial in sweep.finished) - 1
    return f"{best.name} and {equal} more, equal" if equal > 0 else best.name
