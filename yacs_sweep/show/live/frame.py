"""Draws the board as lines for a terminal of a given size. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ...base.wording import cells, cut
from ..cells import Line, clean, clip, cut_front, fit, sparkline, width_of
from ..lines import clock, params_line, rough_duration, short_value, values_text
from ..point_table import estimate_text, means_text, spread_note
from ..table import GAP
from .board import Board, Running, Sweep

STATES = (  # in this order, with their style
    ("finished", "green"),
    ("stopped", "yellow"),
    ("paused", "blue"),
    ("failed", "red"),
    ("lost", "red"),
    ("killed", "yellow"),
    ("running", "cyan"),
)
DIM = "bright_black"
SPARK = 12  # columns of a sparkline
FREE = 4  # rows of the terminal that are left to messages
LEAST_BAR = 10
MINOR = 6  # columns of a higher rank give way to the parameters


def end_time(left: float | None, today: datetime) -> str:
    """Formats when the sweep will have ended, rounded as the estimate deserves; empty without one."""
    if left is None:
        return ""
    if left < 60:
        return "less than a minute left"
    end = today + timedelta(seconds=left)
    days = (end.date() - today.date()).days
    day = "" if days == 0 else f"{end:%a} " if days < 7 else f"{end:%-d %b} "
    return f"about {rough_duration(left)} left, until {day}{end:%H:%M}"


def bar(sweep: Sweep, width: int) -> Line:
    """Draws the progress bar: ended and failed trials of all; without colours the rest is thinner."""
    total = max(1, sweep.total, sweep.done)
    failed = sweep.counts.get("failed", 0)
    ends = [round(width * part / total) for part in (sweep.done - failed, sweep.done)]
    if failed and ends[1] == ends[0] and ends[0]:
        ends[0] -= 1
    return [
        ("━" * ends[0], "green"),
        ("━" * (ends[1] - ends[0]), "red"),
        ("─" * (width - ends[1]), DIM),
    ]


def counts(sweep: Sweep) -> Line:
    """Formats `9 finished  1 failed  4 running  16 to go  (2 tried again)`."""
    line: Line = []
    for state, style in STATES:
        number = len(sweep.running) if state == "running" else sweep.counts.get(state, 0)
        if number:
            line += [(str(number), f"bold {style}"), (f" {state}{GAP}", "")]
    if sweep.left:
        line += [(str(sweep.left), "bold"), (f" to go{GAP}", "")]
    if sweep.again:
        line.append((f"({sweep.again} tried again)", DIM))
    return line


def best(sweep: Sweep) -> Line:
    """Formats the best trial so far."""
    record, point, aims = sweep.best, sweep.point, sweep.aims
    head: Line = [("best  ", DIM)]
    front: Line = [(f"{GAP}front {len(sweep.front)}", DIM)] if sweep.front else []
    if point is not None and aims is not None:
        means = (GAP + clean(means_text(point, aims)), "bold green")
        return [
            *head,
            (clean(point.name), "bold"),
            means,
            *front,
            (GAP + params_line(point.params, sweep.contrast), ""),
        ]
    if point is not None and point.estimate.n > 1:  # the seeds of --train-best, of which none is the best
        mean = f"{clean(sweep.metric or 'value')} {estimate_text(point.estimate)} {spread_note(point.estimate, 'seed')}"
        return [("mean  ", DIM), (mean, "bold green"), (GAP + params_line(point.params, sweep.contrast), "")]
    if record is None or record.value is None or (aims is not None and aims.repeats is not None):
        finished = aims is not None and aims.constraints and sweep.counts.get("finished")
        return [*head, ("none keeps the constraints" if finished else "no finished trial yet", DIM)]
    params = (GAP + params_line(record.params, sweep.contrast), "")
    if record.values is not None:
        values = (GAP + values_text(record, sweep.metric), "bold green")
        return [*head, (clean(record.name), "bold"), values, *front, params]
    value = f"{clean(sweep.metric or 'value')} "
    return [*head, (clean(record.name), "bold"), (GAP + value, ""), (short_value(record.value), "bold green"), params]


def head(sweep: Sweep, width: int) -> Line:
    """Formats the sweep's name, id, method and place."""
    line: Line = [(clean(sweep.name), "bold")]
    if sweep.sweep_id != sweep.name:
        line.append((f"{GAP}{clean(sweep.sweep_id)}", "cyan"))
    line.append((f"{GAP}{clean(sweep.method)}, {clean(sweep.controller)}", DIM))
    room = width - width_of(line) - len(GAP)
    where = clean(sweep.where)
    if room >= 16:
        where = cut(where, room) if "://" in where else cut_front(where, room)
        line += [(" " * (room - width_of([(where, "")])) + GAP, ""), (where, DIM)]
    return line


