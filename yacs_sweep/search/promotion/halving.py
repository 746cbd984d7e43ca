"""Promotes trials synchronously: successive halving, alone or in hyperband's brackets.

Source: Jamieson and Talwalkar, "Non-stochastic Best Arm Identification and Hyperparameter Optimization", AISTATS 2016;
Li et al., "Hyperband: A Novel Bandit-Based Approach to Hyperparameter Optimization", JMLR 18 (2018).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle

from ...spec import hyperband
from ...spec.sweep import EarlyTerminate
from .rungs import Ladder, is_unfinished, rungs_of, unfinished
from .scheduler import Action, New, TrialView, Wait

_MOST_RUNGS = 4  # that decide how many trials are compared where neither `s` nor the number of trials says so


@dataclass(frozen=True)
class Bracket:
    """Describes a group of trials that are compared with each other.

    Attributes:
        ladder: their rungs.
        size: how many trials; None: all of the search.
    """

    ladder: Ladder
    size: int | None


@dataclass(frozen=True)
class _Cohort:
    """Holds the trials of one pass through a bracket; `closed`: no more will come."""

    ladder: Ladder
    trials: Sequence[TrialView]
    closed: bool

    def chosen(self) -> Iterator[tuple[int, set[int]]]:
        """Yields the place of each rung that all have reached, from the first, and the numbers of the best there."""
        if not self.closed:
            return
        ladder, here = self.ladder, list(self.trials)
        for place in range(len(ladder.rungs)):
            if not here or not all(ladder.there(trial, place) for trial in here):
                return
            ranked = ladder.ranked(here, place)
            best = {trial.number for trial in ranked[: max(1, ladder.share(len(ranked)))]}
            yield place, best
            here = [trial for trial in here if self._goes_on(trial, place, best)]

    def _goes_on(self, trial: TrialView, place: int, best: set[int]) -> bool:
        """Tells whether the next rung waits for a trial."""
        if self.ladder.promoted(trial, place):
            return True
        chosen = trial.number in best and trial.state != "ended"  # it may be about to pause
        return chosen and self.ladder.standing(trial, place)[0] == 0

    def promotable(self) -> TrialView | None:
        """Returns the paused trial to promote: the best of the highest rung; None without any."""
        by_number = {trial.number: trial for trial in self.trials}
        for place, best in reversed(list(self.chosen())):
            waiting = [by_number[number] for number in best if self.ladder.waits(by_number[number], place)]
            if waiting:
                return min(waiting, key=lambda trial: self.ladder.standing(trial, place))
        if self.closed and not any(trial.state == "running" for trial in self.trials):
            return self.ladder.last(self.trials)
        return None

    def dropped(self) -> set[int]:
        """Returns the paused trials that will never be promoted."""
        found = set[int]()
        for place, best in self.chosen():
            if not self.ladder.passed(self.trials, place):
                break
            found |= {
                trial.number
                for trial in self.trials
                if trial.state == "paused" and not is_unfinished(trial) and self.ladder.reached(trial) == place
                if trial.number not in best or not self.ladder.waits(trial, place)
            }
        return found


class Halving:
    """Promotes the best 1/eta of a rung once all of its trials are there.

    A trial that has ended or failed is there. While a rung fills up, free workers start trials of the next bracket.
    """

    def __init__(self, brackets: Sequence[Bracket]) -> None:
        """`brackets`: begun one after the other, from the first again after the last."""
        self.brackets = brackets

    @classmethod
    def of(cls, rule: EarlyTerminate, goal: str, count: int | None) -> Halving:
        """Makes the scheduler that a sweep file asks for.

        With `max_iter` and `s`, hyperband's brackets s … 0, as in the paper. Otherwise all trials of the search are compared
        with each other; without a number of trials, so many that one of them is fully trained.

        Args:
            goal: `minimize` or `maximize`.
            count: trials of the search; None: without limit.
        """
        eta = rule.eta or hyperband.DEFAULT_ETA
        rungs = rungs_of(rule)
        if rule.max_iter is not None and rule.s is not None:
            most = len(rungs)
            sizes = [math.ceil((most + 1) / (s + 1) * eta**s) for s in range(most, -1, -1)]
            return cls([Bracket(Ladder(rungs[place:], eta, goal), size) for place, size in enumerate(sizes)])
        size = None if count is not None else math.ceil(eta ** min(len(rungs), _MOST_RUNGS))
        return cls([Bracket(Ladder(rungs, eta, goal), size)])

    def next(self, trials: Sequence[TrialView], new_left: int | None) -> Action | None:
        """Returns what a free worker does; None: nothing is left to do."""
        if resumption := unfinished(trials):
            return resumption
        cohorts = list(self._cohorts(trials, new_left))
        found = [(cohort, trial) for cohort in cohorts if (trial := cohort.promotable())]
        if found:
            cohort, trial = max(found, key=lambda pair: (pair[1].iterations, -pair[1].number))
            return cohort.ladder.resume(trial)
        if new_left is None or new_left > 0:
            return New(cohorts[-1].ladder.after(0))
        return Wait() if any(trial.state == "running" for trial in trials) else None

    def _cohorts(self, trials: Sequence[TrialView], new_left: int | None) -> Iterator[_Cohort]:
        """Yields the trials by bracket, in the order they were started; the last has room for a new trial."""
        begin = 0
        for bracket in cycle(self.brackets):
            end = len(trials) + 1 if bracket.size is None else begin + bracket.size
            yield _Cohort(bracket.ladder, trials[begin:end], closed=end <= len(trials) or new_left == 0)
            if end > len(trials):
                return
            begin = end

    def runs_on(self, number: int, trials: Sequence[TrialView]) -> int | None:
        """Returns until which iteration a trial continues at once: the last to reach its rung, if among the best there."""
        for cohort in self._cohorts(trials, None):
            own = next((trial for trial in cohort.trials if trial.number == number), None)
            if own is None:
                continue
            place = cohort.ladder.reached(own)
            best = dict(cohort.chosen()).get(place, set())
            if own.until is None or number not in best or cohort.ladder.standing(own, place)[0]:
                return own.until
            return cohort.ladder.after(own.iterations)
        raise ValueError(f"trial {number} is not among the trials")

    def dropped(self, trials: Sequence[TrialView], new_left: int | None) -> set[int]:
        """Returns the paused trials that will never be promoted: not among the best of a rung that all have reached."""
        return set().union(*(cohort.dropped() for cohort in self._cohorts(trials, new_left)))
