"""Shows the state of sweeps from their folders, from another terminal: `tools/sweep.py --status`.

Exit status: 0 the sweep runs, or has ended with every trial well; 1 some trial failed, or the sweep is not done and no
launcher works on it; 2 no such sweep.
"""

from __future__ import annotations

import math
import os
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from ..base.command_line import COMMAND
from ..base.signals import handled
from ..base.streams import output_error, output_width, print_lines
from ..base.values import utc_seconds
from ..base.wording import counted, cut, without_password
from ..records.alive import Launcher, launchers
from ..records.control.added import count_waiting
from ..records.control.order_file import OrderFile
from ..records.control.orders import count_wanted, paused_by
from ..records.control.words import ago, standing_text
from ..records.folder import OVER, SweepPaths, best_of, rank
from ..records.known_sweeps import origin_of
from ..records.launch_file import read_launch
from ..records.metrics import new_rows
from ..records.points import is_plain
from ..records.progress import Progress, Tally, read_objectives, savings
from ..records.standings import rank_points
from ..spec.budget.lifting import without_reached
from ..wandb.login import DEFAULT_HOST, base_url
from .cells import Line, clean, fit, plain
from .left_out import cannot_be, left_out_text
from .lines import Contrast, best_value, command_text, saved_text, short_value, trial_table
from .live.board import Board, Sweep
from .live.frame import DIM, STATES, frame
from .point_table import point_table
from .query.as_json import print_json, status_object, sweep_object
from .query.listing import Query, list_trials, select
from .query.sweeps import find_sweeps, known_sweeps, open_batches
from .same_seeds import same_best_text, same_seeds_text
from .same_value import same_value_text
from .snapshot import Snapshot, last_change, read_snapshot, summary_head
from .table import GAP, column_widths

PERIOD = 2.0  # seconds between two looks (--watch)
LISTED = 20  # sweeps of a list
RECENT = 1000  # ended trials from which a trial's duration is estimated
FOLLOWED = 32  # running trials whose rows are read
BEST = 5  # trials listed while the sweep runs, twice as many at the end
FOLDER = 24  # columns that a folder needs in the list
WIDTH = 120  # columns where there is no terminal
Drawn = tuple[list[Line], int, bool]  # the lines, the exit status, whether a sweep is running


def web_address() -> str:
    """Returns the address of the W&B server's pages."""
    url = without_password(base_url())
    return "https://wandb.ai" if url == DEFAULT_HOST else url


def to_board(snapshot: Snapshot) -> Board:
    """Makes the live screen's board of a sweep's state; the board's clock is seconds since 1970."""
    launch, paths = snapshot.launch, snapshot.paths
    where = str(paths.dir)
    if snapshot.controller == "wandb" and launch.get("entity") and launch.get("project"):
        where = f"{web_address()}/{launch['entity']}/{launch['project']}/sweeps/{paths.sweep_id}"
    now = board_time(snapshot)
    running = [record for record in snapshot.records if record.state == "running"] if snapshot.at_work else []
    left = max(0, snapshot.progress.left - len(running)) if snapshot.at_work else 0
    sweep = Sweep(
        paths.sweep_id,
        snapshot.name,
        snapshot.method,
        snapshot.controller,
        where,
        snapshot.metric,
        snapshot.goal,
        total=snapshot.progress.target,
        left=left,
        pauses="paused" in snapshot.counts,
        held=snapshot.asleep is not None
        or (snapshot.standing_order is not None and snapshot.standing_order.act == "pause"),
        counts=snapshot.counts,
        may_resume=snapshot.resumable > 0,
        again=snapshot.tally.again,
        contrast=Contrast.of_trials(snapshot.records),
        aims=None if is_plain(snapshot) else snapshot,
        seed=snapshot.seed,
        trials=[record for record in snapshot.records if record.state != "running"],
    )
    ended = [record for record in snapshot.current if record.state != "running"]
    for record in ended[-RECENT:]:
        sweep.see_end(record, compare=False)
    sweep.best = best_of(ended, snapshot.goal)
    for record in running:
        sweep.trial(record, min(now, utc_seconds(record.started) or now))
    for record in running[:FOLLOWED]:
        for row in new_rows(paths.trial(record.name).metrics)[0]:
            sweep.row({**row, "id": record.id})
    if snapshot.at_work and snapshot.budget is not None:
        sweep.budget = snapshot.budget.now(sweep.lasting(now))
    workers = sum(launcher.workers for launcher in snapshot.launchers) or max(1, len(running))
    started = [min(now, utc_seconds(launcher.started) or now) for launcher in snapshot.launchers]
    return Board([sweep], workers, min(started, default=None))