def _with_bar(sweep: Sweep, behind: Line, width: int, ahead: Line | None = None) -> Line:
    """Puts the progress bar between two texts, if there is room for it."""
    ahead = ahead or []
    room = width - width_of(behind) - width_of(ahead) - len(GAP)
    return [*ahead, *([*bar(sweep, room), (GAP, "")] if room >= LEAST_BAR else []), *behind]


def _elapsed(board: Board, now: float) -> str:
    """Formats how long the launch has been running."""
    return "" if board.started is None else f"{GAP}{clock(now - board.started)}"


def progress(sweep: Sweep, width: int, elapsed: str, ends: str) -> Line:
    """Formats the line with the progress bar, the time and the estimated end."""
    behind: Line = [(f"{sweep.done}/{sweep.total}", "bold"), (elapsed, DIM)]
    if ends and width >= 50 + len(ends) - 12:
        behind.append((f"{GAP}{ends}", ""))
    elif ends:
        behind.append((f"{GAP}{ends.replace(' left', '').split(', ')[0]}", ""))
    return _with_bar(sweep, behind, width)


@dataclass(frozen=True)
class Column:
    """A column of the table of running trials. `rank`: columns of lower rank are kept when there is little room."""

    title: str
    width: int
    rank: int
    cells: list[str]
    right: bool = False
    style: str = ""
    wish: int = 0  # the width that it gets before columns of a high rank do; it also takes the room that is left


def numbers(values: Sequence[float | None]) -> list[str]:
    """Formats a column of a metric's values, all with as many decimals as the largest has in four digits."""
    sizes = [abs(value) for value in values if value is not None and math.isfinite(value) and value]
    exponent = math.floor(math.log10(max(sizes))) if sizes else 0
    if not -3 <= exponent <= 5:
        return ["" if value is None else short_value(float(value)) for value in values]
    decimals = max(0, 3 - max(0, exponent)) if exponent >= 0 else 3 - exponent
    return ["" if value is None else f"{value:.{decimals}f}" for value in values]


def _metric_columns(
    name: str, trials: Sequence[tuple[Sweep, Running]], rank: int, style: str, *, spark: bool = True
) -> list[Column]:
    """Makes a metric's columns: its values, and sparklines of their courses."""
    values = numbers([trial.value(name) for _, trial in trials])
    title = clean(name)
    columns = [Column(title, min(16, max(map(cells, (title, *values)))), rank, values, True, "bold")]
    courses = [trial.courses.get(name) for _, trial in trials]
    sparks = [sparkline(course.values, SPARK) if course else "" for course in courses]
    # The width does not depend on what is there yet: columns that move are not calm.
    return columns + ([Column("", SPARK, rank + 3, sparks, style=style)] if spark else [])


def _columns(board: Board, now: float, trials: Sequence[tuple[Sweep, Running]]) -> list[Column]:
    """Makes all columns of the table of running trials."""
    several = len(board.sweeps) > 1
    running = [trial for _, trial in trials]
    names = [
        clean(f"{sweep.sweep_id}/{trial.record.name}" if several else trial.record.name) for sweep, trial in trials
    ]
    columns = [Column("trial", min(28, max(map(cells, ("trial", *names)))), 0, names, style="bold")]
    if any(trial.epoch is not None for trial in running):
        epochs = ["" if trial.epoch is None else f"{trial.epoch:g}" for trial in running]
        columns.append(Column("epoch", 5, 2, epochs, right=True))
    metrics = list(dict.fromkeys(sweep.metric for sweep in board.sweeps if sweep.metric))
    for metric in metrics[:2]:
        columns += _metric_columns(metric, trials, 1, "green")
    others = list(dict.fromkeys(other for sweep in board.sweeps for other in sweep.others if other not in metrics))
    for place, other in enumerate(others[:2]):
        columns += _metric_columns(other, trials, 6 + 4 * place, "magenta", spark=place == 0)
    gpus = [clean(",".join(trial.record.gpu_ids)) for trial in running]
    if any(gpus):
        columns.append(Column("GPU", min(12, max(3, *map(len, gpus))), 5, gpus))
    times = [clock(now - trial.since) for trial in running]
    columns.append(Column("time", max(5, *map(len, times)), 1, times, right=True))
    params = [params_line(trial.record.params, sweep.contrast) for sweep, trial in trials]
    longest = max(10, *map(cells, params))
    columns.append(Column("parameters", min(16, longest), 3, params, wish=min(48, longest)))
    return columns


def _chosen(columns: Sequence[Column], width: int) -> list[Column]:
    """Chooses the columns for which there is room, in their order."""
    chosen: list[Column] = []
    used, wished = -len(GAP), 0
    for column in sorted(columns, key=lambda column: column.rank):
        wanted = wished if column.rank > MINOR else 0
        if used + column.width + len(GAP) + wanted <= width or not chosen:
            chosen.append(column)
            used += column.width + len(GAP)
            wished += max(0, column.wish - column.width)
    return [column for column in columns if column in chosen]


