"""Trains a population whose worst members continue from the checkpoints of its best, with other parameters.

Source: Jaderberg et al., "Population Based Training of Neural Networks", arXiv:1711.09846, 2017.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from .rungs import standing_of, unfinished
from .scheduler import Action, Fork, New, Resume, TrialView, Wait

Explore = Callable[[Mapping[str, Any], Random], Mapping[str, Any]]  # perturbs a point


@dataclass(frozen=True)
class Pbt:
    """Compares the members of a population each `interval` iterations, all of them at the same iteration.

    A member of the worst quantile is replaced by a copy of one of the best quantile, whose parameters are perturbed. Each
    member waits there until its fate is certain, whatever the others log: so what is decided does not depend on the number
    of workers, nor on their speed. One that is neither among the best nor among the worst continues before the last has
    come.

    Attributes:
        population: members.
        interval: iterations between comparisons.
        max_iter: iterations of a full training.
        goal: of the compared metric, `minimize` or `maximize`.
        quantile: share of the members that is replaced, at most a half.
        seed: of the choices.
        explore: perturbs the point of the copied member.
    """

    population: int
    interval: int
    max_iter: int
    goal: str
    quantile: float
    seed: int
    explore: Explore

    def next(self, trials: Sequence[TrialView], new_left: int | None) -> Action | None:
        """Returns what a free worker does; None: nothing is left to do. The member that is furthest behind goes first."""
        if resumption := unfinished(trials):
            return resumption
        left = self._new_left(trials) if new_left is None else new_left
        if left > 0:
            return New(self.after(0))
        waiting = [trial for trial in trials if trial.state == "paused"]
        for trial in sorted(waiting, key=lambda trial: (trial.iterations, trial.number)):
            if action := self._continue(trial, trials, left):
                return action
        return Wait() if any(trial.state == "running" for trial in trials) else None

    def runs_on(self, number: int, trials: Sequence[TrialView]) -> int | None:
        """Returns until which iteration a member that has reached its `until` continues at once, if that is certain."""
        own = next(trial for trial in trials if trial.number == number)
        if own.until is None or not self._continues(own, trials, self._new_left(trials)):
            return own.until
        return self.after(own.iterations)

    def dropped(self, trials: Sequence[TrialView], new_left: int | None) -> set[int]:
        """Returns nothing: a member continues, or is replaced."""
        return set()

    def after(self, iterations: int) -> int | None:
        """Returns the next iteration at which members are compared; None where a member runs to its end."""
        following = iterations - iterations % self.interval + self.interval
        return following if following < self.max_iter else None

    # -- who is where ---------------------------------------------------------------------------------------------------

    def _new_left(self, trials: Iterable[TrialView]) -> int:
        """Counts the members that have not started."""
        return max(0, self.population - sum(trial.parent is None for trial in trials))

    def _coming(self, at: int, trials: Iterable[TrialView], left: int) -> int:
        """Counts the members that may still come to an iteration."""
        return left + sum(trial.state != "ended" and trial.iterations < at for trial in trials)

    def _ranked(self, at: int, trials: Iterable[TrialView]) -> list[TrialView]:
        """Returns the trials that have logged a value at an iteration, best first; values that are not finite come last."""
        here = (trial for trial in trials if trial.value_at(at) is not None)
        return sorted(here, key=lambda trial: standing_of(trial.value_at(at), self.goal, trial.number))

    def _share(self, count: int) -> int:
        """Returns how many of `count` members are replaced."""
        return min(math.ceil(count * self.quantile), count // 2)

    # -- what becomes of a member ---------------------------------------------------------------------------------------

    def _continue(self, trial: TrialView, trials: Sequence[TrialView], left: int) -> Action | None:
        """Returns how a paused member continues; None while that is not certain."""
        at = trial.until
        assert at is not None
        ranked = self._ranked(at, trials)
        share = self._share(len(ranked))
        if self._coming(at, trials, left) == 0 and trial in ranked[len(ranked) - share :]:
            best = [other for other in ranked[:share] if self._can_be_copied(other, at)]
            if best:
                random = Random(f"{self.seed}:{at}:{ranked.index(trial)}:pbt")  # numbers depend on who was first
                source = random.choice(best)
                if source.state != "paused":  # its trainer is about to end
                    return None
                params = self.explore(source.params, random)
                return Fork(source.number, trial.number, params, self.after(source.iterations))
        elif not self._continues(trial, trials, left):
            return None
        return Resume(trial.number, self.after(trial.iterations))

    def _can_be_copied(self, trial: TrialView, at: int) -> bool:
        """Tells whether a member rests where members are compared, with a finite value, and is not at its end already."""
        rests = trial.until == at and trial.state != "ended" and trial.iterations < self.max_iter
        return rests and math.isfinite(trial.value_at(at) or 0.0)

    def _continues(self, own: TrialView, trials: Sequence[TrialView], left: int) -> bool:
        """Tells whether a member keeps its parameters, and nobody needs its checkpoint any more."""
        at = own.until
        assert at is not None
        ranked, coming = self._ranked(at, trials), self._coming(at, trials, left)
        share = self._share(len(ranked) + coming)
        if own not in ranked:  # it began beyond
            return True
        place = ranked.index(own)
        if len(ranked) - 1 - place < share:  # it may come to be among the worst
            return False
        if place >= share:  # so many are better that it cannot be copied
            return True
        worst = ranked[len(ranked) - share :]
        return coming == 0 and not any(trial.until == at and trial.state != "ended" for trial in worst)
