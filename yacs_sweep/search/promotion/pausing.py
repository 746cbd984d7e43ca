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
from ..stored import ASSIGNED, BEGUN_AT, FORK, PARENT, PAUSED, REPLACES, UNTIL, VOID
from .make import scheduler_of
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
    logged, fork = trial.intermediate_values, trial.user_attrs.get(FORK, {})
    begun_at = fork.get(BEGUN_AT, 0)
    return TrialView(
        trial.number,
        tuple(logged.get(iteration, math.nan) for iteration in range(begun_at + 1, max(logged, default=0) + 1)),
        "ended" if trial.state.is_finished() else "paused" if is_paused(trial) else "running",
        until=assigned.get(UNTIL),
        params=assigned.get("params", {}),
        parent=fork.get(PARENT),
        begun_at=begun_at,
        failed=trial.state == TrialState.FAIL,
    )


def heirs(trials: Sequence[FrozenTrial]) -> dict[int, FrozenTrial]:
    """Returns the trials that began from a checkpoint, by the number of the trial that each replaces."""
    found: dict[int, FrozenTrial] = {}
    for trial in trials:
        if FORK in trial.user_attrs and not trial.user_attrs.get(ASSIGNED, {}).get(VOID):
            found[trial.user_attrs[FORK][REPLACES]] = trial
    return found


class Pausing:
    """Pauses and resumes the trials of one study for one agent. Only within the coordinator's `exclusively`."""

    def __init__(
        self, study: Study, coordinator: Coordinator, spec: SweepSpec, target: int | None, seed: int = 0
    ) -> None:
        """Prepares the scheduler.

        Args:
            target: trials in the whole sweep, copies left out; None: not known.
            seed: of the search.
        """
        assert spec.compared is not None
        self.study, self.coordinator, self.metric = study, coordinator, spec.compared
        self.copies = spec.pbt is not None
        self.scheduler = scheduler_of(spec, target, seed)

    def views(self, trials: Sequence[FrozenTrial]) -> list[TrialView]:
        """Shows the trials that have started, by number; where checkpoints are copied, those with a folder here.

        A trial has ended for the scheduler as soon as another is to replace it.
        """
        found = [view for trial in trials if (view := view_of(trial)) is not None]
        if not self.copies:
            return found
        replaced = heirs(trials)
        return [
            replace(view, state="ended") if view.number in replaced else view
            for view in found
            if self.is_here(trials[view.number], trials)
        ]

    def is_here(self, trial: FrozenTrial, trials: Sequence[FrozenTrial] = ()) -> bool:
        """Returns whether this agent sees the folder of a trial, where its checkpoint is, or is to be copied to."""
        if not self.coordinator.resumes_at_once or self._has_begun(trial):
            return True
        fork = trial.user_attrs.get(FORK)
        return fork is not None and bool(trials) and self._has_begun(trials[fork[PARENT]])

    def _has_begun(self, trial: FrozenTrial) -> bool:
        """Returns whether a trial has a record here, which is written once it has the files that it begins from."""
        record = self.coordinator.paths.record(trial.user_attrs[ASSIGNED].get("name", ""))
        return record is not None and record.number == trial.number

    def _is_copied(self, number: int, trials: Sequence[FrozenTrial]) -> bool:
        """Returns whether a trial that has not begun yet is to have a copy of this one's checkpoint."""
        copies = [trial for trial in trials if trial.user_attrs.get(FORK, {}).get(PARENT) == number]
        return any(trial.state == TrialState.RUNNING and not self._has_begun(trial) for trial in copies)

    def replaced(self, trials: Sequence[FrozenTrial]) -> list[tuple[FrozenTrial, FrozenTrial]]:
        """Returns the paused trials that another has replaced, each with that one."""
        found = [(trials[number], heir) for number, heir in heirs(trials).items()]
        return [(trial, heir) for trial, heir in found if is_paused(trial) and self._has_begun(heir)]

    def next(self, trials: Sequence[FrozenTrial], new_left: int | None) -> Action | None:
        """Returns what a free agent does (`Scheduler.next`) that sees the folders of this machine alone.

        A trial whose folder is on another machine is left to that one; it has ended for us where no agent is left there.
        """
        views = self.views(trials)
        while True:
            action = self.scheduler.next(views, new_left)
            if not isinstance(action, Resume):
                return action
            lives = self.copies  # its checkpoint is being copied
            if not self.copies and not self.is_here(trials[action.number]):
                lives = self.coordinator.host_lives(trials[action.number].user_attrs[ASSIGNED].get("host", ""))
            elif not self.copies or not self._is_copied(action.number, trials):
                return action
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

    def put_back(self, trial: Trial | FrozenTrial, record: TrialRecord | None) -> None:
        """Records that a trial has paused, as its record says: any agent may resume it. `record` None: it has not begun."""
        before = self.study._storage.get_trial(trial._trial_id).user_attrs[ASSIGNED]
        lost = before.get(PAUSED, 0) + 1 if record is not None and record.cause == "lost" else 0
        self._assign(trial, {**{key: value for key, value in before.items() if key != "agent"}, PAUSED: lost})

    def _assign(self, trial: Trial | FrozenTrial, assigned: dict[str, Any]) -> Mapping[str, Any]:
        """Writes the attribute `ASSIGNED` of a trial."""
        self.study._storage.set_trial_user_attr(trial._trial_id, ASSIGNED, assigned)
        return assigned
