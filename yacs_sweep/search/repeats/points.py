"""Groups the trials of a study with repeats into points, as the search, the race and the stopping rules see them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from ...records.front import costs_of, nondominated
from ...records.standings import Entry
from ...spec.sweep import SweepSpec
from ..models.results import reaches_targets
from ..racing import next_seed
from ..stored import ASSIGNED, CONSTRAINTS, END, FIXED, GRID_INDEX, PLACE, POINT, POINT_OF, SEEDS, VOID
from .places import make_race

SINGLE_RULES = (
    "patience",
    "divergence",
)  # rules that judge a trial by itself: what they stop says nothing of other seeds


class SeededPoints:
    """Follows the points of a study; only those with changed trials are computed again."""

    def __init__(self, spec: SweepSpec) -> None:
        assert spec.repeats is not None
        self._repeats, self._objectives = spec.repeats, spec.objectives
        race = make_race(spec)
        assert race is not None
        self._race = race
        rule = spec.early_terminate
        self._stop_ends_point = rule is None or rule.type not in SINGLE_RULES
        self._trials: dict[int, dict[int, FrozenTrial]] = {}  # by point and number
        self._last = -1  # number of the newest point
        self._tried_again: set[int] = set()  # numbers of trials whose seeds count by a later trial
        self._entries: dict[int, Entry] = {}  # of the points that have changed since, the old ones
        self._shown: list[FrozenTrial] = []  # the same, by point
        self._changed_entries, self._changed_shown = set[int](), set[int]()
        self._open: set[int] = set()  # points that lack seeds

    def update(self, trial: FrozenTrial) -> None:
        """Takes in a trial that is new or has changed."""
        earlier = trial.user_attrs.get(POINT_OF)
        if earlier is not None:
            self._tried_again.add(int(earlier.rpartition("-")[2]))
        point = trial.user_attrs.get(POINT)
        if point is None:
            return
        self._last = max(self._last, point)
        self._trials.setdefault(point, {})[trial.number] = trial
        self._changed_entries.add(point)
        self._changed_shown.add(point)

    @property
    def next_number(self) -> int:
        """The number of the next new point."""
        return self._last + 1

    def seed(self, point: int, place: int) -> Any:
        """Returns a seed of a point."""
        return self._repeats.seed_at(point, place)

    def next_seed(self, left: int | None, *, new_points: bool) -> tuple[int, int] | None:
        """Returns the point and the place of the seed that the next trial is to have; None: a new point, if there are any.

        Args:
            left: trials that may still be started; None: not known.
            new_points: whether a new point may be tried.
        """
        entries = self._read_entries()
        if not self._race.drop:  # points that have all their seeds have no say
            entries = {point: entries[point] for point in sorted(self._open)}
        front = self._front() if self._race.drop and self._objectives[1:] else None
        return next_seed(list(entries.values()), self._race, left=left, new_points=new_points, front=front)

    def _front(self) -> list[int]:
        """Returns the numbers of the points on the front of the means, best in the first objective first."""
        found = []
        for trial in self.as_trials():
            if trial.state != TrialState.COMPLETE or any(
                excess > 0 for excess in trial.system_attrs.get(CONSTRAINTS, ())
            ):
                continue
            values = {metric.name: value for metric, value in zip(self._objectives, trial.values, strict=True)}
            if (cost := costs_of(values, self._objectives)) is not None:
                found.append((cost, trial.number))
        kept = [found[place] for place in nondominated([cost for cost, _ in found])]
        return [number for _, number in sorted(kept)]

    def like(self, point: int) -> FrozenTrial:
        """Returns a trial of the point, for its parameters."""
        trials = [trial for _, trial in sorted(self._trials[point].items())]
        return next((trial for trial in trials if trial.params), trials[0])

    def _read_entries(self) -> dict[int, Entry]:
        """Returns all points by number, as the race compares them."""
        for point in sorted(self._changed_entries):
            entry = self._entry(point)
            if not (entry.values or entry.running or entry.failed):  # its trials count for nothing
                self._entries.pop(point, None)
                self._open.discard(point)
                continue
            self._entries[point] = entry
            had = len({*entry.values, *entry.running, *entry.failed})
            (self._open.add if had < self._repeats.n else self._open.discard)(point)
        self._changed_entries.clear()
        return self._entries

    def as_trials(self) -> list[FrozenTrial]:
        """Returns all points by number, each as one trial that ended with the mean of its seeds."""
        self._shown += [_nothing(point) for point in range(len(self._shown), self.next_number)]
        for point in self._changed_shown:
            self._shown[point] = self._as_trial(point)
        self._changed_shown.clear()
        return self._shown

    def reached(self, spec: SweepSpec) -> bool:
        """Tells whether a point with all its seeds has means that reach all targets that are set."""
        if all(metric.target is None for metric in spec.objectives):
            return False
        shown = self.as_trials()
        return any(
            entry.values
            and len(entry.values) + len(entry.failed) >= self._repeats.n
            and reaches_targets(shown[entry.number], spec)
            for entry in self._read_entries().values()
        )

    def _counted(self, point: int) -> list[FrozenTrial]:
        """Returns the trials by which a point counts, by number: each seed by its last one."""
        return [
            trial
            for number, trial in sorted(self._trials[point].items())
            if number not in self._tried_again and not trial.user_attrs.get(ASSIGNED, {}).get(VOID)
        ]

    def _noted(self, point: int) -> dict[str, Any]:
        """Returns what the search has kept with a point: with its first trial, and with none that repeats it."""
        return {
            name: value
            for _, trial in sorted(self._trials[point].items())
            for name, value in trial.system_attrs.items()
            if name != FIXED
        }

    def _stopped(self, trials: Sequence[FrozenTrial]) -> bool:
        """Tells whether a point was stopped early: it gets no further seed."""
        return self._stop_ends_point and any(trial.state == TrialState.PRUNED for trial in trials)

    def _entry(self, point: int) -> Entry:
        """Sorts the seeds of a point by how they ended."""
        trials = self._counted(point)
        values = {trial.user_attrs[PLACE]: trial.values[0] for trial in trials if trial.state == TrialState.COMPLETE}
        running = {trial.user_attrs[PLACE] for trial in trials if not trial.state.is_finished()}
        failed = {trial.user_attrs[PLACE] for trial in trials if trial.state.is_finished()}
        if self._stopped(trials):
            failed.update(range(self._repeats.n))
        return Entry(point, values, frozenset(running - values.keys()), frozenset(failed - values.keys() - running))

    def _as_trial(self, point: int) -> FrozenTrial:
        """Makes one trial of a point."""
        trials = self._counted(point)
        if not trials:
            return _nothing(point)
        finished = [trial for trial in trials if trial.state == TrialState.COMPLETE]
        stopped = [trial for trial in trials if trial.state == TrialState.PRUNED]
        ended = [trial for trial in trials if END in trial.user_attrs]
        first = next((trial for trial in trials if trial.params), trials[0])
        last = (finished or trials)[-1]
        attributes = {
            key: trial.user_attrs[key] for trial in trials for key in (GRID_INDEX,) if key in trial.user_attrs
        }
        shown = _nothing(point)
        shown.params, shown.distributions = first.params, first.distributions
        shown.intermediate_values = mean_curve([trial.intermediate_values for trial in trials])
        shown.datetime_start, shown.datetime_complete = last.datetime_start, last.datetime_complete
        shown.system_attrs = {**self._noted(point), **_mean_missed(finished)}
        if self._stopped(trials):
            # Not more than a stopped trial counts with, however well its first seeds have done.
            shown.state = TrialState.PRUNED
            values = [trial.values[0] for trial in finished if trial.values]
            values += [
                end["value"] for trial in stopped if (end := trial.user_attrs.get(END)) and end["value"] is not None
            ]
            attributes[END] = {"state": "stopped", "value": _mean(values) if values else None}
        elif finished:
            shown.state = TrialState.COMPLETE
            shown.values = [_mean(column) for column in zip(*(trial.values for trial in finished), strict=True)]
            attributes[SEEDS] = len(finished)
        elif any(trial.state == TrialState.RUNNING for trial in trials):
            shown.state, shown.datetime_complete = TrialState.RUNNING, None
        elif ended:
            attributes[END] = ended[-1].user_attrs[END]
        shown.user_attrs = attributes
        return shown


def _nothing(point: int) -> FrozenTrial:
    """Makes a failed trial that the search takes no notice of."""
    return FrozenTrial(point, TrialState.FAIL, None, None, None, {}, {}, {}, {}, {}, point)


def _mean_missed(trials: Sequence[FrozenTrial]) -> dict[str, list[float]]:
    """Returns by how much trials miss each constraint in the mean; empty without constraints."""
    rows = [trial.system_attrs[CONSTRAINTS] for trial in trials if CONSTRAINTS in trial.system_attrs]
    return {CONSTRAINTS: [_mean(column) for column in zip(*rows, strict=True)]} if rows else {}


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def mean_curve(curves: Sequence[Mapping[int, float]]) -> dict[int, float]:
    """Returns the mean at each step over the curves that got there; nan where none has a finite value."""
    steps = sorted({step for curve in curves for step in curve})
    found = {}
    for step in steps:
        values = [curve[step] for curve in curves if step in curve and math.isfinite(curve[step])]
        found[step] = _mean(values) if values else math.nan
    return found
