"""What an agent needs of a controller, and what a controller needs of an agent."""

from __future__ import annotations

from typing import Protocol

from ..records.folder import TrialRecord
from ..trial.contract import Assignment, Hooks


class Turn(Protocol):
    """The agent, as a controller sees it."""

    def may_start(self) -> bool:
        """Asks the supervisor for one more trial; False when the sweep is to end. May wait."""

    def give_back(self) -> None:
        """Returns the right to one trial that `may_start` granted: there is no point left to try."""

    def run(self, assignment: Assignment, hooks: Hooks, refused: str | None = None) -> TrialRecord:
        """Runs one trial to its end; with `refused` it fails at once, for that reason."""

    def stopping(self) -> bool:
        """Whether the agent is to leave."""

    def preempted(self) -> bool:
        """Whether it is to leave because the machine is taken away (SIGTERM), not because somebody wants it."""

    def patience(self) -> float:
        """Seconds that may be spent on finishing what is open: few once the agent is to leave."""

    def alive(self) -> None:
        """Says, every few seconds at most, that the agent does not hang. For loops that wait."""

    def note(self, text: str) -> None:
        """Shows the user one line."""


class Controller(Protocol):
    """Chooses trials, and is told how they ended."""

    def work(self, turn: Turn) -> None:
        """Runs trials until the supervisor or the search ends them."""

    def close(self) -> None:
        """Releases files, threads and connections; bounded in time."""
