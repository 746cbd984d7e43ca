"""Says what the agents of a sweep know of each other: whose turn it is, who lives, what became of a trial.

`folder_ledger.Folder` keeps it in the sweep's folder, for the agents of one machine: `flock` and trial.json.
`shared_ledger.Shared` keeps it in a database, for any number of machines.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

from ...base.errors import SweepError
from ...records.folder import SweepPaths, TrialRecord

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial, TrialState

# Whether an end was written: now; before, by an attempt of which we did not learn that it went well; or not, since the
# trial has ended otherwise.
Written = Literal["now", "before", "refused"]
T = TypeVar("T")


class Waiting(Protocol):
    """The agent, to those who wait."""

    def alive(self) -> None: ...

    def note(self, text: str) -> None: ...

    def stopping(self) -> bool: ...


class Ledger(Protocol):
    """See the module."""

    storage: BaseStorage
    resumes: bool  # whether another agent goes on at once with what this one has to leave

    def attach(self, turn: Waiting) -> None:
        """The agent that is to be told when something takes long."""

    def patiently(self, step: Callable[[], T]) -> T:
        """Does the step, again if need be, until the storage answers.

        Raises:
            StorageGone: it did not for too long, or the agent is to leave.
        """

    def opening(self) -> contextlib.AbstractContextManager[None]:
        """In it the study is created, if it is not there."""

    def exclusively(self) -> contextlib.AbstractContextManager[None]:
        """The right to give out points; only one agent of the sweep has it at a time."""

    def together(self) -> contextlib.AbstractContextManager[None]:
        """What the storage is told in it, it is told at once or not at all."""

    def about(self) -> dict[str, Any]:
        """What the storage keeps of the agent with each of its trials."""

    def lives(self, about: Mapping[str, Any]) -> bool:
        """Whether the agent that has the trial lives. In `exclusively` only."""

    def lost(self) -> bool:
        """Whether agents have died whose trials nobody has seen to. In `exclusively` only."""

    def seen_to(self) -> None:
        """Their trials have been seen to. In `exclusively` only."""

    def look_around(self) -> None:
        """Finds dead agents of this machine at once. In `exclusively` only."""

    def record(self, number: int, name: str | None) -> TrialRecord | None:
        """What is known of a trial; None when it never ran."""

    def started(self, record: TrialRecord) -> None:
        """The agent's trial runs."""

    def ended(self, record: TrialRecord) -> Written:
        """The agent's trial has ended. Within `together` or `exclusively`."""

    def lose(self, record: TrialRecord) -> bool:
        """Its agent died while the trial ran; False when the agent has told its end in the meantime."""

    def wait_for_others(self) -> bool:
        """Whether this agent is to wait until the others' trials have ended, in case one is lost."""

    def taken(self) -> str | None:
        """Why the agent's trial is no longer its own."""

    def renew(self) -> None:
        """Goes on after its trial was taken."""

    def disconnected(self, error: BaseException) -> bool:
        """Whether an error says that the storage could not be reached: worth another try."""

    def changed_trials(
        self, study_id: int, open_ones: Mapping[int, TrialState], newest: int
    ) -> list[FrozenTrial] | None:
        """Returns what the storage has of a study that is not known yet: the trials after `newest` (an Optuna id, as the
        keys), and those of `open_ones` whose state is another. None: all have to be read."""

    def close(self) -> None: ...


def record_on_disk(paths: SweepPaths, name: str | None) -> TrialRecord | None:
    """Reads a trial.json; None where there is none that can be read."""
    if name is not None:
        with contextlib.suppress(OSError, ValueError, TypeError):
            return TrialRecord.load(paths.trial(name).record)
    return None


class LeaseTaken(Exception):
    """The agent's lease was taken while it had no trial."""


class StorageGone(SweepError):
    """The database did not answer for as long as an agent waits."""
