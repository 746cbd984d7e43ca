"""Formats what the launcher prints about sweeps and trials: values, durations, one-line messages, tables. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from ..base.values import utc_seconds
from ..records.folder import TrialRecord
from ..records.progress import retried_trials
from .cells import clean
from .table import text_table

LEAST = 20  # columns that a cut column of the trials' table keeps


def short_value(value: Any) -> str:
    """Formats a parameter's or a metric's value in at most 24 characters."""
    if isinstance(value, float):
        return f"{value:.4g}"
    text = "".join(letter if letter.isprintable() else "?" for letter in str(value))
    return text if len(text) <= 24 else text[:23] + "…"


def params_line(params: Mapping[str, Any]) -> str:
    """Formats parameters as `base_lr=0.00035 margin=0.3`."""
    return " ".join(f"{name}={short_value(value)}" for name, value in params.items())


def command_text(words: Sequence[str]) -> str:
    """Formats a command's words so that they can be pasted into a shell."""
    return shlex.join(words)


# -- durations --------------------------------------------------------------------------------------------------------
def trial_seconds(record: TrialRecord) -> float | None:
    """Computes how long the trial took; None while it runs."""
    start, end = utc_seconds(record.started), utc_seconds(record.ended)
    return None if start is None or end is None else round(end - start, 3)


def duration_text(seconds: float | None) -> str:
    """Formats a duration as `42 s`, `3 min 20 s` or `2 h 05 min`; None is empty."""
    if seconds is None:
        return ""
    if seconds < 100:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def clock(seconds: float) -> str:
    """Formats a duration as a running clock: `0:42`, `12:05`, `3:20:00`."""
    minutes, rest = divmod(max(0, int(seconds)), 60)
    return f"{minutes}:{rest:02d}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def rough_duration(seconds: float) -> str:
    """Formats an estimated duration, rounded to whole, 5 or 30 minutes: `25 min`, `2 h 30 min`."""
    step = 60 if seconds < 1200 else 300 if seconds < 10800 else 1800
    hours, minutes = divmod(max(step, round(seconds / step) * step) // 60, 60)
    return " ".join([*([f"{hours} h"] if hours else []), *([f"{minutes} min"] if minutes or not hours else [])])


# -- trials and batches -----------------------------------------------------------------------------------------------
def trial_started_line(record: TrialRecord) -> str:
    """Formats the line at a trial's start."""
    again = f" (again, after {record.retry_of})" if record.retry_of else ""
    return f"▶ {record.name}{again}: {params_line(record.params)}"


def reason_shown(record: TrialRecord) -> str:
    """Returns why a trial ended, as shown beside its state: nothing for one that has just finished."""
    return "" if record.reason == "finished" else record.reason


def trial_ended_line(record: TrialRecord, metric: str | None) -> str:
    """Formats the line at a trial's end: state, duration, value, and the reason of one that did not finish."""
    value = "" if record.value is None else f", {metric} {short_value(record.value)}"
    why = f": {reason}" if (reason := reason_shown(record)) else ""
    mark = {"finished": "✓", "stopped": "■"}.get(record.state, "✗")
    return f"{mark} {record.name} {record.state} after {duration_text(trial_seconds(record))}{value}{why}"


MOST_SHOWN = 20  # trials of a table on the terminal


def trial_table(
    records: Sequence[TrialRecord], metric: str | None, width: int, *, most: int | None = None, file: object = ""
) -> str:
    """Formats trials, in the order given, as a table of `width` columns; reasons are cut first, then parameters.

    Args:
        most: rows at most; a line below says how many are left out. None: all.
        file: where all of them are.
    """
    again = retried_trials(records)
    rows = [["trial", metric or "value", "state", "time", "parameters", "reason"]]
    for record in records[:most]:
        value = "" if record.value is None else f"{record.value:.6g}"
        later = again.get(record.id)
        reason = f"tried again as {later.name}" if later else reason_shown(record)
        time = duration_text(trial_seconds(record))
        cells = [record.name, value, record.state, time, params_line(record.params), reason]
        rows.append([clean(cell) for cell in cells])  # names and reasons may come from a database others write to
    if all(row[-1] == "" for row in rows[1:]):
        rows = [row[:-1] for row in rows]
    shrink = [(column, LEAST) for column in range(len(rows[0]) - 1, 3, -1)]
    left_out = len(records) - len(records[:most])
    below = [f"+{left_out} more; {file} has all"] if left_out else []
    return "\n".join([*text_table(rows, width=width, shrink=shrink), *below])


def batch_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Formats the sweeps of a batch's summary.json as a table; below it, why any has ended early."""
    cells = [["sweep", "name", "state", "best", "trials"]]
    for row in rows:
        best = f"{row['metric']['name']} {row['best']['value']:.6g} ({row['best']['name']})" if row["best"] else ""
        counts = ", ".join(f"{count} {state}" for state, count in row["counts"].items())
        cells.append([clean(cell) for cell in (row["sweep_id"], str(row["name"]), row["state"], best, counts)])
    told = (clean(f"{row['sweep_id']}: {row['message']}") for row in rows if row["message"])
    return "\n".join([*text_table(cells), *told])
