"""Promotes trials asynchronously: no worker waits for a rung to fill up.

Source: Li et al., "A System for Massively Parallel Hyperparameter Tuning" (ASHA), MLSys 2020.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...spec import hyperband
from ...spec.sweep import EarlyTerminate
from .rungs import Ladder, is_unfinished, rungs_of, unfinished
from .scheduler import Action, New, TrialView, Wait


class Asha:
    """Promotes a paused trial once it is among the best 1/eta of all trials that have been at its rung.

    A free worker takes the best promotable trial of the highest rung; else it starts a new trial.
    """

    def __init__(self, ladder: Ladder) -> None:
        self.ladder = ladder

    @classmethod
    def of(cls, rule: EarlyTerminate, goal: str) -> Asha:
        """Makes the scheduler that a sweep file asks for; `goal`: minimize or maximize."""
        return cls(Ladder(rungs_of(rule), rule.eta or hyperband.DEFAULT_ETA, goal))

    def next(self, trials: Sequence[TrialView], new_left: int | None) -> Action | None:
        """Returns what a free worker does; None: nothing is left to do."""
        if resumption := unfinished(trials):
            return resumption
        for trial in self._promotable(trials):
            return self.ladder.resume(trial)
        if new_left is None or new_left > 0:
            return New(self.ladder.after(0))
        if any(trial.state == "running" for trial in trials):
            return Wait()
        last = self.ladder.last(trials)
        return None if last is None else self.ladder.resume(last)

    def _promotable(self, trials: Sequence[TrialView]) -> Iterator[TrialView]:
        """Yields the paused trials that may continue, those of the highest rung first, each rung's best first."""
        for place in reversed(range(len(self.ladder.rungs))):
            ranked = self.ladder.ranked(trials, place)
            for trial in ranked[: self.ladder.share(len(ranked))]:
                if self.ladder.waits(trial, place):
                    yield trial

    def runs_on(self, number: int, trials: Sequence[TrialView]) -> int | None:
        """Returns until which iteration a trial that has reached its `until` continues at once, if it is promotable."""
        own = next(trial for trial in trials if trial.number == number)
        place = self.ladder.reached(own)
        if place < 0 or own.until is None:
            return own.until
        ranked = self.ladder.ranked(trials, place)
        best = ranked[: self.ladder.share(len(ranked))]
        if own not in best or self.ladder.standing(own, place)[0]:
            return own.until
        return self.ladder.after(own.iterations)

    def dropped(self, trials: Sequence[TrialView], new_left: int | None) -> set[int]:
        """Returns the paused trials that cannot come among the best of their rung whatever happens."""
        if new_left is None:
            return set()
        ladder, found = self.ladder, set[int]()
        # Trials that may still come to a rung: new ones, running ones, and those paused further down.
        coming = new_left + sum(ladder.reached(t) < 0 and t.state != "ended" for t in trials)
        for place in range(len(ladder.rungs)):
            ranked = ladder.ranked(trials, place)
            best = ladder.share(len(ranked) + coming)
            hopeless = {
                trial.number
                for rank, trial in enumerate(ranked)
                if self._rests(trial, place) and (rank >= best or not ladder.waits(trial, place))
            }
            if ladder.passed(trials, place):
                found |= hopeless
            coming += sum(ladder.reached(t) == place and t.state != "ended" and t.number not in found for t in trials)
        return found

    def _rests(self, trial: TrialView, place: int) -> bool:
        """Tells whether a trial has paused at a rung."""
        return trial.state == "paused" and self.ladder.reached(trial) == place and not is_unfinished(trial)
