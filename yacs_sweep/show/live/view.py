"""Shows a launch: a live screen on a terminal, one line an event where there is none."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from ...base.signals import AWAKE, handled, hangup_is_ours
from ...base.streams import is_terminal
from ...records.folder import TrialRecord
from ...records.metrics import new_rows, size_of
from ...records.points import noun_of
from ...records.progress import Tally
from ...records.summary import Summary
from ..cells import Line
from ..lines import short_value, trial_ended_line, trial_started_line
from . import terminal
from .board import NOT_SHOWN, Board, Sweep
from .frame import frame
from .terminal import Screen, message

AGAIN = 30.0  # seconds until a trial's metric is shown again within an epoch
SHOWN = 4  # metrics on a line


def evaluation_line(name: str, metric: str, row: Mapping[str, Any]) -> str:
    """Formats the line for a row with the sweep's metric."""
    epoch = row.get("epoch")
    place = f" epoch {epoch:g}" if isinstance(epoch, int | float) else ""
    names = [metric, *(key for key in row if key not in (*NOT_SHOWN, metric))][:SHOWN]
    return f"· {name}{place}: " + ", ".join(f"{key} {short_value(row[key])}" for key in names)


class Followable(Protocol):
    """The parts of a running sweep that the view needs."""

    summary: Summary
    listeners: list[Callable[[TrialRecord], None]]  # called in turn when a trial has started or ended

    @property
    def to_go(self) -> int:
        """The number of trials that may still be started."""

    @property
    def count(self) -> int:
        """The number of trials of the whole sweep, which a user may change; 0 where that is not known."""

    @property
    def notice(self) -> str:
        """A line that is shown below the counts: by whom the sweep is paused; empty where it is not."""

    def budget_text(self, running: Sequence[tuple[TrialRecord, float]]) -> str:
        """Says what is left of the budget, while these trials run for so many seconds; empty without a budget."""


@dataclass
class _Followed:
    """A running trial whose rows are read."""

    sweep: Sweep
    label: str
    record: TrialRecord
    metrics: Path
    offset: int = 0
    told: Any = None  # the epoch that was shown last
    when: float = -AGAIN  # when that was: seconds of the monotonic clock

    def due(self, epoch: Any) -> bool:
        """Decides whether an evaluation is shown: once an epoch, or every `AGAIN` seconds within one."""
        now = time.monotonic()
        if (epoch is None or epoch == self.told) and now < self.when + AGAIN:
            return False
        self.told, self.when = epoch, now
        return True


