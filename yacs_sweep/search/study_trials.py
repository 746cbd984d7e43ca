"""Follows the trials of an Optuna study, and reads again only those that may have changed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from ..records.folder import SweepPaths, TrialRecord
from ..spec.sweep import SweepSpec
from .models.results import reaches_targets
from .promotion.pausing import is_paused
from .repeats.points import SeededPoints
from .storage.coordinator import Coordinator
from .storage.journal import Embedded
from .stored import ASSIGNED, FORK, POINT_OF, REPLACES, SETTLED, VOID


def assigned(trial: FrozenTrial) -> Mapping[str, Any]:
    """Returns the attribute `ASSIGNED` of a trial; empty for one that no agent has yet."""
    found: Mapping[str, Any] = trial.user_attrs.get(ASSIGNED, {})
    return found


def record_of(trial: FrozenTrial, coordinator: Coordinator) -> TrialRecord | None:
    """Reads the record of a trial; None for one that never ran."""
    owner = assigned(trial)
    return coordinator.record(trial.number, owner.get("name")) or _replaced_record(trial, owner, coordinator.paths)


def _replaced_record(trial: FrozenTrial, owner: Mapping[str, Any], paths: SweepPaths) -> TrialRecord | None:
    """Makes the record of a running trial whose trial.json, or folder, is something else by now; None where nothing is
    there. Its trainer has replaced it, and its agent was killed before it could put it back."""
    if trial.state != TrialState.RUNNING or "name" not in owner:
        return None
    place = paths.trial(owner["name"])
    if os.path.isdir(place.dir) and not os.path.lexists(place.record):
        return None
    if not os.path.lexists(place.dir):
        return None
    return TrialRecord(
        f"{paths.sweep_id}-{trial.number}",
        owner["name"],
        trial.number,
        owner["params"],
        host=owner.get("host", ""),
        agent=owner.get("agent", ""),
        point=owner.get("point"),
        seed=owner.get("seed"),
        dir=str(place.dir),
    )


def is_settled(trial: FrozenTrial, coordinator: Coordinator, record: TrialRecord | None = None) -> bool:
    """Returns whether the point of a trial counts as evaluated. `record`: the trial's, if it was read already."""
    if trial.state in (TrialState.COMPLETE, TrialState.PRUNED):
        return True
    if (settled := trial.user_attrs.get(SETTLED)) is not None:
        return bool(settled)
    record = record or record_of(trial, coordinator)
    return record is not None and record.settled


class StudyTrials:
    """Keeps the trials of a study, so that reading them for the thousandth trial costs no more than for the first.

    Valid until a transaction fails: what was read in it may never have been written.
    """

    def __init__(self, study: Study, coordinator: Coordinator, spec: SweepSpec) -> None:
        self._study, self._coordinator, self._spec = study, coordinator, spec
        self._all: list[FrozenTrial] = []  # by number
        self._open: set[int] = set()  # numbers of those that may still change
        self._settled: set[str] = set()  # ids of those whose points count as evaluated
        self._tried_again: set[str] = set()  # ids of those that count by a later trial
        self._trial_reached = False  # whether a trial has reached all targets that are set
        self.points = SeededPoints(spec) if spec.repeats is not None else None  # None: each trial is a point

    def read(self) -> list[FrozenTrial]:
        """Reads what has changed; returns all trials by number."""
        storage, study_id = self._study._storage, self._study._study_id
        known = len(self._all)
        # Whose values, or agents, change while the state does not.
        changing = self._spec.pauses or (self._spec.metric is not None and self._spec.metric.imputes_logged)
        if isinstance(storage, Embedded):
            for number in sorted(self._open):
                self._update(number, storage.get_trial(self._all[number]._trial_id))
            newer = storage.trials_from(study_id, known)
        elif not changing and (found := self._changed(study_id)) is not None:
            for trial in found:
                if trial.number < known:
                    self._update(trial.number, trial)
            newer = [trial for trial in found if trial.number >= known]
        else:
            trials = self._study.get_trials(deepcopy=False)
            for number in sorted(self._open):
                self._update(number, trials[number])
            newer = trials[known:]
        for number, trial in enumerate(newer, start=known):
            self._all.append(trial)
            self._open.add(number)
            self._update(number, trial)
        return self._all

    def _changed(self, study_id: int) -> list[FrozenTrial] | None:
        """Reads the trials whose state has changed; None where the storage cannot select them."""
        states = {self._all[number]._trial_id: self._all[number].state for number in self._open}
        newest = self._all[-1]._trial_id if self._all else -1
        return self._coordinator.changed_trials(study_id, states, newest)

    def _update(self, number: int, trial: FrozenTrial) -> None:
        self._all[number] = trial
        if self.points is not None:
            self.points.update(trial)
        if (earlier := trial.user_attrs.get(POINT_OF)) is not None:
            self._tried_again.add(earlier)
            self._settled.discard(earlier)
        if FORK in trial.user_attrs and not assigned(trial).get(VOID):
            earlier = self._id(trial.user_attrs[FORK][REPLACES])
            self._tried_again.add(earlier)
            self._settled.discard(earlier)
        if trial.state.is_finished():
            self._open.discard(number)
            trial_id = self._id(number)
            counts = trial_id not in self._tried_again and not assigned(trial).get(VOID)
            if counts and is_settled(trial, self._coordinator):
                self._settled.add(trial_id)
            self._trial_reached |= reaches_targets(trial, self._spec)

    def _id(self, number: int) -> str:
        """Returns the id of the trial with that number."""
        return f"{self._study.study_name}-{number}"

    def _in_state(self, state: TrialState) -> list[FrozenTrial]:
        return [self._all[number] for number in self._open if self._all[number].state == state]

    @property
    def target_reached(self) -> bool:
        """Whether a trial has reached all targets that are set; with repeats, the means of a point with enough seeds."""
        return self._trial_reached if self.points is None else self.points.reached(self._spec)

    def waiting(self) -> list[FrozenTrial]:
        """Lists the enqueued points that wait for an agent, the oldest first."""
        return sorted(self._in_state(TrialState.WAITING), key=lambda trial: trial.number)

    @property
    def any_running(self) -> bool:
        """Whether an agent runs a trial."""
        return any(not is_paused(trial) for trial in self._in_state(TrialState.RUNNING))

    def running_of(self, agent: str) -> FrozenTrial | None:
        """Returns the running trial that was given to the agent; None if there is none."""
        return next(
            (trial for trial in self._in_state(TrialState.RUNNING) if assigned(trial).get("agent") == agent), None
        )

    def handed_out(self) -> int:
        """Counts the trials that are settled, run by a live agent, or, where trials pause, run or are paused.

        A trial that another has replaced counts by that one.
        """
        running = [
            trial for trial in self._in_state(TrialState.RUNNING) if self._id(trial.number) not in self._tried_again
        ]
        alive = sum(self._spec.pauses or self._coordinator.owner_lives(assigned(trial)) for trial in running)
        return len(self._settled) + alive

    def any_left_behind(self) -> bool:
        """Returns whether a trial runs whose agent has died."""
        running = [trial for trial in self._in_state(TrialState.RUNNING) if not is_paused(trial)]
        return any(not self._coordinator.owner_lives(assigned(trial)) for trial in running)
