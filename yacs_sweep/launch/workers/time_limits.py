"""Keeps a sweep within its budget: no trial starts that is expected to end too late, and time that is up ends those that run.

Nothing is kept but the trials' records (`records.budget.spent`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime

from ...base.signals import AWAKE
from ...base.wording import counted
from ...records.budget.spent import Spent
from ...records.folder import TrialRecord
from ...records.summary import Summary
from ...show.lines import duration_text
from ...show.live.budget import BudgetText
from ...spec.budget.budget import Budget
from ...spec.budget.moments import duration_words, moment_text

QUANTILE = 0.9  # of the trials so far: the duration that the next one is expected to have at most
AGAIN = 5.0  # seconds between two sums over all trials while the same ones run
Running = tuple[TrialRecord, float]  # a trial that runs here, and since when, by `AWAKE`


def quantile(values: Sequence[float], share: float = QUANTILE) -> float | None:
    """Returns the value that a share of the values does not exceed; None without any."""
    return sorted(values)[math.ceil(share * len(values)) - 1] if values else None


class TimeLimits:
    """Says for the supervisor when a sweep's time is up, and whether a further trial would end in time."""

    def __init__(self, budget: Budget, summary: Summary, *, gpus: int = 0, shortest: int | None = None) -> None:
        """Prepares to look at the clock.

        Args:
            gpus: number of GPUs of each trial.
            shortest: iterations that a start takes at least in a sweep that pauses trials; None: trials run to their end.
        """
        self.budget, self._summary, self._gpus, self._shortest = budget, summary, gpus, shortest
        self._spent = Spent(summary.paths, summary.records)
        self._text = BudgetText(budget, summary.paths, summary.records)
        self.reached: str | None = None  # the option (its field) of the limit that has ended the sweep
        self._last: tuple[tuple[str, ...], float, float, float] = ((), -math.inf, 0.0, 0.0)

    def text(self, running: Sequence[tuple[TrialRecord, float]]) -> str:
        """Says what is left, for the live screen, which asks on its own thread.

        Args:
            running: trials that run here, and for how many seconds.
        """
        return self._text.now(running)

    def over(self, running: Sequence[Running]) -> str | None:
        """Returns which time is up; None while there is any left."""
        for name, left, _, reached in self._seconds_left(running):
            if left <= 0:
                self.reached = name
                return reached
        if self.budget.gpu_hours is not None and self._gpu_hours_left(running) <= 0:
            self.reached = "max_gpu_hours"
            return f"the sweep has used its {self.budget.gpu_hours:g} GPU hours"
        return None

    def too_late(self, running: Sequence[Running]) -> tuple[str, str] | None:
        """Tells whether the next trial is not expected to end in time.

        Returns:
            What ends the sweep by that, and the line for the user; None where the next trial may start.
        """
        if (expected := self._expected()) is None:
            return None
        for name, left, limit, _ in self._seconds_left(running):
            if expected > left:
                self.reached = name
                return _late(duration_text(expected), duration_text(max(0.0, left)), limit)
        if self.budget.gpu_hours is None:
            return None
        cost, left = expected * self._gpus / 3600, self._gpu_hours_free(running, expected)
        if cost <= left:
            return None
        self.reached = "max_gpu_hours"
        beside = " beside the running trials" if running else ""
        return _late(
            f"{cost:.3g} GPU hours", f"{max(0.0, left):.3g} GPU hours", f"of {self.budget.gpu_hours:g}{beside}"
        )

    def why_over(self) -> str | None:
        """Returns what has ended the sweep, of which no trial runs here: its time is up, or too short; None otherwise."""
        late = self.too_late([])
        return self.over([]) or (late[0] if late is not None else None)

    def fitting(self, running: Sequence[Running]) -> int | None:
        """Returns the iterations that the next start is expected to have time for; None: any number, as far as is known."""
        if self._shortest is None or not (pace := self._pace()):
            return None
        seconds, _, _ = self._tightest(running, pace * self._shortest)
        return max(0, int(seconds / pace))

    def too_long(self, running: Sequence[Running]) -> tuple[str, str]:
        """Returns what ends a sweep whose next trial takes more iterations than are `fitting`, and the line for the user."""
        _, self.reached, limit = self._tightest(running, (self._pace() or 0.0) * (self._shortest or 0))
        return _late("longer", counted(self.fitting(running) or 0, "iteration"), limit)

    def _tightest(self, running: Sequence[Running], expected: float) -> tuple[float, str, str]:
        """Returns the seconds that the tightest limit leaves the next start, its option, and of or until what.

        Args:
            expected: the seconds that each running trial is expected to take at most.
        """
        limits = [(left, name, limit) for name, left, limit, _ in self._seconds_left(running)]
        if self.budget.gpu_hours is not None and self._gpus:
            seconds = self._gpu_hours_free(running, expected) * 3600 / self._gpus
            limits.append((seconds, "max_gpu_hours", f"of {self.budget.gpu_hours}"))
        return min(limits)

    def _pace(self) -> float | None:
        """Returns the seconds that an iteration is expected to take at most; None before one has been logged."""
        return quantile(
            [
                record.seconds / made
                for record in list(self._summary.records.values())
                if record.seconds and (made := (record.iterations or 0) - record.begun_at + record.repeated) > 0
            ]
        )

    def _expected(self) -> float | None:
        """Returns the seconds that the next trial is expected to take at most; None before one has ended.

        Trials that ended by themselves, or early, tell it. Where trials pause, it is the time to the nearest pause.
        """
        if self._shortest is not None:
            pace = self._pace()
            return None if pace is None else pace * self._shortest
        return quantile(
            [
                record.seconds
                for record in list(self._summary.records.values())
                if record.state in ("finished", "stopped") and record.seconds is not None
            ]
        )

    def _seconds_left(self, running: Sequence[Running]) -> list[tuple[str, float, str, str]]:
        """Lists of each limit its option, the seconds that are left, of or until what, and that it is reached."""
        found = []
        if self.budget.until is not None:
            left = (self.budget.until - datetime.now().astimezone()).total_seconds()
            until = moment_text(self.budget.until)
            found.append(("until", left, f"until {until}", f"the deadline has come, {until}"))
        if self.budget.seconds is not None:
            left = self.budget.seconds - self._sums(running)[0]
            whole = duration_words(self.budget.seconds)
            found.append(("run_for", left, f"of {whole}", f"the sweep has run for {whole}"))
        return found

    def _gpu_hours_free(self, running: Sequence[Running], expected: float) -> float:
        """Returns the GPU hours that the running trials are expected to leave, `expected` seconds each."""
        now = AWAKE.now()
        rest = sum(max(0.0, expected - (now - since)) * len(record.gpu_ids) for record, since in running)
        return self._gpu_hours_left(running) - rest / 3600

    def _gpu_hours_left(self, running: Sequence[Running]) -> float:
        return (self.budget.gpu_hours or 0.0) - self._sums(running)[1] / 3600

    def _sums(self, running: Sequence[Running]) -> tuple[float, float]:
        """Returns the seconds and GPU seconds that are spent; sums over all trials every few seconds only."""
        now, names = AWAKE.now(), tuple(record.id for record, _ in running)
        if names != self._last[0] or now - self._last[1] > AGAIN:
            sums = self._spent.sums([(record, now - since) for record, since in running])
            self._last = (names, now, *sums)
        _, at, seconds, gpu_seconds = self._last
        gpus = sum(len(record.gpu_ids) for record, _ in running)
        return (
            seconds + (now - at if running else 0.0),
            gpu_seconds + (now - at) * gpus,
        )


def _late(expected: str, left: str, limit: str) -> tuple[str, str]:
    """Says what ends a sweep whose next trial would end too late: in short, and for the user."""
    why = f"the time left is too short for a further trial ({left} {limit})"
    return why, f"no further trial is started: the next is expected to take {expected}, {left} are left {limit}"
