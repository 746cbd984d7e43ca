"""Says what a running sweep has used of its budget, and what is left."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from ...records.budget.spent import Spent
from ...records.folder import SweepPaths, TrialRecord
from ...spec.budget.budget import Budget
from ...spec.budget.moments import duration_words, moment_text
from ..lines import duration_text, rough_duration
from ..table import GAP

AGAIN = 5.0  # seconds between two sums over all trials


class BudgetText:
    """Describes a budget for the live screen and `--status`."""

    def __init__(self, budget: Budget, paths: SweepPaths, records: Mapping[str, TrialRecord]) -> None:
        """Begins with what is known.

        Args:
            records: all trials of the sweep by id.
        """
        self.budget, self._spent = budget, Spent(paths, records)
        self._sums, self._due = (0.0, 0.0), -math.inf

    def sums(self, running: Sequence[tuple[TrialRecord, float]]) -> tuple[float, float]:
        """Returns the seconds for which the sweep has run, and its GPU seconds; sums up every few seconds only.

        Args:
            running: trials that run, and for how many seconds.
        """
        if time.monotonic() >= self._due:
            self._sums, self._due = self._spent.sums(running), time.monotonic() + AGAIN
        return self._sums

    def now(self, running: Sequence[tuple[TrialRecord, float]], moment: datetime | None = None) -> str:
        """Says what is left of each limit: `until 13:48, 12 min left  GPU hours 3.2 of 100`.

        Args:
            running: trials that run, and for how many seconds.
            moment: the present time; default: that of the clock.
        """
        moment, budget, parts = moment or datetime.now().astimezone(), self.budget, list[str]()
        if budget.until is not None:
            parts.append(_until_text(budget.until, moment))
        if budget.seconds is not None:
            parts.append(f"ran {_rough(self.sums(running)[0])} of {duration_words(budget.seconds)}")
        if budget.gpu_hours is not None:
            parts.append(f"GPU hours {self.sums(running)[1] / 3600:.3g} of {budget.gpu_hours:g}")
        return GAP.join(parts)

    def as_dict(self, running: Sequence[tuple[TrialRecord, float]]) -> dict[str, Any]:
        """Describes the limits and what is used of them for programs; None for a limit that is not set."""
        seconds, gpu_seconds = self.sums(running)
        return {
            "until": self.budget.until.isoformat() if self.budget.until is not None else None,
            "for": self.budget.seconds,
            "ran": round(seconds, 1),
            "gpu_hours": self.budget.gpu_hours,
            "gpu_hours_used": round(gpu_seconds / 3600, 4),
        }


def _rough(seconds: float) -> str:
    """Formats a duration, with its seconds where they matter."""
    return duration_text(seconds) if seconds < 120 else rough_duration(seconds)


def _until_text(until: datetime, now: datetime) -> str:
    """Says when the deadline is, and how much time is left."""
    local = until.astimezone()
    when = f"{local:%H:%M}" if local.date() == now.astimezone().date() else moment_text(until)
    left = (until - now).total_seconds()
    return f"until {when}, {_rough(left)} left" if left > 0 else f"until {when}, which has passed"
