"""Names what the storage keeps of a trial, or of the study, beside Optuna's own fields."""

from __future__ import annotations

import math
from typing import Any

from optuna import exceptions
from optuna.trial import FrozenTrial, TrialState

from ..base.values import finite_number
from ..records.folder import TrialRecord

# What Optuna raises of a trial that has ended already: in 4.0 one without a name of its own.
AlreadyEnded: type[Exception] = getattr(exceptions, "UpdateFinishedTrialError", RuntimeError)


def trial_name(number: int) -> str:
    """Returns the name, and the folder, of the trial with that number."""
    return f"trial-{number:04d}"


def logged_values(trial: FrozenTrial) -> list[float]:
    """Returns the values of the metric that a trial has logged, oldest first."""
    return [value for _, value in sorted(trial.intermediate_values.items())]


def stored_value(value: float) -> float:
    """Returns a logged value as Optuna's pruners are to see it: they know nan, and take an infinity for a result."""
    return value if finite_number(value) else math.nan


def state_of(record: TrialRecord) -> TrialState:
    """Returns Optuna's state for a trial that has ended: only a finished one with all its values counts as a result."""
    if record.state == "finished" and all(map(finite_number, (record.value, *(record.values or {}).values()))):
        return TrialState.COMPLETE
    return TrialState.PRUNED if record.state == "stopped" else TrialState.FAIL


def end_of(record: TrialRecord) -> dict[str, Any]:
    """Returns what the storage keeps, as `END`, of a trial that has ended without a result."""
    return {"state": record.state, "value": record.value if finite_number(record.value) else None}


# A system attribute of a trial, which Optuna knows by this name: by how much the trial misses each constraint.
CONSTRAINTS = "constraints"
FIXED = "fixed_params"  # another one: the values of an enqueued trial

# User attributes of a trial.
ASSIGNED = "trial"  # its name and parameters, and the agent it was given to: keys name, params, agent, host
UNTIL = "until"  # in ASSIGNED, of a sweep that pauses trials: the iteration at which the trial pauses, or has paused
PAUSED = "paused"  # in ASSIGNED, in place of an agent: how often the trial was lost since it last paused by itself
POINT_OF = "again"  # id of the trial whose point is tried again
RETRY_OF = "retry_of"  # the same, if that trial ran: the trainer resumes from its files
SETTLED = "settled"  # whether the trial's point counts as evaluated (`TrialRecord.settled`)
LOST_COUNT = "lost"  # how often the point has been lost with an agent
VOID = "void"  # in ASSIGNED, of no trial: its number was given out twice, or its point breaks a condition
FORK = "fork"  # of a trial that began from another's checkpoint: keys PARENT, BEGUN_AT, REPLACES
PARENT = "parent"  # in FORK: number of the trial whose checkpoint it was,
BEGUN_AT = "begun_at"  # the iterations that this one had made,
REPLACES = "replaces"  # and the number of the trial that ended for the new one
END = "end"  # how the trial ended, where Optuna's FAIL says too little
GRID_INDEX = "index"  # the point's place in the grid
POINT = "point"  # of a sweep with repeats: the point's number,
SEEDS = "seeds"  # of a point that is shown as one trial: of how many seeds its values are the mean
PLACE = "place"  # and the place of the trial's seed among those of the point
GIVEN = "given"  # of a point that a user has given: the id of the order, empty for --enqueue, and which of its points
ENQUEUED = "enqueued"  # of a study of an earlier version: how many points of --enqueue have been enqueued