def board_time(snapshot: Snapshot) -> float:
    """Returns the time by the board's clock, which stands still while Ctrl-Z has stopped all launchers."""
    return min(time.time(), snapshot.asleep or math.inf)


def exit_status(snapshot: Snapshot) -> int:
    """Computes the exit status for one sweep: 1 when a trial failed, or the sweep is not done and nobody works on it."""
    failed = any(record.state != "running" and not record.ended_well for record in snapshot.current)
    open_ = not snapshot.at_work and (snapshot.progress.left or snapshot.cut_off)
    return int(bool(failed or open_))


def workers_line(snapshot: Snapshot) -> Line:
    """Formats which launchers work on the sweep, or the command that resumes the sweep when none does."""
    if snapshot.launchers:
        each = [
            f"{launcher.host}, process {launcher.pid}, {counted(launcher.workers, 'worker')}" + _asleep_text(launcher)
            for launcher in snapshot.launchers
        ]
        head = ("runs  ", "bold green") if snapshot.asleep is None else ("asleep  ", "bold yellow")
        return [head, ("; ".join(each), "")]
    if snapshot.agents:
        return [
            ("ending  ", "bold yellow"),
            (f"the launcher has exited, {counted(snapshot.agents, 'agent')} still ending", ""),
        ]
    of_file = snapshot.spec.budget if snapshot.spec is not None else None
    words = without_reached(snapshot.words, [of_file])
    again = command_text([*COMMAND, "--sweep_id", snapshot.paths.sweep_id, *words])
    if not snapshot.progress.left and not snapshot.cut_off:
        return [("ended  ", "bold"), (_all_done(snapshot, again), "")]
    left = snapshot.counts.get("running", 0)
    paused = snapshot.resumable
    to_go = f"  {counted(snapshot.progress.left, 'trial')} to {'start' if paused else 'go'}"
    line: Line = [("no launcher is running", "bold red"), (to_go, "")]
    if left:
        line.append((f", {left} cut off", ""))
    if paused:
        line.append((f", {paused} paused", ""))
    return [*line, (f"; resume with: {again}", "")]


def _asleep_text(launcher: Launcher) -> str:
    """Says since when a launcher is stopped, and what continues it; empty where it is not stopped."""
    if launcher.asleep is None:
        return ""
    return f", stopped by Ctrl-Z {ago(launcher.asleep, time.time())}; `fg` in its terminal continues it"


def _order_line(snapshot: Snapshot) -> list[Line]:
    """Says by whom the sweep was paused, stopped or cancelled, in a line; none where it was not."""
    order = snapshot.standing_order
    if order is None:
        return []
    text = standing_text(order, time.time())
    if order.act == "pause":
        text += f"; resume with: {command_text([*COMMAND, '--resume', snapshot.paths.sweep_id])}"
    word, _, rest = clean(text).partition(" ")
    return [[(f"{word}  ", "bold yellow"), (rest, "")]]


