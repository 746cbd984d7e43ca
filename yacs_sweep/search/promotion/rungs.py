"""Ranks trials at the rungs of a sweep: the iterations at which they pause and are compared."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ...spec import hyperband
from ...spec.sweep import EarlyTerminate, SweepSpec
from .scheduler import Resume, TrialView

Standing = tuple[int, float, int]  # a trial's place at a rung, less is better: without a finite value, value, number


def rungs_of(rule: EarlyTerminate) -> tuple[int, ...]:
    """Returns the iterations at which trials pause, ascending, all below `max_iter`.

    With `max_iter` and `s` (W&B's names): max_iter / eta^i for i = s … 1. Otherwise min_iter * eta^k for k = 0, 1, …
    """
    eta = rule.eta or hyperband.DEFAULT_ETA
    if rule.max_iter is not None and rule.s is not None:
        return hyperband.bands(max_iter=rule.max_iter, s=rule.s, eta=eta)
    rungs = hyperband.bands(min_iter=rule.min_iter or 1, eta=eta)
    return rungs if rule.max_iter is None else tuple(rung for rung in rungs if rung < rule.max_iter)


def shortest_step(spec: SweepSpec) -> int | None:
    """Returns the iterations between the nearest two places where trials pause or end; None where trials do not pause."""
    if spec.pbt is not None:
        return min(spec.pbt.interval, spec.pbt.max_iter % spec.pbt.interval or spec.pbt.interval)
    if not spec.pauses or spec.early_terminate is None or spec.full_training is None:
        return None
    places = (0, *rungs_of(spec.early_terminate), spec.full_training)
    return min(later - earlier for earlier, later in pairwise(places))


def unfinished(trials: Iterable[TrialView]) -> Resume | None:
    """Returns the resumption of the first trial that has paused before the iteration it was to reach; None without any."""
    for trial in trials:
        if is_unfinished(trial):
            return Resume(trial.number, trial.until)
    return None


def is_unfinished(trial: TrialView) -> bool:
    """Tells whether a trial has paused before the iteration it was to reach, as after the death of its machine."""
    return trial.state == "paused" and (trial.until is None or trial.iterations < trial.until)


def standing_of(value: float | None, goal: str, number: int) -> Standing:
    """Returns how a trial compares by a value: less is better, and a trial without a finite value comes last."""
    if value is None or not math.isfinite(value):
        return (1, 0.0, number)
    return (0, -value if goal == "maximize" else value, number)


@dataclass(frozen=True)
class Ladder:
    """Compares trials at rungs.

    Attributes:
        rungs: iterations at which trials pause, ascending; after the last one they run to their end.
        eta: one in `eta` trials continues.
        goal: `minimize` or `maximize`.
    """

    rungs: tuple[int, ...]
    eta: float
    goal: str

    def after(self, iterations: int) -> int | None:
        """Returns the first rung beyond a number of iterations; None where a trial runs to its end."""
        place = bisect_right(self.rungs, iterations)
        return self.rungs[place] if place < len(self.rungs) else None

    def reached(self, trial: TrialView) -> int:
        """Returns the place of the highest rung that a trial has reached; -1 before the first."""
        return bisect_right(self.rungs, trial.iterations) - 1

    def share(self, count: int) -> int:
        """Returns how many of `count` trials at a rung continue."""
        return int(count / self.eta)

    def promoted(self, trial: TrialView, place: int) -> bool:
        """Tells whether a trial was allowed to go beyond a rung; place -1: it was started."""
        if place < 0:
            return True
        rung = self.rungs[place]
        if trial.iterations < rung:
            return False
        if place + 1 < len(self.rungs) and trial.iterations >= self.rungs[place + 1]:
            return True
        allowed = trial.until is None or trial.until > rung
        return allowed and (trial.state != "ended" or trial.iterations > rung or trial.failed)

    def there(self, trial: TrialView, place: int) -> bool:
        """Tells whether a trial has reached a rung, or has ended on its way there."""
        return trial.iterations >= self.rungs[place] or (trial.state == "ended" and self.promoted(trial, place - 1))

    def standing(self, trial: TrialView, place: int) -> Standing:
        """Returns how a trial that is `there` compares at a rung.

        One that ended on its way counts with its last value, a failed one, and one whose value is not a finite number, as
        the worst.
        """
        value = trial.value_at(self.rungs[place])
        if value is None and not trial.failed and trial.values and trial.iterations < self.rungs[place]:
            value = trial.values[-1]
        return standing_of(value, self.goal, trial.number)

    def ranked(self, trials: Iterable[TrialView], place: int) -> list[TrialView]:
        """Returns the trials that are `there` at a rung, best first; equal ones by number."""
        return sorted((t for t in trials if self.there(t, place)), key=lambda trial: self.standing(trial, place))

    def waits(self, trial: TrialView, place: int) -> bool:
        """Tells whether a trial has paused at a rung with a finite value, and may go on from there."""
        paused = trial.state == "paused" and not is_unfinished(trial) and self.reached(trial) == place
        return paused and not self.promoted(trial, place) and self.standing(trial, place)[0] == 0

    def passed(self, trials: Iterable[TrialView], place: int) -> bool:
        """Tells whether a trial has gone on from a rung and has a value further up. Never turns false again."""
        above = place + 1
        if above < len(self.rungs):
            return any(self.there(trial, above) and self.standing(trial, above)[0] == 0 for trial in trials)
        return any(t.state == "ended" and not t.failed and self.promoted(t, place) for t in trials)

    def resume(self, trial: TrialView) -> Resume:
        """Returns the promotion of a paused trial."""
        return Resume(trial.number, self.after(trial.iterations))

    def last(self, trials: Sequence[TrialView]) -> TrialView | None:
        """Returns the trial to promote where no rung has enough trials for a share, or those promoted have failed.

        So that a search of few trials ends with one that is fully trained.
        """
        for place in reversed(range(len(self.rungs))):
            if self.passed(trials, place):
                return None
            waiting = [trial for trial in self.ranked(trials, place) if self.waits(trial, place)]
            if waiting:
                return waiting[0]
        return None
