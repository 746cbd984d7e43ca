"""What the launcher prints about a sweep, as text. Pure: everything here returns strings."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from ..base.times import utc_seconds
from ..records.folder import TrialRecord


def short_value(value: Any) -> str:
    """A parameter or metric value in few characters."""
    if isinstance(value, float):
        return f"{value:.4g}"
    text = "".join(letter if letter.isprintable() else "?" for letter in str(value))
    return text if len(text) <= 24 else text[:23] + "…"


def params_line(params: Mapping[str, Any]) -> str:
    """`base_lr=0.00035 margin=0.3`."""
    return " ".join(f"{name}={short_value(value)}" for name, value in params.items())


def trial_seconds(record: TrialRecord) -> float | None:
    """Computes how long the trial took; None while it runs."""
    start, end = utc_seconds(record.started), utc_seconds(record.ended)
    return None if start is None or end is None else round(end - start, 3)


def duration_text(total: float | None) -> str:
    """`42 s`, `3 min 20 s`, `2 h 05 min`."""
    if total is None:
        return ""
    if total < 100:
        return f"{total:.0f} s" if total >= 10 else f"{total:.1f} s"
    minutes, rest = divmod(round(total), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def trial_started_line(record: TrialRecord) -> str:
    """One line at the start of a trial."""
    again = f" (again, after {record.retry_of})" if record.retry_of else ""
    return f"▶ {record.name}{again}: {params_line(record.params)}"


def trial_ended_line(record: TrialRecord, metric: str | None) -> str:
    """One line at its end."""
    value = "" if record.value is None else f", {metric} {short_value(record.value)}"
    why = "" if record.state == "finished" else f": {record.reason}"
    mark = {"finished": "✓", "stopped": "■"}.get(record.state, "✗")
    return f"{mark} {record.name} {record.state} after {duration_text(trial_seconds(record))}{value}{why}"


def trial_table(records: Sequence[TrialRecord], metric: str | None, width: int) -> str:
    """The trials, in the order given; columns are cut to fit `width` characters, the reason first."""
    rows = [["trial", metric or "value", "state", "time", "parameters", "reason"]]
    for record in records:
        value = "" if record.value is None else f"{record.value:.6g}"
        reason = "" if record.state == "finished" else record.reason
        rows.append(
            [record.name, value, record.state, duration_text(trial_seconds(record)), params_line(record.params), reason]
        )
    if all(row[-1] == "" for row in rows[1:]):
        rows = [row[:-1] for row in rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    over = sum(widths) + 2 * (len(widths) - 1) - width
    for column in (len(widths) - 1, 4):
        cut = min(max(0, over), max(0, widths[column] - 20))
        widths[column] -= cut
        over -= cut
    lines = []
    for row in rows:
        cells = [cell if len(cell) <= size else cell[: size - 1] + "…" for cell, size in zip(row, widths, strict=True)]
        lines.append("  ".join(cell.ljust(size) for cell, size in zip(cells, widths, strict=True)).rstrip())
    lines.insert(1, "  ".join("─" * size for size in widths))
    return "\n".join(lines)


def batch_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The sweeps of a batch, as its summary.json has them; one that has ended early says why below."""
    cells = [["sweep", "name", "state", "best", "trials"]]
    for row in rows:
        best = f"{row['metric']['name']} {row['best']['value']:.6g} ({row['best']['name']})" if row["best"] else ""
        counts = ", ".join(f"{count} {state}" for state, count in row["counts"].items())
        cells.append([row["sweep_id"], str(row["name"]), row["state"], best, counts])
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    cells.insert(1, ["─" * size for size in widths])
    lines = ["  ".join(cell.ljust(size) for cell, size in zip(line, widths, strict=True)).rstrip() for line in cells]
    return "\n".join([*lines, *(f"{row['sweep_id']}: {row['message']}" for row in rows if row["message"])])


def command_text(words: Sequence[str]) -> str:
    """argv as one would type it."""
    return shlex.join(words)