class View:
    """Shows the sweeps of a launch.

    The supervisor reports trials (`follow`) and never waits. Rows are read from the trials' metrics.jsonl. Everything is
    put together on the screen's thread.
    """

    def __init__(self, board: Board, *, live: bool, quiet: bool = False, output: bool = False) -> None:
        """Starts the screen.

        Args:
            live: whether there is a terminal to draw on.
            quiet: whether rows are left unread.
            output: whether trainers' output is shown too.
        """
        self.board, self.live, self._quiet = board, live, quiet
        self._searches: dict[str, Followable] = {}
        self._followed: dict[str, _Followed] = {}  # by the trial's id
        self.screen = Screen(self._frame if live else None, None if quiet else self._look, output=output)

    @property
    def output(self) -> int | None:
        """The descriptor for trainers' lines; None: they are not shown."""
        return self.screen.descriptor if self.screen.descriptor >= 0 else None

    def follow(self, sweep: Sweep, search: Followable, label: str) -> None:
        """Shows a sweep from here on; `label` stands before its trials' names."""
        self._searches[sweep.sweep_id] = search
        self.board.sweeps = [*self.board.sweeps, sweep]
        paths = search.summary.paths

        def on_trial(record: TrialRecord) -> None:
            record, tally = replace(record), search.summary.tally(owed=False)
            earlier = search.summary.records.get(record.retry_of or "")
            metrics = paths.trial(record.name).metrics
            offset = (
                size_of(metrics) if record.state == "running" and (record.attempts > 1 or record.parent_trial) else 0
            )
            followed = _Followed(sweep, label, record, metrics, offset)
            self.screen.say(lambda: self._trial(followed, record, tally, earlier))

        search.listeners.insert(0, on_trial)

    # -- on the screen's thread -------------------------------------------------------------------------------------

    def _frame(self, columns: int, rows: int) -> list[Line]:
        """Draws the frame."""
        for sweep in self.board.sweeps:
            search = self._searches[sweep.sweep_id]
            sweep.left, sweep.message, sweep.total = search.to_go, search.notice, search.count or sweep.total
            sweep.held = bool(sweep.message)
            sweep.budget = search.budget_text(sweep.lasting(AWAKE.now()))
        return frame(self.board, columns, rows, AWAKE.now(), datetime.now())

    def _trial(self, begun: _Followed, record: TrialRecord, tally: Tally, earlier: TrialRecord | None) -> list[str]:
        """Takes in the start or the end of a trial, which may try `earlier` again; returns the lines to show."""
        sweep, label, lines = begun.sweep, begun.label, list[str]()
        noun = noun_of(sweep.aims)
        if record.state == "running":
            self._followed[record.id] = begun
            text = trial_started_line(record, earlier, noun=noun, contrast=sweep.contrast)
        else:
            if (followed := self._followed.pop(record.id, None)) is not None:
                lines += self._new_rows(followed)
            objectives = sweep.aims.objectives if sweep.aims is not None else ()
            text = trial_ended_line(record, sweep.metric, objectives, noun=noun)
        sweep.trial(record, AWAKE.now())
        sweep.counts, sweep.again = tally.counts, tally.again
        return lines if self.live and record.state == "running" else [*lines, message(f"{label}{text}")]

    def _look(self) -> list[str]:
        """Takes in all running trials' new rows; returns the lines to show."""
        return [line for followed in self._followed.values() for line in self._new_rows(followed)]

    def _new_rows(self, followed: _Followed) -> list[str]:
        """Takes in a trial's new rows; returns the lines to show where there is no live screen."""
        if self._quiet:
            return []
        rows, followed.offset = new_rows(followed.metrics, followed.offset)
        sweep, lines = followed.sweep, []
        for row in rows:
            sweep.row({**row, "id": followed.record.id})
            if not self.live and sweep.metric is not None and sweep.metric in row and followed.due(row.get("epoch")):
                lines.append(message(f"{followed.label}{evaluation_line(followed.record.name, sweep.metric, row)}"))
        return lines


@contextlib.contextmanager
def opened(workers: int, title: str = "", *, quiet: bool = False, verbose: bool = False) -> Iterator[View]:
    """Opens the view of a launch for a block; lines given to `terminal.tell` are shown by it until the end.

    Args:
        workers: trials that run at the same time.
        title: heads the frame of several sweeps.
        quiet: whether there is no frame, and no line for evaluations.
        verbose: whether trainers' output is shown.
    """
    tty = is_terminal()
    live = not quiet and terminal.is_screen(tty, os.environ)
    board = Board([], workers, AWAKE.now(), title)
    view = View(board, live=live, quiet=quiet, output=verbose)
    terminal.current = view.screen
    try:
        with handled(_handlers(view.screen) if tty else {}):
            yield view
    finally:
        terminal.current = None
        view.screen.close()


def _handlers(shown: Screen) -> dict[signal.Signals, Callable[[], None]]:
    """Chooses what the screen does when its terminal changes size, is ours again, or is gone (the sweep runs on)."""
    handlers: dict[signal.Signals, Callable[[], None]] = {signal.SIGWINCH: shown.wake, signal.SIGCONT: shown.renew}
    if hangup_is_ours():
        handlers[signal.SIGHUP] = shown.hang_up
    return handlers