def _all_done(snapshot: Snapshot, again: str) -> str:
    """Says that every trial is done; of a grid that was asked for fewer points than it has, how to try the others."""
    size = None
    if snapshot.method == "grid" and not snapshot.progress.reached and not snapshot.launch.get("exhausted"):
        size = snapshot.spec.grid_trials if snapshot.spec is not None else None
    others = (size or 0) - snapshot.progress.settled
    noun = "trial" if snapshot.repeats else "point"
    if waiting := count_waiting(snapshot.orders, snapshot.records):
        points = f"{counted(waiting, 'point')} of --add-points {'waits' if waiting == 1 else 'wait'}"
        return f"every trial that was asked for is done; {points}, tried with: {again}"
    if others < 1:
        return "every trial is done"
    return f"every trial that was asked for is done; resume for the grid's other {counted(others, noun)} with: {again}"


def _best_rows(snapshot: Snapshot, front: list[str], width: int) -> list[Line]:
    """Formats the best trials that have ended, or with repeats the best points, as a table of `width` columns."""
    most, aims = BEST if snapshot.at_work else 2 * BEST, snapshot
    if snapshot.repeats:
        points = [point for point in snapshot.points if any(record.settled for record in point.trials)]
        ranked = rank_points(aims, points)
        table, left = point_table(ranked[:most], aims, width, front=front), len(ranked) - most
    else:
        ended = [record for record in snapshot.records if record.state != "running"]
        ended = ended if snapshot.seed else rank(ended, snapshot.goal)  # of seeds none is the best
        table = trial_table(
            ended[:most], snapshot.metric, width, beside=snapshot.records, front=front, objectives=aims.objectives
        )
        left = len(ended) - most
    lines: list[Line] = [[(text, "")] for text in table.splitlines()]
    if left > 0:
        lines.append([(f"+{left} more ended; {snapshot.paths.summary} has all", DIM)])
    if text := left_out_text(aims, snapshot.points):
        lines.append([(f"{cannot_be(aims)}{' so far' if snapshot.at_work else ''}: {text}", DIM)])
    return lines


def _of_sweep(paths: SweepPaths, columns: int, rows: int) -> Drawn:
    """Draws one sweep."""
    snapshot = read_snapshot(paths)
    board = to_board(snapshot)
    lines = [workers_line(snapshot), *_order_line(snapshot)]
    lines += [line for line in frame(board, columns, rows, board_time(snapshot), datetime.now()) if line]
    if any(record.state != "running" for record in snapshot.records):
        lines += [[], *_best_rows(snapshot, board.sweeps[0].front, columns - 1)]
    not_well = [record for record in snapshot.current if record.state != "running" and not record.ended_well]
    causes = Counter(record.cause or record.state for record in not_well)
    if causes:
        told = ", ".join(f"{number} × {clean(cause)}" for cause, number in causes.most_common(6))
        lines += [[], [("not ended well  ", "red"), (told, "")]]
    if saved := savings(snapshot.records):
        lines += [[], [("saved  ", "bold"), (saved_text(saved), "")]]
    lines += [line for text in _warnings(snapshot) for line in ([], [("warning  ", "red"), (text, "")])]
    return lines, exit_status(snapshot), snapshot.at_work


def _warnings(snapshot: Snapshot) -> list[str]:
    """Lists what is wrong with the results: seeds, or parameters, that change nothing."""
    paths, found = snapshot.paths, [same_seeds_text(snapshot, snapshot.records, snapshot.paths)]
    if origin_of(paths.sweep_id):
        if snapshot.spec is not None:
            found.append(same_best_text(snapshot.spec, snapshot.records, paths))
    else:
        found.append(same_value_text(snapshot.current, snapshot.metric, paths))
    return [text for text in found if text]


