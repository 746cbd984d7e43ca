"""Tracks one sweep for the supervisor: trials left, how they ended, and when failures end the sweep."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from ...base.wording import counted
from ...records.folder import ENDED_WELL, TrialRecord
from ...records.progress import count_settled
from ...records.summary import Summary
from ...trial.process import Stop
from ..accessories import Accessories
from .channel import Job

if TYPE_CHECKING:
    from ...records.control.orders import Order, OrderLog
    from .time_limits import TimeLimits

IN_A_ROW = 3  # failed trials that end a sweep in which none has succeeded, one worker running
PROTECTED = 4  # times as many end it even while a trial runs that has lasted longer than any of them


@dataclass
class Outcome:
    """Records how a sweep ended."""

    interrupted: bool = False
    message: str | None = None  # why it ended before its count, in words
    everywhere: bool = False  # whether that would end any other sweep on this machine as well
    ended_by: str | None = None  # the order that ended it before its count, in words: "stopped by alice@box"
    ended: list[TrialRecord] = field(default_factory=list)  # in this launch

    @property
    def cut_short(self) -> bool:
        """Whether somebody or something has ended the launch before its trials were done."""
        return self.interrupted or self.message is not None or self.ended_by is not None


@dataclass(frozen=True)
class FailureLimit:
    """Ends a sweep of failing trials.

    `limit` None: three failures in a row, or as many as there are workers, end it, and only while no trial has succeeded and
    none that runs has lasted longer than they did: with several workers bad trials end first.
    """

    limit: int | None = None
    workers: int = 1

    def reached(self, ended: list[TrialRecord], running: Sequence[float] = ()) -> str | None:
        """Returns the message that ends the sweep, or None. Pure.

        Args:
            ended: the trials that ended in this launch, in order.
            running: seconds for which others have been running.
        """
        judged = [record for record in ended if record.state in (*ENDED_WELL, "failed")]
        wanted = self.limit or max(IN_A_ROW, self.workers)
        row = judged[-wanted:]
        if len(row) < wanted or any(record.state != "failed" for record in row):
            return None
        if self.limit is None:
            if any(record.state in ENDED_WELL for record in judged):
                return None
            longest = max(record.seconds or 0.0 for record in row)
            if len(judged) < PROTECTED * wanted and any(seconds > longest for seconds in running):
                return None
        first = row[0]
        last = first.last_lines[-8:]
        more = any(line.strip() not in first.reason for line in last)  # than the reason says already
        lines = "".join(f"\n    {line}" for line in last) if more else ""
        return (
            f"ended after {counted(wanted, 'failed trial')} in a row (--max-failures {wanted}). "
            f"The first of them, {first.name}: {first.reason}{lines}"
        )


@dataclass
class SweepState:
    """Holds the state of one sweep of a launch."""

    job: Job  # for its agents
    left: int  # trials that may still be given out; where trials pause, 0 once the controller has none left
    summary: Summary
    failure_limit: FailureLimit = FailureLimit()
    listeners: list[Callable[[TrialRecord], None]] = field(default_factory=list)  # called when a trial starts or ends
    # Returns a line when the trial has reached the target.
    target_line: Callable[[TrialRecord], str | None] = lambda record: None
    # Returns a message when every other trial would fail as this one has.
    hopeless: Callable[[TrialRecord], str | None] = lambda record: None
    outcome: Outcome = field(default_factory=Outcome)
    accessories: Accessories = field(default_factory=Accessories)
    has_target: bool = False  # whether a trial has reached the target
    pauses: bool = False  # whether trials pause: how often one is given out again, the controller alone decides
    orders: OrderLog | None = None  # read up to the launch's start
    paused: Order | None = None  # which has paused the sweep
    count: int = 0  # trials of the whole sweep,
    at_most: Callable[[int], int] = lambda count: count  # of so many trials, those that the sweep can have at most
    spare: int = 0  # trials that were given out beyond `count`, since it has become smaller
    on_count: Callable[[int], None] = lambda count: None  # called when `count` has changed
    limits: TimeLimits | None = None  # of a sweep with a budget
    stop_sent: Stop | None = None  # what its agents were told when their trials were to be ended

    @property
    def name(self) -> str:
        """Returns the sweep's id."""
        return self.job.sweep_id

    @property
    def to_go(self) -> int:
        """The number of trials that may still be started; a trial that pauses was started, though it may be resumed."""
        if not (self.pauses and self.left and self.job.target is not None):
            return self.left
        records = list(self.summary.records.values())  # at once: the live screen's thread asks while trials are added
        running = sum(record.state == "running" for record in records)
        return max(0, self.job.target - count_settled(records, self.summary.retry) - running)

    @property
    def notice(self) -> str:
        """A line for the live screen; empty without any."""
        return "" if self.paused is None else f"paused by {self.paused.who}: no further trial starts"

    def budget_text(self, running: Sequence[tuple[TrialRecord, float]]) -> str:
        """Says what is left of the budget, while these trials run for so many seconds; empty without a budget."""
        return "" if self.limits is None else self.limits.text(running)

    def grant_trial(self) -> None:
        """Gives out a trial."""
        if not self.pauses:
            self.left -= 1

    def return_trial(self) -> None:
        """Takes back a granted trial that did not come to its end."""
        if self.outcome.message is None and self.outcome.ended_by is None and not self.has_target:
            if self.spare:
                self.spare -= 1
            else:
                self.left = 1 if self.pauses else self.left + 1

    def set_count(self, count: int) -> None:
        """Changes how many trials the whole sweep is to have; running ones continue."""
        count = self.at_most(count)
        if self.pauses:  # the controller says when it has none left
            self.left = 1 if count > self.count else self.left
        else:
            left = self.left - self.spare + count - self.count
            self.left, self.spare = max(0, left), max(0, -left)
        self.count = count
        if self.job.target is not None:
            self.job = replace(self.job, target=count)
        self.on_count(count)

    def end(self, message: str, *, everywhere: bool = False) -> None:
        """Ends the sweep: no further trial starts. The first message is the one that is shown."""
        if self.outcome.message is None:
            self.outcome.message, self.outcome.everywhere = message, everywhere
        self.left = 0

    def add_record(self, record: TrialRecord) -> None:
        """Adds the record of a trial that has started or ended."""
        self.summary.records[record.id] = record
        self.summary.own.add(record.id)
        self.accessories.attempt("summary.json is not written", self.summary.write)
        for listener in self.listeners:
            self.accessories.attempt("a trial's start or end is not shown", partial(listener, record))

    def write_if_due(self) -> None:
        """Writes the summary if its writing was put off."""
        self.accessories.attempt("summary.json is not written", self.summary.write_if_due)

    def judge(self, record: TrialRecord, running: Sequence[float]) -> str | None:
        """Ends the sweep when its trials fail too often or the target is reached; returns a line for the user, or None."""
        if not self.has_target and (why := self.target_line(record)):
            self.has_target, self.left = True, 0
            return f"{why}; no further trial is started"
        if self.left <= 0:
            return None
        if message := self.failure_limit.reached(self.outcome.ended, running) or self._no_hope(record):
            self.end(message)
        return None

    def _no_hope(self, record: TrialRecord) -> str | None:
        """Returns the message that ends the sweep after its first failed trial, where no other can end better."""
        wanted = self.failure_limit.limit is None and record.cause == "import_error"
        if not wanted or any(each.state in ENDED_WELL or each.rows for each in self.outcome.ended):
            return None
        return self.hopeless(record)
