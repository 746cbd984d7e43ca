"""What every form of a report says, as plain values: rows of trials, failures, the search."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from ...base.times import utc_seconds
from ...base.values import finite_number
from ...records.folder import TrialRecord
from ...spec.parameter import Parameter
from .columns import column
from .data import Sweep, text_of
from .statistics import Effect, Verdict, compare_best, effects, shaky

LAST_LINES = 8  # of a failed trial of a reason
NUMBER = re.compile(r"0x[0-9a-f]+|\d+(\.\d+)?(e[-+]?\d+)?", re.IGNORECASE)


@dataclass(frozen=True)
class Failures:
    """Trials that ended for one reason other than being finished."""

    state: str
    cause: str
    reason: str  # of the first
    names: list[str]
    last_lines: list[str]
    lines_of: str  # the trial that printed them: the first that printed any


@dataclass(frozen=True)
class Findings:
    """A sweep and what was worked out of it, once for all forms of the report."""

    sweep: Sweep
    effects: list[Effect]
    shaky: str
    verdict: Verdict | None

    @classmethod
    def of(cls, sweep: Sweep) -> Findings:
        found = effects(sweep)
        return cls(sweep, found, shaky(sweep, found), compare_best(sweep))


def counts(sweep: Sweep) -> dict[str, int]:
    """Trials by state, in the order of states."""
    found: dict[str, int] = defaultdict(int)
    for record in sweep.records:
        found[record.state] += 1
    order = ("finished", "stopped", "failed", "killed", "lost", "running")
    return {state: found[state] for state in (*order, *(set(found) - set(order))) if found[state]}


def failures(sweep: Sweep) -> list[Failures]:
    """Reasons for which trials ended, other than being finished; most frequent first. Reasons that differ in numbers alone
    are one, exit codes apart."""
    groups: dict[tuple[Any, ...], list[TrialRecord]] = defaultdict(list)
    for record in sweep.records:
        if record.state not in ("finished", "running"):
            code = record.exit_code if record.cause == "exit" else None
            groups[record.state, record.cause or record.state, code, NUMBER.sub("#", record.reason)].append(record)
    found = []
    for (state, cause, *_), records in groups.items():
        printed = [record for record in records if record.last_lines and state in ("failed", "lost")]
        lines, of = (printed[0].last_lines[-LAST_LINES:], printed[0].name) if printed else ([], "")
        found.append(Failures(state, cause, records[0].reason, [record.name for record in records], lines, of))
    return sorted(found, key=lambda group: (group.state == "stopped", -len(group.names)))


def described(item: Parameter) -> str:
    """What a parameter could be, in words."""
    if item.distribution == "constant":
        return text_of(item.value)
    if item.values:
        texts = [text_of(value) for value in item.values]
        if item.probabilities:
            texts = [f"{text} ({share:.2g})" for text, share in zip(texts, item.probabilities, strict=True)]
        return ", ".join(texts)
    numbers = ", ".join(f"{key} {value:.6g}" for key, value in item.numbers().items() if key not in ("min", "max"))
    if item.min is not None and item.max is not None:
        numbers = f"{item.min:.6g} to {item.max:.6g}" + (f", {numbers}" if numbers else "")
    return f"{item.distribution}: {numbers}"


def searched_rows(sweep: Sweep) -> list[dict[str, str]]:
    """One row a parameter: what it could be, what was tried, its value in the best trial."""
    best = sweep.best
    rows = []
    for name in sweep.parameters():
        declared = sweep.declared(name)
        given = [trial for trial in sweep.trials if name in trial.record.params]
        tried = ""
        if given:
            item = column(sweep, name, given)
            if item.kind == "number":
                low, high = min(item.present), max(item.present)
                tried = text_of(low) if low == high else f"{low:.4g} to {high:.4g} ({len(set(item.present))} values)"
            else:
                tried = ", ".join(item.levels)
        condition = ""
        if declared is not None and declared.parent:
            condition = (
                f"only where {declared.parent} is {' or '.join(text_of(value) for value in declared.parent_values)}"
            )
        rows.append(
            {
                "name": name,
                "search": described(declared) if declared else "",
                "condition": condition,
                "tried": tried,
                "best": text_of(best.params[name]) if best is not None and name in best.params else "",
            }
        )
    return rows


def span(sweep: Sweep) -> float | None:
    """Seconds from the first start to the last end."""
    starts = [start for record in sweep.records if (start := utc_seconds(record.started)) is not None]
    ends = [end for record in sweep.records if (end := utc_seconds(record.ended)) is not None]
    return max(ends) - min(starts) if starts and ends else None


def busy(sweep: Sweep) -> float:
    """Seconds of all trials together."""
    return sum(trial.seconds or 0.0 for trial in sweep.trials)


def trial_rows(sweep: Sweep) -> list[dict[str, Any]]:
    """Every trial as a flat row, best first: the columns of trials.csv."""
    names = sweep.parameters()
    metrics = sorted({name for trial in sweep.trials for name in trial.curves})
    rows = []
    for rank, trial in enumerate(sweep.ranked(), start=1):
        record = trial.record
        row: dict[str, Any] = {
            "rank": rank if record.state == "finished" and finite_number(record.value) else None,
            "trial": record.name,
            "id": record.id,
            "number": record.number,
            "state": record.state,
            "value": record.value,
            "seconds": None if trial.seconds is None else round(trial.seconds, 3),
            "started": record.started,
            "ended": record.ended,
            "cause": record.cause,
            "reason": record.reason,
            "exit_code": record.exit_code,
            "attempts": record.attempts,
            "host": record.host,
            "gpu_ids": ",".join(record.gpu_ids),
            "git_commit": record.git_commit,
        }
        row.update({f"param:{name}": record.params.get(name) for name in names})
        row.update({f"last:{name}": trial.curves[name].y[-1] if name in trial.curves else None for name in metrics})
        rows.append(row)
    return rows


def commits(sweep: Sweep) -> list[tuple[str, int]]:
    """The trainer's commits and how many trials ran on each."""
    found: dict[str, int] = defaultdict(int)
    for record in sweep.records:
        found[record.git_commit or ""] += 1
    return sorted(found.items(), key=lambda pair: -pair[1])
