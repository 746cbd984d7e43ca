"""One sweep as the supervisor sees it: what is left to do of it, how it has gone, and when it is to end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ...records.folder import ENDED_WELL, TrialRecord
from ...records.summary import Summary
from ...show.lines import trial_seconds
from .channel import Job

IN_A_ROW = 3  # failed trials that end a sweep in which none has succeeded, one worker running
PROTECTED = 4  # times as many end it even while a trial runs that has lasted longer than any of them


@dataclass
class Outcome:
    """How a sweep ended."""

    interrupted: bool = False
    message: str | None = None  # why it ended before its count, in words
    everywhere: bool = False  # whether that would end any other sweep on this machine as well
    ended: list[TrialRecord] = field(default_factory=list)  # in this launch


@dataclass(frozen=True)
class FailureLimit:
    """Ends a sweep of failing trials. `limit` None: three in a row, or as many as there are workers, and only while none
    has succeeded and none that runs has lasted longer than they did: with several workers bad trials end first."""

    limit: int | None = None
    workers: int = 1

    def reached(self, ended: list[TrialRecord], running: Sequence[float] = ()) -> str | None:
        """The message that ends the sweep, or None. Pure.

        Args:
            ended: the trials that ended in this launch, in order.
            running: seconds for which others have been running.
        """
        counted = [record for record in ended if record.state in (*ENDED_WELL, "failed")]
        wanted = self.limit or max(IN_A_ROW, self.workers)
        row = counted[-wanted:]
        if len(row) < wanted or any(record.state != "failed" for record in row):
            return None
        if self.limit is None:
            if any(record.state in ENDED_WELL for record in counted):
                return None
            longest = max(trial_seconds(record) or 0.0 for record in row)
            if len(counted) < PROTECTED * wanted and any(seconds > longest for seconds in running):
                return None
        first = row[0]
        lines = "".join(f"\n    {line}" for line in first.last_lines[-8:])
        return (
            f"ended after {wanted} failed trials in a row (--max-failures {wanted}). "
            f"The first of them, {first.name}: {first.reason}{lines}"
        )


@dataclass
class Search:
    """One sweep under the supervisor."""

    job: Job  # what its agents are told
    left: int  # trials that may still be given out
    summary: Summary
    failure_limit: FailureLimit = FailureLimit()
    listeners: list[Callable[[TrialRecord], None]] = field(default_factory=list)  # called when a trial starts or ends
    enough: Callable[[TrialRecord], str | None] = lambda record: None  # why the search has what it looked for
    outcome: Outcome = field(default_factory=Outcome)
    over: bool = False  # it has

    @property
    def name(self) -> str:
        return self.job.sweep_id

    def give_back(self) -> None:
        """A trial that was given out did not come to its end."""
        if self.outcome.message is None and not self.over:
            self.left += 1

    def end(self, message: str, *, everywhere: bool = False) -> None:
        """No further trial; the first message is the one told."""
        if self.outcome.message is None:
            self.outcome.message, self.outcome.everywhere = message, everywhere
        self.left = 0

    def record(self, record: TrialRecord) -> None:
        """A trial has started, or ended. May raise OSError: results cannot be written."""
        self.summary.records[record.id] = record
        self.summary.own.add(record.id)
        self.summary.write()
        for listener in self.listeners:
            listener(record)

    def ended(self, record: TrialRecord, running: Sequence[float]) -> str | None:
        """Judges the search after that trial; a line for the user when it has what it looked for."""
        if not self.over and (why := self.enough(record)):
            self.over, self.left = True, 0
            return f"{why}; no further trial is started"
        if self.left > 0 and (message := self.failure_limit.reached(self.outcome.ended, running)):
            self.end(message)
        return None
