"""Shows the scheduler the trials of a study, and writes to the storage which are paused and which run.

A trial that is paused stays one trial: running for Optuna, without an agent in `ASSIGNED`. One write gives it to an agent,
and one write takes it back, so that it is never nobody's and never two agents'.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from ...records.folder import TrialRecord
from ...spec.sweep import SweepSpec
from ..storage.coordinator import Coordinator
from ..stored import ASSIGNED, PAUSED, UNTIL, VOID
from .make import make_scheduler
from .scheduler import Action, Resume, TrialView


def is_paused(trial: FrozenTrial) -> bool:
    """Returns whether a trial has paused and no agent has it."""
    assigned = trial.user_attrs.get(ASSIGNED, {})
    return trial.state == TrialState.RUNNING and PAUSED in assigned and "agent" not in assigned


def view_of(trial: FrozenTrial) -> TrialView | None:
    """Shows a scheduler a trial; None for one that has not started, or counts for nothing."""
    assigned = trial.user_attrs.get(ASSIGNED, {})
    if trial.state == TrialState.WAITING or not assigned or assigned.get(VOID):
        return None
    logged = trial.intermediate_values
    return TrialView(
        trial.number,
        tuple(logged.get(iteration, math.nan) for iteration in range(1, max(logged, default=0) + 1)),
        "ended" if trial.state.is_finished() else "paused" if is_paused(trial) else "running",
        until=assigned.get(UNTIL),
        params=assigned.get("params", {}),
        failed=trial.state == TrialState.FAIL,
    )


class Pausing:
    """Pauses and resumes the trials of one study for one agent. Only within the coordinator's `exclusively`."""

    def __init__(self, study: Study, coordinator: Coordinator, spec: SweepSpec, target: int | None) -> None:
        """Prepares the scheduler. `target`: trials in the whole sweep; None: not known."""
        assert spec.early_terminate is not None and spec.compared is not None
        self.study, self.coordinator, self.metric = study, coordinator, spec.compared
        self.scheduler = make_scheduler(spec.early_terminate, spec.compared.goal, target)

    @staticmethod
    def views(trials: Sequence[FrozenTrial]) -> list[TrialView]:
        """Shows the trials that have started, by number."""
        return [view for trial in trials if (view := view_of(trial)) is not None]

    def is_here(self, trial: FrozenTrial) -> bool:
        """Returns whether this agent sees the folder of a paused trial, where its checkpoint is."""
        if not self.coordinator.resumes_at_once:
            return True
        record = self.coordinator.paths.record(trial.user_attrs[ASSIGNED]["name"])
        return record is not None and record.number == trial.number

    def next(self, trials: Sequence[FrozenTrial], new_left: int | None) -> Action | None:
        """Returns what a free agent does (`Scheduler.next`) that sees the folders of this machine alone.

        A trial whose folder is on another machine is left to that one; it has ended for us where no agent is left there.
        """
        views = self.views(trials)
        while True:
            action = self.scheduler.next(views, new_left)
            if not isinstance(action, Resume) or self.is_here(trials[action.number]):
                return action
            lives = self.coordinator.host_lives(trials[action.number].user_attrs[ASSIGNED].get("host", ""))
            place = next(place for place, view in enumerate(views) if view.number == action.number)
            views[place] = replace(views[place], state="running" if lives else "ended", until=action.until)

    def runs_on(self, number: int, trials: Sequence[FrozenTrial]) -> int | None:
        """Returns until which iteration a trial that has reached its `until` runs, and writes that down."""
        before = trials[number].user_attrs[ASSIGNED]
        until = self.scheduler.runs_on(number, self.views(trials))
        if until != before.get(UNTIL):
            self._assign(trials[number], {**before, UNTIL: until})
        return until

    def dropped(self, trials: Sequence[FrozenTrial], new_left: int | None) -> list[FrozenTrial]:
        """Returns the paused trials with a folder here that will never continue."""
        found = self.scheduler.dropped(self.views(trials), new_left)
        return [trial for trial in trials if trial.number in found and is_paused(trial) and self.is_here(trial)]

    def take(self, trial: FrozenTrial, until: int | None) -> Mapping[str, Any]:
        """Gives this agent a paused trial, to be run until an iteration; returns what is assigned."""
        before = trial.user_attrs[ASSIGNED]
        return self._assign(trial, {**before, UNTIL: until, **self.coordinator.owner()})

    def move(self, trial: FrozenTrial, until: int | None) -> None:
        """Sets the iteration at which a paused trial pauses, which it has reached already."""
        self._assign(trial, {**trial.user_attrs[ASSIGNED], UNTIL: until})

    def put_back(self, trial: Trial | FrozenTrial, record: TrialRecord) -> None:
        """Records that a trial has paused, as its record says: any agent may resume it."""
        before = self.study._storage.get_trial(trial._trial_id).user_attrs[ASSIGNED]
        lost = before.get(PAUSED, 0) + 1 if record.cause == "lost" else 0
        self._assign(trial, {**{key: value for key, value in before.items() if key != "agent"}, PAUSED: lost})

    def _assign(self, trial: Trial | FrozenTrial, assigned: dict[str, Any]) -> Mapping[str, Any]:
        """Writes the attribute `ASSIGNED` of a trial."""
        self.study._storage.set_trial_user_attr(trial._trial_id, ASSIGNED, assigned)
        return assigned
