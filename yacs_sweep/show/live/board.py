"""Holds the state of the sweeps on the live screen, from the supervisor's events or a sweep's folder. No I/O."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...base.values import finite_number
from ...records.folder import ENDED_WELL, OVER, TrialRecord, better
from ...records.front import front_of_points, front_of_trials
from ...records.points import Aims, Point, group_points, point_of_seeds
from ...records.standings import best_by
from ..lines import Contrast
from .estimate import ENOUGH, rest_of, seconds_left, survival

POINTS = 64  # points kept of a metric's course
COURSES = 4  # metrics followed beside the sweep's own
NOT_SHOWN = ("id", "step", "epoch", "iteration")  # say how far a trial is, not how good


class Course:
    """A metric over a whole trial in bounded memory: when full, two neighbouring points become their mean."""

    def __init__(self) -> None:
        self.last = math.nan
        self.values: list[float] = []
        self._stride, self._sum, self._count = 1, 0.0, 0

    def add(self, value: float) -> None:
        """Takes in the next value."""
        self.last = value
        self._sum += value
        self._count += 1
        if self._count < self._stride:
            return
        self.values.append(self._sum / self._count)
        self._sum, self._count = 0.0, 0
        if len(self.values) >= 2 * POINTS:
            pairs = zip(self.values[::2], self.values[1::2], strict=True)
            self.values = [(left + right) / 2 for left, right in pairs]
            self._stride *= 2


@dataclass
class Running:
    """A running trial, and the courses of its metrics."""

    record: TrialRecord
    since: float  # when the trial started: seconds by the board's clock
    epoch: float | None = None
    courses: dict[str, Course] = field(default_factory=dict)

    def value(self, name: str | None) -> float | None:
        """Returns the metric's last value; None while there is none."""
        course = self.courses.get(name) if name is not None else None
        return course.last if course else None


