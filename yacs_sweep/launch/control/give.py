"""Writes an order down, and waits for what the sweep's launches answer."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ...base.command_line import COMMAND
from ...base.errors import SweepError
from ...records.alive import Launcher
from ...records.control.orders import Answer, Entry, Order, paused_by
from ...records.control.words import answer_text, order_text
from ...show.lines import command_text
from .find import Steered

ANSWER_WAIT = 5.0  # seconds that launches have to answer,
LATE_WAIT = 0.5  # and that others have after the first one, where nobody knows how many there are
PERIOD = 0.1  # seconds between two looks
ONE_ANSWERS = ("stop_trial",)  # orders that concern one launch alone
NEEDS_LAUNCH_HERE = ("set_workers", "set_gpus")  # orders that mean nothing where nobody works on the sweep
NEEDS_LAUNCH = ("stop_trial", *NEEDS_LAUNCH_HERE)  # and those that mean nothing where nobody works on it anywhere


@dataclass(frozen=True)
class Outcome:
    """Holds what has become of an order: lines for the user, and whether it was taken."""

    lines: Sequence[str]
    taken: bool


def give(sweep: Steered, order: Order, wait: float | None = None) -> Outcome:
    """Gives the order to the sweep, and waits for the answers of the launches that work on it.

    Args:
        wait: seconds to wait at most, by default `ANSWER_WAIT`; 0 returns at once, before any answer.

    Raises:
        SweepError: the order cannot be written down.
    """
    before, running = sweep.log.read(), sweep.launches()
    if not running and order.act in (NEEDS_LAUNCH if sweep.knows_launches else NEEDS_LAUNCH_HERE):
        return Outcome([_not_done(sweep, order)], taken=False)
    try:
        sweep.log.append(order)
    except OSError as error:
        raise SweepError(f"cannot write the order to {error.filename or sweep.sweep_id}: {error.strerror}") from error
    if sweep.launch is None:
        return Outcome(sweep.told, taken=True)
    if sweep.knows_launches and not running:
        return Outcome([*sweep.notes, *(sweep.told or [_recorded(sweep, order, before)])], taken=True)
    awake = [launch for launch in running if launch.asleep is None]
    wait = ANSWER_WAIT if wait is None else wait
    answers = _wait_for_answers(sweep, order, awake, wait if awake or not running else 0.0)
    silent = [] if order.act in ONE_ANSWERS and answers else _without(running, answers)
    ended = _without(silent, sweep.launches()) if silent else []
    silent = [launch for launch in silent if launch not in ended]
    if ended and not silent and not answers and sweep.knows_launches:  # the last one ended as the order was given
        if order.act in NEEDS_LAUNCH:
            return Outcome([*sweep.told, _not_done(sweep, order)], taken=False)
        return Outcome([*sweep.notes, *(sweep.told or [_recorded(sweep, order, before)])], taken=True)
    lines = [answer_text(answer) for answer in answers]
    lines += [
        f"{launch.host}, process {launch.pid}: {_why_silent(launch)}; the order ({order_text(order)}) is written down, and "
        f"is obeyed {'after `fg`' if launch.asleep else 'when it is read'}"
        for launch in silent
    ]
    lines += _in_all(order, answers)
    if not lines:
        lines = [f"{sweep.sweep_id}: no launch has answered; {order_text(order)} is written down for those that run"]
    return Outcome([*sweep.notes, *sweep.told, *lines], taken=not answers or any(answer.obeyed for answer in answers))


def _in_all(order: Order, answers: Sequence[Answer]) -> list[str]:
    """Says how many workers a machine has by an order that several of its launches have obeyed."""
    obeyed = sum(answer.obeyed for answer in answers)
    if order.act != "set_workers" or obeyed < 2:
        return []
    workers = order.given["workers"]
    return [f"the order holds for each launch: {obeyed} launches with {workers} each, {obeyed * workers} trials in all"]


def _why_silent(launch: Launcher) -> str:
    """Says why a launch may not have answered."""
    return "has not answered yet" if launch.asleep is None else "is stopped by Ctrl-Z in its terminal"


def _wait_for_answers(sweep: Steered, order: Order, running: Sequence[Launcher], wait: float) -> list[Answer]:
    """Returns the answers to the order, once all running launches have given theirs, or after `wait` seconds."""
    deadline, answers = time.monotonic() + wait, list[Answer]()
    look_again = time.monotonic() + 1.0
    while True:
        new = [entry for entry in sweep.log.read() if isinstance(entry, Answer) and entry.order == order.id]
        if new and not answers and not running:
            deadline = min(deadline, time.monotonic() + LATE_WAIT)
        answers += new
        open_ = _without(running, answers)
        if running and (not open_ or (answers and order.act in ONE_ANSWERS)):
            return answers
        now = time.monotonic()
        if now >= deadline:
            return answers
        if now >= look_again and running:
            ended = _without(open_, sweep.launches())
            if len(ended) == len(open_):
                return answers  # those that have not answered have ended meanwhile
            look_again = now + 1.0
        time.sleep(min(PERIOD, max(0.0, deadline - now)))


def _without(launches: Iterable[Launcher], some: Iterable[Launcher | Answer]) -> list[Launcher]:
    """Returns the launches that are not among `some`, which are launches or their answers."""
    processes = {(each.host, each.pid) for each in some}
    return [launch for launch in launches if (launch.host, launch.pid) not in processes]


def _recorded(sweep: Steered, order: Order, before: Sequence[Entry]) -> str:
    """Says what an order means to a sweep that nobody works on."""
    name, paused = sweep.sweep_id, paused_by(before) is not None
    start = command_text([*COMMAND, "--sweep_id", name])
    if order.act == "pause":
        resume = command_text([*COMMAND, "--resume", name])
        return f"paused {name}: no launch runs; the next one starts no trial until: {resume}"
    if order.act in ("resume", "stop", "cancel") and paused:
        return f"{name}: is not paused any more; no launch runs, start one with: {start}"
    if order.act == "resume":
        return f"{name}: is not paused, and no launch runs; start one with: {start}"
    if order.act in ("stop", "cancel"):
        return f"{name}: no launch runs, there is nothing to end; resume the sweep with: {start}"
    return f"{name}: {order_text(order)} is written down for the next launch, as none runs: {start}"


def _not_done(sweep: Steered, order: Order) -> str:
    """Says that nobody can do what is ordered, and the command that starts a launch so."""
    given, name = order.given, sweep.sweep_id
    if order.act == "stop_trial":
        return f"{name}: no launch runs that could end the trial"
    wanted = ["--workers", str(given["workers"])] if order.act == "set_workers" else ["--gpus", ",".join(given["gpus"])]
    return f"{name}: no launch runs that could do it; start one with: {command_text([*COMMAND, '--sweep_id', name, *wanted])}"