# -- several ------------------------------------------------------------------------------------------------------------
def _row(paths: SweepPaths) -> tuple[list[str], str, bool]:
    """Formats a sweep of the list: its cells, the state's style, and whether the sweep runs.

    Counts are those of the last summary.json.
    """
    head, launch = summary_head(paths.summary), read_launch(paths)
    tally = Tally.without(head.get("counts") or {}, head.get("retried") or {})
    counts = tally.counts
    best: dict[str, Any] = head.get("best") or {}
    runs = bool(launchers(paths))
    done = head.get("settled", sum(counts.get(state, 0) for state in OVER))
    objectives = [metric for metric in read_objectives(head) if metric.target is not None]
    found = best.get("values") or {objectives[0].name if objectives else "": best.get("mean", best.get("value"))}
    reached = bool(objectives) and all(metric.reached(found.get(metric.name)) for metric in objectives)
    orders = OrderFile(paths).read()
    progress = Progress(done, max(count_wanted(launch, orders), done), reached)
    paused = 0 if launch.get("exhausted") else counts.get("paused", 0)
    state, style = ("runs", "green") if runs else ("open", "yellow") if progress.left or paused else ("done", "")
    if state != "done" and paused_by(orders) is not None:
        state, style = "paused", "yellow"
    named = [name for name, _ in STATES[2:] if counts.get(name) and (runs or name != "running")]
    others = (", ".join(f"{counts[name]} {name}" for name in named) + tally.again_text).strip()
    metric = (head.get("metric") or {}).get("name", "")
    number = best_value(best)
    value = f"{metric} {short_value(number)}" if number is not None else ""
    changed = datetime.fromtimestamp(last_change(paths))
    today = changed.date() == datetime.now().date()
    when = f"{changed:%H:%M}" if today else f"{changed:%Y-%m-%d}"
    name = str(head.get("name") or "")
    folder = os.path.relpath(paths.dir) if paths.dir.is_relative_to(Path.cwd()) else str(paths.dir)
    cells = [
        state,
        paths.sweep_id,
        name,
        f"{done if runs else done - paused}/{progress.target}",
        others,
        value,
        when,
        folder,
    ]
    return [clean(cell) for cell in cells], style, runs


def _of_all(sweeps: Sequence[SweepPaths], columns: int, rows: int) -> Drawn:
    """Draws a list of sweeps."""
    shown = sweeps[: max(1, min(LISTED, rows - 4))]
    table = [_row(paths) for paths in shown]
    titles = ["", "sweep", "name", "trials", "", "best", "changed", "folder"]
    rows_of = [titles, *(cells for cells, _, _ in table)]
    widths = column_widths(rows_of, columns - 1, [(7, 0), (2, 8)])
    if widths[7] < min(FOLDER, max(len(cells[7]) for cells in rows_of)):  # so little of a path says nothing
        titles, table = titles[:7], [(cells[:7], style, runs) for cells, style, runs in table]
        widths = column_widths([titles, *(cells for cells, _, _ in table)], columns - 1, [(2, 8)])
    lines: list[Line] = [[(cut(GAP.join(map(fit, titles, widths)).rstrip(), columns - 1), DIM)]]
    for cells, style, _ in table:
        texts = [fit(cell, width) for cell, width in zip(cells, widths, strict=True)]
        rest = cut(GAP + GAP.join(texts[1:]), columns - 1 - widths[0]).rstrip()
        lines.append([(texts[0], f"bold {style}".strip()), (rest, "")])
    if len(sweeps) > len(shown):
        lines.append([(f"+{len(sweeps) - len(shown)} more", DIM)])
    open_ = {cells[1] for cells, _, _ in table if cells[0] != "done"}
    for batch_id, ids in open_batches({paths.base for paths in shown}, open_):
        lines.append([(cut(clean(f"{batch_id}: {', '.join(ids)}"), columns - 1), DIM)])
    return lines, 0, any(runs for _, _, runs in table)


