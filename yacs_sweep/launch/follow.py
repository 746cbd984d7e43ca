"""Runs a sweep on an engine: submits its launches, and follows their trials from this machine."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from ..base.errors import SweepError
from ..base.signals import noted
from ..records.folder import TrialRecord
from ..records.summary import Summary
from ..show.live.terminal import say
from .accessories import Accessories
from .engines import Engine, divide_trials, launch_command, secret_environment
from .options.table import Options
from .run import lift_limit, set_count, tell_of_twin, time_limits_of
from .sweep_run import Results
from .workers.sweep_state import Outcome

if TYPE_CHECKING:
    from ..records.control.orders import Order, OrderLog
    from .workers.time_limits import TimeLimits

PERIOD = 1.0  # seconds between two looks at the trials
ASK = 5.0  # seconds between two questions to the engine
SILENCE = 600.0
END = 90.0  # seconds, beyond the grace period, that cancelled agents get


class Follower:
    """Follows the trials of a sweep that other machines run."""

    def __init__(
        self,
        engine: Engine,
        summary: Summary,
        *,
        target: int | None,
        grace: float,
        on_trial: Callable[[TrialRecord], None],
        say: Callable[[str], None],
        signals: list[int] | None = None,
        orders: OrderLog | None = None,
        on_count: Callable[[int], int] = lambda count: count,
        limits: TimeLimits | None = None,
    ) -> None:
        """Makes the follower; `run` starts it.

        Args:
            target: trials after which agents that still wait for a machine are not needed; None: they end by themselves.
            signals: those received; another thread may append one.
            orders: what users order of the sweep, read up to now; the engine's launches obey by themselves.
            on_count: called with another number of trials; returns how many of them the sweep can have.
            limits: of a sweep with a budget, within which the launches keep by themselves.
        """
        self._orders, self._on_count, self._limits = orders, on_count, limits
        self.engine, self.summary, self.target, self.grace = engine, summary, target, grace
        self.on_trial, self.say = on_trial, say
        self._accessories = Accessories(say)
        self._shown: dict[str, str] = {record.id: record.state for record in summary.records.values()}
        self._signals: list[int] = [] if signals is None else signals
        self._silent: float | None = None  # since when the engine has not answered (monotonic seconds)
        self.outcome = Outcome()

    def update(self) -> None:
        """Reads what has happened, and shows trials that have started or ended."""
        self._accessories.attempt("summary.json is not written", self.summary.write)
        for record in sorted(self.summary.records.values(), key=lambda item: item.number):
            before = self._shown.get(record.id)
            if before == record.state:
                continue
            self._shown[record.id] = record.state
            if before is None and record.state != "running":
                self._show(TrialRecord.from_row({**record.row(), "state": "running"}))
            self._show(record)
            if record.state != "running":
                self.outcome.ended.append(record)

    def _show(self, record: TrialRecord) -> None:
        """Shows a trial that has started or ended."""
        self._accessories.attempt("a trial's start or end is not shown", partial(self.on_trial, record))

    def _read_orders(self) -> None:
        """Takes in what users have ordered since the last look."""
        if self._orders is None or not (entries := self._orders.read()):
            return
        from ..records.control.orders import Order  # few sweeps get an order

        for entry in entries:
            if isinstance(entry, Order):
                self._take_in(entry)

    def _take_in(self, order: Order) -> None:
        """Takes in how many trials the sweep is to have, or that it is to end."""
        if order.act == "set_count" and self.target is not None:
            self.target = self._on_count(int(order.given["count"]))
        elif order.act == "stop" and self.outcome.ended_by is None:
            self.outcome.ended_by = f"stopped by {order.who}"
            self.say(f"{self.outcome.ended_by}: no further one starts")
        elif order.act == "cancel" and not self.outcome.interrupted:
            self.outcome.ended_by, self.outcome.interrupted = f"cancelled by {order.who}", True
            self.say(f"{self.outcome.ended_by}: ending the engine's agents")

    def _done(self) -> bool:
        """Whether all trials are done that the sweep was asked for, or the running ones of a sweep that was stopped."""
        records = self.summary.records.values()
        running = any(record.state == "running" for record in records)
        if self.outcome.ended_by is not None:
            return not running
        return self.target is not None and not running and self.summary.settled >= self.target

    def _alive(self, before: int) -> int:
        """Counts the engine's agents. An engine that does not answer is asked again for `SILENCE` seconds."""
        try:
            alive = self.engine.alive()
        except (SweepError, OSError, subprocess.TimeoutExpired) as error:
            if self._silent is None:
                self._silent = time.monotonic()
                self.say(f"the engine does not answer ({error}); retrying, {SILENCE:.0f} s at most")
            if time.monotonic() - self._silent < SILENCE:
                return before
            self.outcome.message = f"the engine does not answer ({error}); its agents continue without this launcher"
            return 0
        self._silent = None
        return alive

    def run(self) -> Outcome:
        """Follows until the engine has no agent left; returns how the sweep ended."""
        with noted(self._signals):
            cancelled: float | None = None
            asked, alive = 0.0, 1
            while alive:
                time.sleep(PERIOD)
                self.update()
                self._accessories.attempt("orders to the sweep are not read", self._read_orders)
                now = time.monotonic()
                if self._signals and not self.outcome.interrupted:
                    self.outcome.interrupted = True
                    self.say(f"{signal.Signals(self._signals[0]).name}: ending the engine's agents")
                if cancelled is None and (self.outcome.interrupted or self._done()):
                    cancelled = now
                    self.engine.cancel()
                if cancelled is not None and now - cancelled > self.grace + END:
                    self.outcome.message = (
                        f"{alive} of the engine's agents are still running after {self.grace + END:.0f} s"
                    )
                    break
                if now - asked > ASK or cancelled is not None:
                    asked, alive = now, self._alive(alive)
            self._accessories.attempt("summary.json is not written", partial(self.summary.write, final=True))
            self.update()
        if self.target is not None and not self.outcome.cut_short and not self._done():
            self.outcome.ended_by = self._limits.why_over() if self._limits is not None else None
            if self.outcome.ended_by is None:
                self.outcome.message = (
                    f"the engine's agents have ended before the sweep; their output is in {self.summary.paths.agents}"
                )
        return self.outcome


