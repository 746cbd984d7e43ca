"""What the storage keeps of a trial, or of the study, beside Optuna's own fields."""

from __future__ import annotations

ATTRIBUTE = "trial"  # its name and parameters, and the agent that has it
AGAIN = "again"  # the trial whose point this one tries again
RETRY_OF = "retry_of"  # the same, of trials that ran: there is something to go on from
SETTLED = "settled"  # whether the trial's point counts as evaluated (`TrialRecord.settled`)
LOST = "lost"  # how often that point has been lost with an agent
VOID = "void"  # not a trial: its number was given out twice, or its point breaks a condition
END = "end"  # how it ended: Optuna's FAIL says too little
INDEX = "index"  # its place in the grid
ENQUEUED = "enqueued"  # of the study: how many of the user's points it was given
