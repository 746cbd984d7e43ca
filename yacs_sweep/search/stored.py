"""What the storage keeps of a trial, or of the study, beside Optuna's own fields."""

from __future__ import annotations

from typing import Any

from optuna.trial import FrozenTrial, TrialState

from ..base.values import finite_number
from ..records.folder import TrialRecord


def trial_name(number: int) -> str:
    """Returns the name, and the folder, of the trial with that number."""
    return f"trial-{number:04d}"


def logged_values(trial: FrozenTrial) -> list[float]:
    """Returns the values of the metric that a trial has logged, oldest first."""
    return [value for _, value in sorted(trial.intermediate_values.items())]


def state_of(record: TrialRecord) -> TrialState:
    """How a trial that has ended stands in the storage: only a finished one with a value counts as a result."""
    if record.state == "finished" and finite_number(record.value):
        return TrialState.COMPLETE
    return TrialState.PRUNED if record.state == "stopped" else TrialState.FAIL


def end_of(record: TrialRecord) -> dict[str, Any]:
    """What the storage keeps, as END, of how a trial ended that is no result."""
    return {"state": record.state, "value": record.value if finite_number(record.value) else None}


ATTRIBUTE = "trial"  # its name and parameters, and the agent that has it
AGAIN = "again"  # the trial whose point this one tries again
RETRY_OF = "retry_of"  # the same, of trials that ran: there is something to go on from
SETTLED = "settled"  # whether the trial's point counts as evaluated (`TrialRecord.settled`)
LOST = "lost"  # how often that point has been lost with an agent
VOID = "void"  # not a trial: its number was given out twice, or its point breaks a condition
END = "end"  # how it ended: Optuna's FAIL says too little
INDEX = "index"  # its place in the grid
ENQUEUED = "enqueued"  # of the study: how many of the user's points it was given
