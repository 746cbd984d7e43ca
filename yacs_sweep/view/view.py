"""Joins a launch to what is shown of it: a live screen on a terminal, one line an event elsewhere."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from ..display import short, trial_ended, trial_started
from ..errors import printable
from ..progress import Search
from ..results import TrialRecord
from . import screen
from .board import NOT_SHOWN, Board, Sweep
from .frame import frame
from .screen import Screen
from .text import Line

AGAIN = 30.0  # seconds until a trial's metric is told again within the same epoch
SHOWN = 4  # metrics on a line


def evaluation(name: str, metric: str, row: Mapping[str, Any]) -> str:
    """One line for a row with the sweep's metric."""
    epoch = row.get("epoch")
    place = f" epoch {epoch:g}" if isinstance(epoch, int | float) else ""
    names = [metric, *(key for key in row if key not in (*NOT_SHOWN, metric))][:SHOWN]
    return f"· {name}{place}: " + ", ".join(f"{key} {short(row[key])}" for key in names)


class View:
    """What is shown of the sweeps of a launch. Its calls come from the supervisor and never wait."""

    def __init__(self, board: Board, *, live: bool, quiet: bool = False, output: bool = False) -> None:
        """
        Args:
            live: whether there is a terminal to draw on.
            quiet: trials' evaluations are not told.
            output: whether what trainers print is shown too.
        """
        self.board, self.live, self.quiet = board, live, quiet
        self._lock = threading.Lock()
        self._searches: dict[str, Search] = {}
        self._told: dict[str, tuple[Any, float]] = {}  # by trial: the epoch last told, and when
        self.screen = Screen(self._frame if live else None, output=output)

    @property
    def output(self) -> int | None:
        """Where trainers' lines are to be written; None: where the launcher writes."""
        return self.screen.descriptor if self.screen.descriptor >= 0 else None

    def _frame(self, columns: int, rows: int) -> list[Line]:
        with self._lock:
            for sweep in self.board.sweeps:
                if (search := self._searches.get(sweep.sweep_id)) is not None:
                    sweep.left = search.left
            return frame(self.board, columns, rows, time.monotonic(), datetime.now())

    def follow(self, sweep: Sweep, search: Search, label: str) -> None:
        """Shows the search; `label` stands before its trials' names."""
        self.board.sweeps.append(sweep)
        self._searches[sweep.sweep_id] = search
        before = search.on_trial

        def on_trial(record: TrialRecord) -> None:
            with self._lock:
                sweep.trial(record, time.monotonic())
                sweep.counts = search.summary.counts()
            if record.state == "running":
                if not self.live:
                    self.tell(f"{label}{trial_started(record)}")
            else:
                self._told.pop(record.id, None)
                self.tell(f"{label}{trial_ended(record, sweep.metric)}")
            before(record)

        def on_row(row: Mapping[str, Any]) -> None:
            with self._lock:
                sweep.row(row)
            if not self.live and not self.quiet and sweep.metric is not None and sweep.metric in row:
                self._evaluated(sweep, label, row)

        search.on_trial, search.on_row = on_trial, on_row

    def tell(self, text: str) -> None:
        self.screen.say(f"[sweep] {printable(text)}")

    def _evaluated(self, sweep: Sweep, label: str, row: Mapping[str, Any]) -> None:
        """A trainer that prints the metric in every iteration is told of once an epoch, or now and then."""
        trial = sweep.running.get(row["id"])
        if trial is None or sweep.metric is None:
            return
        now, (epoch, when) = time.monotonic(), self._told.get(row["id"], (None, -AGAIN))
        if (row.get("epoch") is None or row["epoch"] == epoch) and now < when + AGAIN:
            return
        self._told[row["id"]] = (row.get("epoch"), now)
        self.tell(f"{label}{evaluation(trial.record.name, sweep.metric, row)}")


@contextlib.contextmanager
def opened(options: argparse.Namespace, workers: int, title: str = "") -> Iterator[View]:
    """The view of one launch; what `screen.tell` is told goes there until its end."""
    tty = sys.stdout.isatty()
    live = not options.quiet and screen.is_screen(tty, os.environ)
    board = Board([], workers, time.monotonic(), title)
    view = View(board, live=live, quiet=options.quiet, output=options.verbose and tty)
    screen.current = view.screen
    try:
        with _signals(view.screen) if tty else contextlib.nullcontext():
            yield view
    finally:
        screen.current = None
        view.screen.close()


@contextlib.contextmanager
def _signals(shown: Screen) -> Iterator[None]:
    """A terminal that changes its size, that was ours and is again, or that is gone: its sweep goes on."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    wanted: dict[signal.Signals, Callable[[], None]] = {signal.SIGWINCH: shown.wake, signal.SIGCONT: shown.renew}
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        wanted[signal.SIGHUP] = shown.hang_up
    before = {number: signal.signal(number, lambda *_, act=act: act()) for number, act in wanted.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
