"""Scores trials by comparing them in pairs, those that ended early at the iteration they had reached. Pure.

A trial that was stopped early is censored: its value is of an earlier epoch, its final one is not known. Leaving such trials
out would leave out the worst, and their values beside final ones would compare different epochs. So two trials are compared
at the last iteration that both have reached, and a trial's score is the share of its comparisons that it wins (Gehan:
"A generalized Wilcoxon test for comparing arbitrarily singly-censored samples", Biometrika 1965). Without censored trials
the score is the rank of the value.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...base.values import finite_number
from .data import Sweep, Trial
from .statistics import count_text

if TYPE_CHECKING:
    pass

TIMES = 128  # iterations at which trials are compared; with more, each counts as the next earlier one
WORST = "diverged"


@dataclass(frozen=True)
class Sample:
    """The trials that statistics use: all that have a value, and the diverged ones, which are worse than any value."""

    trials: list[Trial]
    scores: list[float]  # share of comparisons won, 0 to 1; a tie is half a win
    censored: list[bool]  # whether the trial's value is of an earlier epoch than its last would have been
    without_rows: int  # trials whose rows are not known, while others ended early: compared by their recorded value
    total: int  # trials of the sweep
    axis: str  # what iterations are counted in: epoch or step
    noun: str = "trial"  # trial, or point of a sweep with repeats

    @property
    def early(self) -> int:
        """The number of censored trials."""
        return sum(self.censored)

    @property
    def diverged(self) -> int:
        """The number of diverged trials."""
        return sum(is_diverged(trial) for trial in self.trials)

    def text(self) -> str:
        """Says how many of how many trials take part, and how those that ended early are compared."""
        parts = [f"From {len(self.trials)} of {count_text(self.total, self.noun)}"]
        if early := self.early:
            are = "are" if early > 1 else "is"
            parts.append(
                f"{early} ended early and {are} compared with the others at the last {self.axis} both have reached"
            )
        if self.without_rows == 1:
            parts.append("1 has no rows here and is compared by its last value")
        elif self.without_rows:
            parts.append(f"{self.without_rows} have no rows here and are compared by their last values")
        if worst := self.diverged:
            parts.append(f"{worst} diverged and {'counts' if worst == 1 else 'count'} as the worst")
        return "; ".join(parts + _left_out(self.total - len(self.trials), "without a value")) + "."

    def drawn_text(self, mark: str) -> str:
        """Says how many of how many trials are drawn by their value, and how those that ended early are marked."""
        drawn = len(self.trials) - self.diverged
        parts = [f"{drawn} of {count_text(self.total, self.noun)}"]
        if self.early:
            parts.append(f"{mark}: {self.early} that ended early, with a value of an earlier {self.axis}")
        why = "diverged or without a value" if self.diverged else "without a value"
        return "; ".join(parts + _left_out(self.total - drawn, why)) + "."


def _left_out(number: int, why: str) -> list[str]:
    """Says that trials are left out, if there are any."""
    return [f"{number} {why} {'is' if number == 1 else 'are'} left out"] if number else []


def is_diverged(trial: Trial) -> bool:
    """Tells whether a trial has diverged: it ended so, or its value is no finite number."""
    record = trial.record
    return record.cause == WORST or (record.value is not None and not finite_number(record.value))


def is_censored(trial: Trial) -> bool:
    """Tells whether a trial's value is of an earlier epoch: it has one, and did not finish."""
    return trial.record.state != "finished" and not is_diverged(trial) and finite_number(trial.record.value)


def sample(sweep: Sweep) -> Sample:
    """Scores every trial that has a value, and the diverged ones; none where no trial has a value."""
    valued = [trial for trial in sweep.trials if is_diverged(trial) or finite_number(trial.record.value)]
    if all(is_diverged(trial) for trial in valued) or sweep.metric is None:
        valued = []
    censored = [is_censored(trial) for trial in valued]
    ends = [_end(trial, sweep) if early else None for trial, early in zip(valued, censored, strict=True)]
    scores = _scores(sweep, valued, ends) if valued else []
    without = sum(not is_diverged(trial) and not _curve(trial, sweep) for trial in valued) if any(censored) else 0
    return Sample(valued, scores, censored, without, len(sweep.trials), sweep.axis, sweep.noun)


def _curve(trial: Trial, sweep: Sweep) -> list[tuple[float, float]]:
    """Lists iteration and value of the sweep's metric, in order; empty where the trial's rows are not known."""
    curve = trial.curves.get(sweep.metric or "")
    pairs = zip(curve.x, curve.y, strict=True) if curve is not None else ()
    return sorted(((x, y) for x, y in pairs if finite_number(y)), key=lambda pair: pair[0])


def _end(trial: Trial, sweep: Sweep) -> float | None:
    """Finds the last iteration with a value of the metric; None where the trial's rows are not known."""
    curve = _curve(trial, sweep)
    return curve[-1][0] if curve else None


def _scores(sweep: Sweep, trials: Sequence[Trial], ends: Sequence[float | None]) -> list[float]:
    """Computes the share of comparisons that each trial wins."""
    import numpy as np

    times = sorted({end for end in ends if end is not None})
    if len(times) > TIMES:
        times = [times[place * len(times) // TIMES] for place in range(TIMES)]
    final = len(times)  # the last column: values as they are recorded
    at = np.array([final if end is None else max(0, bisect_right(times, end) - 1) for end in ends])
    values = np.full((len(trials), final + 1), np.nan)
    sign = 1.0 if sweep.goal == "maximize" else -1.0
    best = sweep.spec is not None and sweep.spec.optimize == "best"
    for place, trial in enumerate(trials):
        values[place] = [sign * value for value in _values(trial, sweep, times, best)]
    scores = []
    everything = np.arange(len(trials))
    for place in range(len(trials)):
        column = np.minimum(at, at[place])
        own, others = values[place, column], values[everything, column]
        known = ~(np.isnan(own) | np.isnan(others))
        known[place] = False
        won = (own > others)[known].sum() + 0.5 * (own == others)[known].sum()
        scores.append(float(won / known.sum()) if known.any() else 0.5)
    return scores


def _values(trial: Trial, sweep: Sweep, times: Sequence[float], best: bool) -> list[float]:
    """Lists a trial's value at each of the iterations, then its recorded one; nan before its first.

    Args:
        best: whether the value at an iteration is the best until then, not the last.
    """
    worst = -float("inf") if sweep.goal == "maximize" else float("inf")
    if is_diverged(trial):
        return [worst] * (len(times) + 1)
    recorded = float(trial.record.value or 0.0)
    pairs = _curve(trial, sweep)
    if not pairs:
        return [recorded] * (len(times) + 1)
    xs, ys = [x for x, _ in pairs], [y for _, y in pairs]
    if best:
        choose: Any = max if sweep.goal == "maximize" else min
        for place in range(1, len(ys)):
            ys[place] = choose(ys[place - 1], ys[place])
    found = [ys[place - 1] if (place := bisect_right(xs, time)) else float("nan") for time in times]
    return [*found, recorded]