def _cells(columns: Sequence[Column], texts: Sequence[str], width: int, style: str | None = None) -> Line:
    """Formats one row of the table of running trials."""
    room = width - sum(column.width + len(GAP) for column in columns) + len(GAP)
    line: Line = []
    for column, text in zip(columns, texts, strict=True):
        size = column.width + (max(0, room) if column.wish else 0)
        line += [(GAP if line else "", ""), (fit(text, size, right=column.right), style or column.style)]
    return line


def table(board: Board, width: int, rows: int, now: float) -> list[Line]:
    """Draws the running trials, oldest first, and the number of those for which there is no room."""
    trials = [(sweep, trial) for sweep in board.sweeps for trial in sweep.running.values()]
    trials.sort(key=lambda pair: pair[1].since)
    if board.started is None:
        return []
    if not trials or rows < 2:
        text = "no trial runs at the moment" if any(sweep.done for sweep in board.sweeps) else "starting"
        return [[(text, DIM)]] if not trials and rows > 0 else []
    hidden = len(trials) - (rows - 1)
    if hidden > 0:
        trials, hidden = trials[: max(0, rows - 2)], len(trials) - max(0, rows - 2)
    lines: list[Line] = []
    if trials:
        columns = _chosen(_columns(board, now, trials), width)
        lines.append(_cells(columns, [column.title for column in columns], width, DIM))
        lines += [_cells(columns, [column.cells[row] for column in columns], width) for row in range(len(trials))]
    if hidden > 0:
        lines.append([(f"+{hidden} more running", DIM)])
    return lines


def _one(board: Board, width: int, rows: int, now: float, today: datetime) -> list[Line]:
    """Draws the lines above the table for a single sweep."""
    (sweep,) = board.sweeps
    ends = end_time(board.seconds_left(now), today)
    lines = [head(sweep, width), progress(sweep, width, _elapsed(board, now), ends)]
    lines += [counts(sweep), best(sweep)][: max(0, rows - 2)]
    if sweep.budget:
        lines.append([("budget  ", DIM), (sweep.budget, "")])
    if sweep.message:
        lines.append([(clean(sweep.message), "yellow")])
    return lines


def _several(board: Board, width: int, rows: int, now: float, today: datetime) -> list[Line]:
    """Draws the lines above the table for several sweeps, one line each."""
    ends = end_time(board.seconds_left(now), today)
    running = sum(len(sweep.running) for sweep in board.sweeps)
    title: Line = [(board.title or f"{len(board.sweeps)} sweeps", "bold"), (f"{GAP}{running} running", "")]
    title += [(_elapsed(board, now), DIM), (f"{GAP}{ends}" if ends else "", "")]
    lines = [title]
    names = min(40, max(cells(f"{sweep.sweep_id}  {clean(sweep.name)}") for sweep in board.sweeps))
    any_failed = any(sweep.counts.get("failed") for sweep in board.sweeps)
    for sweep in board.sweeps:
        behind: Line = [(f"{sweep.done}/{sweep.total}".rjust(7), "bold")]
        failed = sweep.counts.get("failed", 0)
        text = f"{GAP}{failed} failed" if failed else ""
        behind.append((fit(text, 12) if any_failed and width >= 70 else text, "red"))  # bars end below each other
        value = "" if sweep.best_value is None else f"best {short_value(sweep.best_value)}"
        behind.append((GAP + fit(value, 14), "green"))
        if sweep.message:
            behind.append((f"{GAP}{clean(sweep.message).split()[0]}", "yellow"))  # paused
        ahead: Line = [(fit(f"{sweep.sweep_id}  {clean(sweep.name)}", min(names, width // 3)), "cyan"), (GAP, "")]
        lines.append(_with_bar(sweep, behind, width, ahead))
    room = max(2, rows // 2)
    if len(lines) > room:
        lines = [*lines[: room - 1], [(f"+{len(lines) - room + 1} more sweeps", DIM)]]
    return lines


def frame(board: Board, columns: int, rows: int, now: float, today: datetime) -> list[Line]:
    """Draws the board for a terminal of `columns` by `rows`, with some rows left to messages.

    Args:
        now: the present time: seconds by the board's clock.
        today: the present time of day.
    """
    if not board.sweeps:
        return []
    width = max(8, columns - 1)  # a full last column would make some terminals wrap
    room = max(3, rows - FREE)
    build = _one if len(board.sweeps) == 1 else _several
    lines = build(board, width, room, now, today)[:room]
    body = table(board, width, room - len(lines) - (1 if room > 12 else 0), now)
    if body and room - len(lines) - len(body) > 0 and room > 12:
        lines.append([])
    if room > 12:
        lines.insert(0, [])  # apart from the messages above
    return [clip(line, width) for line in [*lines, *body][: rows - 1]]
