"""Defines what the agents of a sweep must know of each other to share its points: locks, live agents, records of trials.

`folder_coordinator` keeps this in the sweep's folder, for the agents of one machine: `flock` and trial.json.
`database_coordinator` keeps this in PostgreSQL, for any number of machines.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

from ...base.errors import SweepError
from ...records.control.orders import Entry
from ...records.folder import SweepPaths, TrialRecord

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial, TrialState

# Whether the end of a trial was written: now; before, by an attempt whose answer was lost; or refused, since the trial
# has another end already.
Written = Literal["now", "before", "refused"]
T = TypeVar("T")


class Waiting(Protocol):
    """Hears from a coordinator that waits: the agent."""

    def alive(self) -> None:
        """Tells the supervisor that the agent does not hang."""

    def note(self, text: str) -> None:
        """Shows the user one line."""

    def stopping(self) -> bool:
        """Returns whether the agent is to leave."""


class Coordinator(Protocol):
    """Coordinates one agent with the other agents of its sweep.

    Methods marked "exclusive" may be called within `exclusively` only.
    """

    paths: SweepPaths
    storage: BaseStorage
    resumes_at_once: bool  # whether another agent tries a point again as soon as this one gives it up

    def attach(self, agent: Waiting) -> None:
        """Sets the agent that hears when a call waits for long."""

    def retrying(self, step: Callable[[], T]) -> T:
        """Runs a step, again and again until the storage answers.

        Raises:
            StorageGone: the storage did not answer for too long, or the agent is to leave.
        """

    def creating_study(self) -> contextlib.AbstractContextManager[None]:
        """Lets one agent at a time create the study."""

    def exclusively(self) -> contextlib.AbstractContextManager[None]:
        """Lets one agent of the sweep at a time hand out points.

        Raises:
            LeaseExpired: this agent's lease has expired.
        """

    def transaction(self) -> contextlib.AbstractContextManager[None]:
        """Makes all writes in the block one transaction, where the storage has transactions."""

    def owner(self) -> dict[str, Any]:
        """Returns what the storage keeps with each of this agent's trials: the agent's name and host."""

    def owner_lives(self, owner: Mapping[str, Any]) -> bool:
        """Returns whether the agent that a trial was given to is alive. Exclusive."""

    def host_lives(self, host: str) -> bool:
        """Returns whether an agent on that machine is alive. Exclusive."""

    def has_lost_agents(self) -> bool:
        """Returns whether agents have died whose trials are still recorded as running. Exclusive."""

    def forget_lost_agents(self) -> None:
        """Forgets dead agents once their trials have been recovered. Exclusive."""

    def find_dead_agents(self) -> None:
        """Looks for dead agents of this machine now, before their leases expire. Exclusive."""

    def record(self, number: int, name: str | None) -> TrialRecord | None:
        """Reads the record of a trial; None for a trial that never ran. Exclusive."""

    def trial_started(self, record: TrialRecord) -> None:
        """Records that this agent's trial runs."""

    def trial_ended(self, record: TrialRecord) -> Written:
        """Records how this agent's trial ended. Within `transaction` or `exclusively`."""

    def mark_lost(self, record: TrialRecord) -> bool:
        """Records a dead agent's running trial as lost; returns False if the agent has recorded its end meanwhile."""

    def save_record(self, record: TrialRecord) -> bool:
        """Records what has become of a trial that no living agent runs; returns False if it has ended meanwhile."""

    def new_orders(self) -> list[Entry]:
        """Reads what users have ordered since the last call; all of it at the first. Exclusive."""

    def claim_waiting(self) -> bool:
        """Makes this agent the one that waits for the others' trials, in case one is lost; False if another waits."""

    def expired(self) -> str | None:
        """Returns why this agent no longer owns its trial; None while its lease is valid."""

    def renew_lease(self) -> None:
        """Takes a new lease in place of the expired one."""

    def disconnected(self, error: BaseException) -> bool:
        """Returns whether an error says that the storage could not be reached, so that another try may succeed."""

    def changed_trials(
        self, study_id: int, open_trials: Mapping[int, TrialState], newest: int
    ) -> list[FrozenTrial] | None:
        """Reads the trials of a study that have changed; None where only all of them can be read.

        Args:
            open_trials: the states that unfinished trials had at the last read, by Optuna's ids.
            newest: Optuna's id of the newest trial that was read.
        """

    def close(self) -> None:
        """Releases the lease and connections."""


def record_on_disk(paths: SweepPaths, name: str | None) -> TrialRecord | None:
    """Reads a trial.json; None where the file is missing or damaged."""
    return None if name is None else paths.record(name)


class LeaseExpired(Exception):
    """The agent's lease expired while the agent had no trial."""


class StorageGone(SweepError):
    """The database did not answer for as long as an agent waits."""
