"""Obeys the orders that users give to running sweeps (`records.control.orders.Act`).

Each launch reads its sweeps' orders by itself, and answers what it has done.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from ...base.command_line import COMMAND
from ...base.errors import ConfigError
from ...base.wording import counted
from ...show.lines import command_text
from ...trial.process import Stop
from .gpu_places import Layout
from .grants import Grants
from .resizing import Resizing, layout_text, with_gpus, with_workers
from .sweep_state import SweepState

if TYPE_CHECKING:
    from ...records.control.orders import Order

LOOK = 0.5  # seconds between two looks for orders


class Refused(Exception):
    """An order that cannot be obeyed; the text says why."""


class Steering:
    """Obeys the orders to the sweeps of a launch, for the supervisor."""

    def __init__(self, grants: Grants, resizing: Resizing) -> None:
        self.grants, self.resizing, self._due = grants, resizing, 0.0
        self._acts: dict[str, Callable[[SweepState, Order], str | None]] = {
            "pause": self._pause,
            "resume": self._resume,
            "stop": self._stop,
            "cancel": self._cancel,
            "stop_trial": self._stop_trial,
            "set_workers": self._set_workers,
            "set_gpus": self._set_gpus,
            "set_count": self._set_count,
            "add_points": self._add_points,
        }

    def begin(self) -> None:
        """Says which sweeps are paused before their first trial here."""
        for sweep in self.grants.sweeps:
            if sweep.paused is not None and sweep.left > 0:
                resume = command_text([*COMMAND, "--resume", sweep.name])
                self.grants.say_of(
                    sweep, f"paused {sweep.paused.origin}: no trial starts until it is resumed, with {resume}"
                )

    def look(self) -> None:
        """Obeys the orders that were given since the last look; looks twice a second at most."""
        now = time.monotonic()
        if now < self._due:
            return
        self._due = now + LOOK
        for sweep in self.grants.sweeps:
            if sweep.orders is not None:
                sweep.accessories.attempt("orders to the sweep are not read", partial(self._look_at, sweep))

    def _look_at(self, sweep: SweepState) -> None:
        """Obeys the new orders to a sweep."""
        assert sweep.orders is not None
        if not (entries := sweep.orders.read()):
            return
        from ...records.control.orders import Answer  # few sweeps get an order

        for entry in entries:
            if not isinstance(entry, Answer):
                sweep.accessories.attempt(f"an order ({entry.act}) is not obeyed", partial(self._obey, sweep, entry))

    def _obey(self, sweep: SweepState, order: Order) -> None:
        """Obeys an order, says so, and answers it."""
        obeyed = True
        try:
            text = self._acts[order.act](sweep, order)
        except Refused as error:
            text, obeyed = str(error), False
        if text is None:  # it is for another launch
            return
        self.grants.answer()
        self.grants.say_of(sweep, text)
        what = "answers to orders are not written"
        sweep.accessories.attempt(what, partial(self._answer, sweep, order, text, obeyed))

    def _answer(self, sweep: SweepState, order: Order, text: str, obeyed: bool) -> None:
        """Answers an order in the sweep's list of orders."""
        from ...records.control.orders import answer_to  # few sweeps get an order

        assert sweep.orders is not None
        sweep.orders.append(answer_to(order, text, obeyed=obeyed))

    # -- orders -------------------------------------------------------------------------------------------------------

    def _pause(self, sweep: SweepState, order: Order) -> str:
        """Starts no further trial until the sweep is resumed."""
        _refuse_ending(sweep)
        if sweep.paused is not None:
            return f"paused already {sweep.paused.origin}"
        sweep.paused = order
        self.grants.hold(sweep)
        return f"paused {order.origin}: {self._running_text(sweep)}no further one starts"

    def _resume(self, sweep: SweepState, order: Order) -> str:
        """Starts trials again."""
        _refuse_ending(sweep)
        if sweep.paused is None:
            return "not paused: trials start as before"
        sweep.paused = None
        self.grants.hold(sweep)
        return f"resumed {order.origin}: trials start again"

    def _stop(self, sweep: SweepState, order: Order) -> str:
        """Starts no further trial, and ends the launch with the last running one."""
        _refuse_ending(sweep)
        why = f"stopped {order.origin}"
        self.grants.end_search(sweep, why)
        return f"{why}: {self._running_text(sweep)}no further one starts"

    def _cancel(self, sweep: SweepState, order: Order) -> str:
        """Ends the running trials, and the launch with them."""
        if sweep.stop_sent is not None:
            return f"being ended already: {sweep.stop_sent.detail}"
        why = f"cancelled {order.origin}"
        sweep.outcome.interrupted = self.grants.is_open(sweep)
        sweep.paused, sweep.outcome.ended_by = None, why
        running = len(self.grants.running(sweep))
        self.grants.stop(sweep, Stop("interrupted", why))
        ending = f"the {running} running trials" if running > 1 else "the running trial"
        return f"{why}: ending {ending}" if running else f"{why}: no trial runs here"

    def _stop_trial(self, sweep: SweepState, order: Order) -> str | None:
        """Ends one trial for good; returns None where another launch runs it."""
        name = str(order.given.get("trial"))
        for worker in self.grants.running(sweep):
            if worker.trial is not None and worker.trial.name == name:
                self.grants.stop_trial(worker, worker.trial, f"stopped {order.origin}")
                return f"{name} is being ended, stopped {order.origin}"
        records = list(sweep.summary.records.values())
        record = next((record for record in records if record.name == name), None)
        if record is None and "/" not in name:
            record = sweep.summary.paths.record(name)  # one of another launch's
        if record is not None and record.state != "running":
            raise Refused(f"{name} does not run here: it is {record.state}")
        if record is None and sweep.summary.others is None:
            raise Refused(f"the sweep has no trial {name}")
        return None

    def _set_workers(self, sweep: SweepState, order: Order) -> str | None:
        """Changes how many trials run here at the same time."""
        number = order.given.get("workers")
        if not _is_for_here(order):
            return None
        if type(number) is not int or number < 1:
            raise Refused(f"{number} is no number of workers; --pause starts no further trial")
        return self._resize(order, with_workers, number, fresh=False)

    def _set_gpus(self, sweep: SweepState, order: Order) -> str | None:
        """Changes on which GPUs trials run here."""
        names = order.given.get("gpus")
        if not _is_for_here(order):
            return None
        if not isinstance(names, list) or not names:
            raise Refused("no GPU is named; --pause starts no further trial")
        return self._resize(order, with_gpus, [str(name) for name in names], fresh=True)

    def _resize(self, order: Order, make: Callable[[Layout, Any], Layout], value: Any, *, fresh: bool) -> str:
        """Changes the workers of this launch, which all its sweeps share."""
        now = bool(order.given.get("now"))
        try:
            layout = make(self.resizing.layout, value)
        except ConfigError as error:
            raise Refused(str(error)) from error
        why = f"ended by {order.who}, who wants {'other GPUs' if fresh else 'fewer workers'}"
        more, over = self.resizing.change(layout, why, now=now, fresh=fresh)
        parts = [f"{layout_text(layout)} by {order.who}"]
        if more:
            parts.append(f"{counted(more, 'worker')} more")
        if over:
            parts.append(
                f"{counted(over, 'trial')} {'ended, tried again' if now else 'too many: until the end of each'}"
            )
        return "; ".join(parts)

    def _set_count(self, sweep: SweepState, order: Order) -> str:
        """Changes how many trials the whole sweep is to have; the agents read the number themselves."""
        _refuse_ending(sweep)
        if sweep.has_target or sweep.outcome.message is not None:
            raise Refused("no further trial is started here: the sweep ends with its running trials")
        count = order.given.get("count")
        if not isinstance(count, int) or count < 1:
            raise Refused(f"{count} is no number of trials")
        sweep.set_count(count)
        return f"{counted(sweep.count, 'trial')} in all {order.origin}: {sweep.to_go} to go"

    def _add_points(self, sweep: SweepState, order: Order) -> str:
        """Says what becomes of points that a user has added; the agents read them themselves."""
        points = counted(len(order.given.get("points", ())), "point")
        more = "" if sweep.left > 0 else "; no trial is left: they wait for --set-count N or the next launch"
        return f"{points} added {order.origin}, tried before any other{more}"

    def _running_text(self, sweep: SweepState) -> str:
        """Says how many trials go on, before what else follows from an order."""
        workers = self.grants.running(sweep)
        running = sum(not worker.is_ending for worker in workers)
        ending = f"{counted(len(workers) - running, 'trial')} being ended, " if running < len(workers) else ""
        none = "" if ending else "no trial runs here, "
        goes_on = {0: none, 1: "the running trial goes on, "}.get(running, f"the {running} running trials go on, ")
        return goes_on + ending


def _is_for_here(order: Order) -> bool:
    """Tells whether an order about workers is for this machine's launch."""
    return bool(order.given.get("host", order.host) == socket.gethostname())


def _refuse_ending(sweep: SweepState) -> None:
    """Refuses an order to a sweep that ends already."""
    why = sweep.stop_sent.detail if sweep.stop_sent is not None else sweep.outcome.ended_by
    if why is not None:
        raise Refused(f"the sweep ends already here: {why}; --sweep_id {sweep.name} resumes it")