def run_on_engine(engine: Engine, results: Results, options: Options, signals: list[int]) -> None:
    """Runs a sweep on the engine's machines; how it ended is in `results.outcome`.

    Args:
        signals: those received; another thread may append one.
    """
    plan, paths = results.plan, results.paths
    tell_of_twin(results, options)
    agents = options.agents or 1
    command = launch_command(options, paths, plan.launch)
    local = plan.launch.controller == "local"
    # The W&B server counts no trials: each launch gets its part.
    counts: list[list[str]] = (
        [[]] * agents if local else [["--count", str(part)] for part in divide_trials(plan.count, agents) if part]
    )
    try:
        say(engine.submit([[*command, *count] for count in counts], secret_environment(plan.storage), paths))
    except SweepError as error:
        raise SweepError(f"{error}; the sweep has been created: --sweep_id {paths.sweep_id} resumes it") from error

    def on_count(count: int) -> int:
        most = plan.spec.at_most(count)
        set_count(results, most)
        return most

    limits = time_limits_of(results, options)
    follower = Follower(
        engine,
        results.summary,
        target=plan.launch.target if local else None,
        grace=options.grace,
        on_trial=results.show_trial,
        say=say,
        signals=signals,
        orders=results.orders.get("orders"),
        on_count=on_count,
        limits=limits,
    )
    results.outcome = follower.run()
    lift = partial(lift_limit, results, limits)
    results.accessories.attempt("the reached limit is not left out when resuming", lift)
