"""Restores trials in a storage that was deleted or cut off, or that replaces another one, from their folders.

trial.json is the truth. An empty storage would otherwise give out the sweep's first numbers again, and their trials would
overwrite finished ones.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any

from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState, create_trial

from ...records.folder import TrialRecord, mark_lost
from ...records.metrics import Iterations, readable_metrics
from ...records.points import point_number
from ...spec.parameter import equality_key
from ...spec.sweep import SweepSpec
from ..models.results import end_with_values, missed, values_of
from ..repeats.places import place_of
from ..schedulers.engine import Engine
from ..space import Space
from ..stored import (
    ASSIGNED,
    BEGUN_AT,
    END,
    FORK,
    GIVEN,
    GRID_INDEX,
    LOST_COUNT,
    PARENT,
    PAUSED,
    PLACE,
    POINT,
    POINT_OF,
    REPLACES,
    RETRY_OF,
    SETTLED,
    UNTIL,
    VOID,
    state_of,
    stored_value,
    trial_name,
)
from .folder_coordinator import FolderCoordinator
from .given_points import GivenPoints

MAX_SEARCHED = 100_000  # grid points that are compared with the points of trials
_FOLDER = re.compile(r"trial-(\d{4,})")


class Restorer:
    """Compares a study with the folder of its sweep, and adds what the study lacks.

    Only within `exclusively`: a new trial is in the study before it has a folder.
    """

    def __init__(
        self,
        study: Study,
        coordinator: FolderCoordinator,
        space: Space,
        spec: SweepSpec,
        engine: Engine,
        axis: str = "epoch",
    ) -> None:
        """Prepares to compare. `axis`: the metric that is the x-axis."""
        self.study, self.paths, self.space, self.spec = study, coordinator.paths, space, spec
        self._engine, self._axis = engine, axis
        self._coordinator = coordinator

    def restore(self, given: GivenPoints) -> list[TrialRecord]:
        """Adds the trials that the study does not know, and ends those that it takes for waiting.

        Args:
            given: the points that the user wants tried before others.

        Returns:
            The trials that ran when their agents died.
        """
        known = self.study.get_trials(deepcopy=False)
        waiting = [trial for trial in known if trial.state == TrialState.WAITING]
        numbers = {int(match[1]) for path in self.paths.dir.glob("trial-*") if (match := _FOLDER.fullmatch(path.name))}
        if max(numbers, default=-1) < len(known) and not numbers.intersection(trial.number for trial in waiting):
            return []
        records = self._records()
        for trial in waiting:
            if trial.number in records:
                self._evaluate(trial, records[trial.number])
        # A folder without a record counts only if its number can have been reached by so many trials.
        unread = {number for number in numbers if number < len(known) + len(numbers)}
        missing = [record for number, record in sorted(records.items()) if number >= len(known)]
        lost = [
            record
            for record in missing
            if record.state == "running" and not self._coordinator.owner_lives(_assigned(record))
        ]
        for record in lost:
            mark_lost(record, self.paths, resumes=self.spec.pauses)
        indices, places = self._indices(missing), given.places_of(missing, known)
        for number in range(len(known), 1 + max(unread | records.keys(), default=-1)):
            found = self._as_trial(records[number], indices) if number in records else None
            if found is not None and number in places:
                found.set_user_attr(GIVEN, list(places[number]))
            self.study.add_trial(found or create_trial(state=TrialState.FAIL, user_attrs={ASSIGNED: {VOID: True}}))
        self._fill_grid()
        return [] if self.spec.pauses else lost

    def _records(self) -> dict[int, TrialRecord]:
        """Reads the records of all trials by number."""
        return {record.number: record for record in self.paths.records() if record.name == trial_name(record.number)}

    def _indices(self, records: Sequence[TrialRecord]) -> dict[int, int]:
        """Finds the place in the grid of each of the trials, by their numbers."""
        wanted: dict[Hashable, list[int]] = {}
        for record in records:
            wanted.setdefault(equality_key(record.params), []).append(record.number)
        found: dict[int, int] = {}
        for index in range(min(self.spec.grid_size or 0, MAX_SEARCHED)):
            for number in wanted.pop(equality_key(self.spec.grid_point(index)), ()):
                found[number] = index
            if not wanted:
                break
        return found

    def _fill_grid(self) -> None:
        """Enqueues the grid points of trials of which nothing is left."""
        trials = self.study.get_trials(deepcopy=False)
        used = {int(trial.user_attrs[GRID_INDEX]) for trial in trials if GRID_INDEX in trial.user_attrs}
        for index in sorted(set(range(max(used, default=0))) - used):
            self.study.enqueue_trial(self.space.to_optuna(self.spec.grid_point(index)), user_attrs={GRID_INDEX: index})

    def _as_trial(self, record: TrialRecord, indices: Mapping[int, int]) -> FrozenTrial | None:
        """Converts a record to Optuna's trial; None where the sweep has no such point."""
        try:
            point = self._engine.recall(record.params)
        except ValueError:
            return None
        metric = self.spec.compared.name if self.spec.compared else None
        rows = readable_metrics(self.paths.trial(record.name).metrics) if metric is not None else []
        values = Iterations(metric, self._axis, record.starts).values(rows)
        open_ = self.spec.pauses and record.state in ("running", "paused")
        return create_trial(
            state=TrialState.RUNNING if open_ else state_of(record),
            values=values_of(record, self.spec) if state_of(record) == TrialState.COMPLETE else None,
            params=dict(point.values),
            distributions=dict(point.distributions),
            user_attrs={**dict(self._attributes(record, indices.get(record.number))), **self._place(record)},
            intermediate_values={iteration: stored_value(value) for iteration, value in values.items()},
            system_attrs=missed(record, self.spec) if record.settled else {},
        )

    def _pause_of(self, record: TrialRecord) -> dict[str, Any]:
        """Returns what the attribute `ASSIGNED` says of a trial that pauses; empty where none does."""
        if not self.spec.pauses:
            return {}
        return {UNTIL: record.until, **({PAUSED: 0} if record.state == "paused" else {})}

    def _place(self, record: TrialRecord) -> dict[str, Any]:
        """Returns the user attributes that say which seed of which point a trial was; empty without repeats."""
        point = None if record.point is None else point_number(record.point)
        if self.spec.repeats is None or point is None:
            return {}
        return {POINT: point, PLACE: place_of(self.spec.repeats, point, record.seed)}

    def _attributes(self, record: TrialRecord, index: int | None) -> Iterator[tuple[str, Any]]:
        """Yields the user attributes of a recorded trial. `index`: its place in the grid."""
        yield ASSIGNED, {**_assigned(record), **self._pause_of(record)}
        if record.settled:
            yield SETTLED, True
            if state_of(record) != TrialState.COMPLETE:
                yield END, end_with_values(record, self.spec, self.paths)
        if record.retry_of is not None:
            yield RETRY_OF, record.retry_of
            yield POINT_OF, record.retry_of
            yield LOST_COUNT, 1
        if index is not None:
            yield GRID_INDEX, index
        if record.parent_trial is not None and record.replaces is not None:
            yield (
                FORK,
                {
                    PARENT: _number(record.parent_trial),
                    BEGUN_AT: record.begun_at,
                    REPLACES: _number(record.replaces),
                },
            )

    def _evaluate(self, trial: FrozenTrial, record: TrialRecord) -> None:
        """Ends a waiting trial as its record says."""
        found = self._as_trial(record, {})
        if found is None:
            return
        storage, trial_id = self.study._storage, trial._trial_id
        storage.set_trial_state_values(trial_id, TrialState.RUNNING)
        for name, value in found.params.items():
            distribution = found.distributions[name]
            storage.set_trial_param(trial_id, name, distribution.to_internal_repr(value), distribution)
        for step, value in found.intermediate_values.items():
            storage.set_trial_intermediate_value(trial_id, step, value)
        for name, value in found.user_attrs.items():
            storage.set_trial_user_attr(trial_id, name, value)
        for name, value in found.system_attrs.items():
            storage.set_trial_system_attr(trial_id, name, value)
        storage.set_trial_state_values(trial_id, found.state, found.values)


def _number(name: str) -> int:
    """Returns the number of the trial with that name."""
    match = _FOLDER.fullmatch(name)
    return int(match[1]) if match else -1


def _assigned(record: TrialRecord) -> dict[str, Any]:
    """Returns the attribute `ASSIGNED` of a recorded trial."""
    seed = {} if record.point is None else {"point": record.point, "seed": record.seed}
    owner = {} if record.state == "paused" else {"agent": record.agent}
    return {"name": record.name, "params": record.params, **seed, **owner, "host": record.host}