def _of_query(sweeps: Sequence[SweepPaths], query: Query, columns: int) -> Drawn:
    """Draws the trials that a query selects."""
    snapshots = [read_snapshot(paths) for paths in sweeps]
    lines: list[Line] = [[(text, "")] for text in list_trials(select(snapshots, query), snapshots, query, columns - 1)]
    status = exit_status(snapshots[0]) if len(snapshots) == 1 else 0
    return lines, status, any(snapshot.at_work for snapshot in snapshots)


def _chosen(sweep_id: str | None, results_dir: str | None, query: Query | None) -> Callable[[int, int], Drawn]:
    """Chooses what to draw: a sweep, the sweeps of a batch, or, without an id, all known ones; or their trials.

    Raises:
        ConfigError: no such sweep.
    """
    found = find_sweeps(sweep_id, results_dir)
    if query is not None:
        return lambda columns, rows: _of_query(found.sweeps, query, columns)
    if found.one:
        return lambda columns, rows: _of_sweep(found.sweeps[0], columns, rows)
    if found.batch:
        return lambda columns, rows: _of_all(found.sweeps, columns, max(rows, len(found.sweeps) + 4))
    return lambda columns, rows: _of_all(known_sweeps(results_dir), columns, rows)


def _as_json(sweep_id: str | None, results_dir: str | None, query: Query | None) -> int:
    """Prints one sweep with its trials, or several, with their trials where a query asks for them; returns the exit status."""
    found = find_sweeps(sweep_id, results_dir)
    snapshots = [read_snapshot(paths) for paths in found.sweeps]
    rows = None if query is None else select(snapshots, query)
    if found.one:
        status = exit_status(snapshots[0])
        print_json(status_object(snapshots[0], status, rows, query))
        return status
    each = [
        sweep_object(snapshot, exit_status(snapshot))
        if query is None
        else status_object(snapshot, exit_status(snapshot), rows, query)
        for snapshot in snapshots
    ]
    print_json({"sweeps": each})
    return 0


def show(
    sweep_id: str | None, results_dir: str | None, *, watch: bool, query: Query | None = None, as_json: bool = False
) -> int:
    """Shows a sweep, or all known ones, once or (`watch`) until they have ended; returns the exit status.

    Args:
        query: shows trials instead.
        as_json: prints an object for programs.

    Raises:
        ConfigError: no such sweep.
    """
    from .live.terminal import is_screen

    if as_json:
        return _as_json(sweep_id, results_dir, query)
    draw = _chosen(sweep_id, results_dir, query)
    if query is not None and not watch:  # as long as it is, also on a terminal
        lines, status, _ = draw(output_width() + 1, 0)
        print_lines("\n".join(map(plain, lines)))
        return status
    if is_screen(sys.stdout.isatty(), os.environ):
        return _on_screen(draw, watch)
    return _as_text(draw, watch)


def _as_text(draw: Callable[[int, int], Drawn], watch: bool) -> int:
    """Prints plain lines, with `watch` whenever they change."""
    shown: list[str] = []
    while True:
        lines, status, goes_on = draw(WIDTH, 1000)
        texts = [plain(line) for line in lines]
        if texts != shown:
            print_lines("\n".join([*texts, *([""] if watch and goes_on else [])]))
        shown = texts
        if not (watch and goes_on) or output_error():  # nobody reads it any more
            return status
        time.sleep(PERIOD)


def _on_screen(draw: Callable[[int, int], Drawn], watch: bool) -> int:
    """Draws on a terminal, with `watch` again and again in the same place."""
    from .live.painter import Painter

    painter = Painter()
    with handled({signal.SIGCONT: painter.forget}):
        while True:
            columns, rows = shutil.get_terminal_size()
            lines, status, goes_on = draw(columns, rows)
            # What is redrawn has to stand on the screen as a whole.
            lines = [*lines[: rows - 1]] if watch and goes_on else lines
            sys.stdout.write(painter.draw([], lines, columns, 10_000 if not watch else rows))
            sys.stdout.flush()
            if not (watch and goes_on) or output_error():
                return status
            time.sleep(PERIOD)