@dataclass
class Sweep:
    """The state of one sweep on the screen."""

    sweep_id: str
    name: str
    method: str
    controller: str
    where: str  # its URL or its folder
    metric: str | None
    goal: str
    total: int  # trials that the sweep has when this launch has done its part
    left: int = 0  # trials still to be started
    pauses: bool = False  # whether trials pause: how long the sweep still takes depends on which are resumed
    counts: dict[str, int] = field(default_factory=dict)
    may_resume: bool = False  # whether paused trials may be resumed, so that they are not done
    again: int = 0  # trials that were tried again; `counts` has their later trials alone
    best: TrialRecord | None = None
    running: dict[str, Running] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)  # metrics beside the sweep's own, losses first
    durations: list[float] = field(default_factory=list)  # of trials that ended by themselves, where none pauses
    ended_well: int = 0
    message: str = ""  # shown below the counts
    budget: str = ""  # what is left of it, shown below the counts
    held: bool = False  # whether it is paused, or stopped by Ctrl-Z: nobody knows when it will have ended
    contrast: Contrast = field(default_factory=Contrast)  # of its trials' parameters, as far as it is known
    aims: Aims | None = None  # of a sweep with several objectives, constraints or repeats
    seed: str | None = (
        None  # the parameter that holds the seed, where `--train-best` trains one configuration with several
    )
    trials: Sequence[TrialRecord] = ()  # of such sweeps: those that had ended when it was first shown
    point: Point | None = None  # the best one of a sweep with repeats; the seeds of `--train-best`
    front: list[str] = field(default_factory=list)  # names on the front of several objectives
    replaced: set[str] = field(default_factory=set)  # names of trials that others have replaced, by which they count
    _members: dict[str, dict[str, TrialRecord]] = field(default_factory=dict)  # ended trials by id, by their point
    _points: dict[str, Point] = field(default_factory=dict)  # by name
    _front: list[TrialRecord] = field(default_factory=list)
    _values: dict[str, Any] = field(default_factory=dict)  # the first of each

    def __post_init__(self) -> None:
        """Finds the best of the trials that have ended, and those that were replaced."""
        self.replaced.update(record.replaces for record in self.trials if record.replaces)
        if self.aims is not None:
            self.others = [metric.name for metric in self.aims.objectives[1:]]
            self._compare(self.aims, self.trials)
        elif self.seed is not None:
            self._average(self.seed, self.trials)

    def _compare(self, aims: Aims, trials: Collection[TrialRecord]) -> None:
        """Finds the best point and the front again, after these trials have ended."""
        enough, constraints, several = aims.seeds_enough, aims.constraints, len(aims.objectives) > 1
        if aims.repeats is None:
            self._front = front_of_trials([*self._front, *trials], aims.objectives) if several else []
            self.front = [record.name for record in self._front]
            return
        for record in trials:
            self._members.setdefault(record.point or record.name, {})[record.id] = record
        # In order, not as a set: of points with equal means the first stays the best.
        for name in dict.fromkeys(record.point or record.name for record in trials):
            self._points.update((point.name, point) for point in group_points(self._members[name].values()))
        points = self._points.values()
        self.point = best_by(aims, points)
        if several:
            front = front_of_points(points, aims.objectives, constraints, enough=enough)
            self.front = [point.name for point in front]

    def _average(self, seed: str, trials: Collection[TrialRecord]) -> None:
        """Takes these trials, which have ended, into the point of all seeds."""
        known = self._members.setdefault("", {})
        known.update((record.id, record) for record in trials)
        self.point = point_of_seeds(known.values(), seed)

    @property
    def best_value(self) -> float | None:
        """The best trial's value, or with repeats the best point's mean; None without one."""
        if self.point is not None:
            return self.point.estimate.mean
        return None if self.best is None else self.best.value

    @property
    def done(self) -> int:
        """Trials that have ended by themselves, or have paused for good."""
        states = OVER if self.may_resume else (*OVER, "paused")
        return sum(self.counts.get(state, 0) for state in states) - len(self.replaced)

    def lasting(self, now: float) -> list[tuple[TrialRecord, float]]:
        """Lists the running trials, and for how many seconds each has run."""
        return [(trial.record, now - trial.since) for trial in self.running.values()]

    def trial(self, record: TrialRecord, now: float) -> None:
        """Takes in the start or the end of a trial, at the time `now`."""
        for name, value in record.params.items():
            if self._values.setdefault(name, value) != value:
                self.contrast.varied.add(name)
        if record.replaces:
            self.replaced.add(record.replaces)
        if record.state == "running":
            self.running[record.id] = Running(record, now)
            return
        self.running.pop(record.id, None)
        self.see_end(record)

    def see_end(self, record: TrialRecord, *, compare: bool = True) -> None:
        """Counts an ended trial's duration and value; `compare`: whether points and the front are updated."""
        if not self.pauses and record.state in OVER and (taken := record.seconds) is not None:
            self.durations.append(taken)
            self.ended_well += record.state in ENDED_WELL
        if self.aims is not None and compare:
            self._compare(self.aims, [record])
        elif self.seed is not None and compare:
            self._average(self.seed, [record])
        if record.state == "finished" and record.keeps_constraints and finite_number(record.value):
            best = self.best
            if best is None or best.value is None or better(self.goal, record.value, best.value):
                self.best = record

    def row(self, content: Mapping[str, Any]) -> None:
        """Takes in a row that a trial has logged; `id` in it is the trial's."""
        trial = self.running.get(content.get("id", ""))
        if trial is None:
            return
        if isinstance(epoch := content.get("epoch"), int | float):
            trial.epoch = epoch
        for name, value in content.items():
            if name in NOT_SHOWN or not isinstance(value, int | float):
                continue
            if name != self.metric and name not in self.others and not self._follow(name):
                continue
            course = trial.courses.get(name)
            if course is None:
                course = trial.courses[name] = Course()
            course.add(float(value))

    def _follow(self, name: str) -> bool:
        """Decides whether a metric that comes for the first time is followed."""
        if len(self.others) < COURSES:
            self.others.append(name)
        elif "loss" in name and "loss" not in self.others[-1]:
            self.others[-1] = name
        else:
            return False
        self.others.sort(key=lambda other: "loss" not in other)
        return True

    def work_left(self, now: float) -> float | None:
        """Estimates the seconds of work that is left, on one worker; None while too little is known."""
        if self.held:
            return None
        elapsed = [now - trial.since for trial in self.running.values()]
        if not elapsed and not self.left:
            return 0.0
        if self.ended_well < ENOUGH:
            return None
        spread = survival(self.durations, elapsed)
        return sum(rest_of(each, spread) for each in elapsed) + self.left * sum(each * share for each, share in spread)

    def seconds_left(self, now: float, workers: int) -> float | None:
        """Estimates the seconds until the sweep has ended; None while too little is known."""
        if self.held:
            return None
        elapsed = [now - trial.since for trial in self.running.values()]
        return seconds_left(self.durations, self.ended_well, elapsed, self.left, workers)


@dataclass
class Board:
    """The state of everything on the screen."""

    sweeps: list[Sweep]
    workers: int
    started: float | None  # seconds by the clock that the board is drawn with; None: nothing runs
    title: str = ""  # for several sweeps

    def set_workers(self, number: int) -> None:
        """Takes in that so many trials run at the same time from now on."""
        self.workers = number

    def seconds_left(self, now: float) -> float | None:
        """Estimates the seconds until all sweeps have ended, as if they shared the workers evenly to the end."""
        if len(self.sweeps) == 1:
            return self.sweeps[0].seconds_left(now, self.workers)
        work = [sweep.work_left(now) for sweep in self.sweeps]
        known = [each for each in work if each is not None]
        return sum(known) / max(1, self.workers) if len(known) == len(work) and any(known) else None
