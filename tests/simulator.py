"""Simulates a sweep on a virtual clock: workers, trials with learning curves, faults. No process, no sleep.

The simulator carries out what a scheduler of `yacs_sweep.search.promotion` decides, and checks at each step what must
always hold.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from yacs_sweep.search.promotion.scheduler import Action, Fork, New, Resume, Scheduler, TrialView, Wait

Point = Mapping[str, Any]
Chosen = Callable[[int, Sequence[TrialView]], Point]
Curve = Callable[[int, Point, int], float]  # number of the trial, its point, iteration from 1
StopRule = Callable[[int, Sequence[TrialView]], bool]


@dataclass(frozen=True)
class Faults:
    """Gives the chances of an epoch to end badly, and of a pause to come late.

    Attributes:
        fail: the trainer fails: the trial ends without a result.
        stop: another rule ends the trial: it keeps its last value.
        kill: the worker dies; its trial is found paused at the epoch it had reached, and a new worker comes.
        relaunch: everything is killed and begun again, with another number of workers.
        late: a trainer that is paused logs one more value before it ends.
    """

    fail: float = 0.0
    stop: float = 0.0
    kill: float = 0.0
    relaunch: float = 0.0
    late: float = 0.0


@dataclass
class Simulator:
    """Runs one sweep.

    Attributes:
        scheduler: decides what a free worker does.
        curve: value of a trial at an iteration.
        epochs: iterations of a whole training.
        count: trials of the search; None: no limit, until `budget` is spent.
        workers: how many trials run at a time.
        budget: iterations after which no action is taken any more; None: no limit.
        choose: point of a new trial, by the trials so far.
        seconds: duration of an iteration of a trial.
        stops: a rule that ends a running trial.
        fails: whether a trial fails in its next iteration.
        until: stops the simulation once it is true of the trials.
        checks: whether each decision is asked for twice, and what is dropped is looked at; benchmarks do without.
    """

    scheduler: Scheduler
    curve: Curve
    epochs: int
    count: int | None = None
    workers: int = 1
    budget: int | None = None
    choose: Chosen = lambda number, trials: {}
    seconds: Callable[[int], float] = lambda number: 1.0
    stops: StopRule | None = None
    fails: Callable[[TrialView], bool] = lambda trial: False
    until: Callable[[Sequence[TrialView]], bool] = lambda trials: False
    checks: bool = True
    faults: Faults = field(default_factory=Faults)
    source: random.Random = field(default_factory=lambda: random.Random(0))

    now: float = 0.0
    trained: int = 0  # iterations, of all trials together
    resumed: int = 0
    trials: list[TrialView] = field(default_factory=list)
    dropped: set[int] = field(default_factory=set)
    actions: list[Action] = field(default_factory=list)

    def run(self) -> list[TrialView]:
        """Runs the sweep until nothing is left to do; returns its trials.

        Raises:
            AssertionError: something that must always hold does not.
        """
        self._events: list[tuple[float, int]] = []  # end of the next iteration of each running trial
        self._free = self.workers
        self._give_work()
        while self._events:
            self.now, number = heapq.heappop(self._events)
            if self.trials[number].state == "running":
                self._iterate(number)
            if self._spent() or self.until(self.trials):
                return self.trials
            self._give_work()
        assert not any(trial.state == "running" for trial in self.trials)
        return self.trials

    def _spent(self) -> bool:
        return self.budget is not None and self.trained >= self.budget

    def _new_left(self) -> int | None:
        """Counts the new points that may still be started; a copy of a trial is none."""
        return None if self.count is None else self.count - sum(trial.parent is None for trial in self.trials)

    def _give_work(self) -> None:
        while self._free > 0:
            running = sum(trial.state == "running" for trial in self.trials)
            action = self.scheduler.next(tuple(self.trials), self._new_left())
            if self.checks:
                assert action == self.scheduler.next(tuple(self.trials), self._new_left()), "a decision is not pure"
                self.dropped |= self._checked_drops()
            if action is None or isinstance(action, Wait):
                assert isinstance(action, Wait) <= (running > 0), "a worker waits for nobody"
                return
            self.actions.append(action)
            self._free -= 1
            self._carry_out(action)

    def _checked_drops(self) -> set[int]:
        dropped = self.scheduler.dropped(tuple(self.trials), self._new_left())
        assert all(self.trials[number].state == "paused" for number in dropped), (
            "a trial was dropped that is not paused"
        )
        return dropped

    def _carry_out(self, action: Action) -> None:
        if isinstance(action, New):
            assert self._new_left() != 0, "more trials than asked for"
            number = len(self.trials)
            params = self.choose(number, tuple(self.trials))
            self.trials.append(TrialView(number, (), "running", action.until, params))
            self._schedule(number)
        elif isinstance(action, Resume):
            trial = self.trials[action.number]
            assert trial.state == "paused", "a trial was resumed that is not paused"
            assert trial.number not in self.dropped, "a trial was resumed whose checkpoint is gone"
            assert action.until is None or action.until > trial.iterations, "an iteration would be trained twice"
            self.resumed += 1
            self._set(trial.number, state="running", until=action.until)
            self._schedule(trial.number)
        else:
            assert isinstance(action, Fork)
            self._fork(action)

    def _fork(self, action: Fork) -> None:
        source, replaced = self.trials[action.source], self.trials[action.replaces]
        assert source.state != "running" and source.number not in self.dropped, (
            "a checkpoint was copied that is not there"
        )
        assert replaced.state == "paused", "a trial was replaced that is not paused"
        self._set(replaced.number, state="ended")
        number = len(self.trials)
        begun = source.iterations
        self.trials.append(TrialView(number, (), "running", action.until, action.params, source.number, begun))
        self._schedule(number)

    def _set(self, number: int, **changes: Any) -> None:
        self.trials[number] = replace(self.trials[number], **changes)

    def _schedule(self, number: int) -> None:
        heapq.heappush(self._events, (self.now + self.seconds(number), number))

    def _log(self, number: int) -> None:
        trial = self.trials[number]
        value = self.curve(number, trial.params, trial.iterations + 1)
        self.trained += 1
        self._set(number, values=(*trial.values, value))

    def _leave(self, number: int, state: str, *, failed: bool = False) -> None:
        self._set(number, state=state, failed=failed)
        self._free += 1

    def _iterate(self, number: int) -> None:
        """Ends an iteration of a running trial, well or badly."""
        chance, faults, trial = self.source.random(), self.faults, self.trials[number]
        if chance < faults.fail or self.fails(trial):
            self._leave(number, "ended", failed=True)
        elif (chance := chance - faults.fail) < faults.kill:
            self._leave(number, "paused")
        elif chance - faults.kill < faults.relaunch:
            self._relaunch()
        else:
            self._log(number)
            self._go_on(number)

    def _go_on(self, number: int) -> None:
        """Ends, pauses or continues a trial that has logged a value."""
        trial = self.trials[number]
        stopped = self.stops is not None and self.stops(number, tuple(self.trials))
        if trial.iterations >= self.epochs or stopped or self.source.random() < self.faults.stop:
            self._leave(number, "ended")
            return
        if trial.until is not None and trial.iterations >= trial.until:
            until = self.scheduler.runs_on(number, tuple(self.trials))
            if until is not None and until <= trial.iterations:
                if self.source.random() < self.faults.late and trial.iterations + 1 < self.epochs:
                    self._log(number)
                self._leave(number, "paused")
                return
            self._set(number, until=until)
        self._schedule(number)

    def _relaunch(self) -> None:
        for trial in self.trials:
            if trial.state == "running":
                self._leave(trial.number, "paused")
        self._events.clear()
        self.workers = self._free = self.source.randint(1, 5)
