"""What an agent needs of a controller, and what a controller needs of an agent."""

from __future__ import annotations

from typing import Protocol

from ..results import TrialRecord
from ..trial import Assignment, Hooks


class Turn(Protocol):
    """The agent, as a controller sees it."""

    def may_start(self) -> bool:
        """Asks the supervisor for one more trial; False when the sweep is to end. May wait."""

    def give_back(self) -> None:
        """Returns the right to one trial that `may_start` granted: there is no point left to try."""

    def run(self, assignment: Assignment, hooks: Hooks) -> TrialRecord:
        """Runs one trial to its end."""

    def note(self, text: str) -> None:
        """Shows the user one line."""


class Controller(Protocol):
    """Chooses trials, and is told how they ended."""

    def work(self, turn: Turn) -> None:
        """Runs trials until the supervisor or the search ends them."""

    def close(self) -> None:
        """Releases files, threads and connections; bounded in time."""
