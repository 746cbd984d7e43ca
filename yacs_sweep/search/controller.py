"""Defines the interface between a controller, which chooses points, and the agent that runs their trials."""

from __future__ import annotations

from typing import Protocol

from ..records.folder import TrialRecord
from ..trial.contract import Assignment, Hooks


class Agent(Protocol):
    """Runs the trials of a controller, one at a time, under a supervisor that grants each."""

    def may_start(self) -> bool:
        """Asks the supervisor for one more trial, and waits for the answer; returns False when the sweep is to end."""

    def fitting(self) -> int | None:
        """Returns the iterations that a trial which is started now may take until it pauses or ends; None: any number."""

    def give_back(self, *, late: bool = False) -> None:
        """Returns the trial that `may_start` granted: no point is left to try."""

    def run(self, assignment: Assignment, hooks: Hooks, refused: str | None = None) -> TrialRecord:
        """Runs one trial to its end; with `refused` the trial fails for that reason without being started."""

    def stopping(self) -> bool:
        """Returns whether the agent is to leave."""

    def leaving(self) -> bool:
        """Returns whether the agent is to start no further trial; a running one goes on unless it is `stopping`."""

    def held(self) -> bool:
        """Returns whether no trial is to be started for the time being: the sweep is paused."""

    def preempted(self) -> bool:
        """Returns whether the agent is to leave because the machine is taken away (SIGTERM)."""

    def patience(self) -> float:
        """Returns the seconds that unfinished uploads may take: few once the agent is to leave."""

    def alive(self) -> None:
        """Sends the supervisor a heartbeat, every few seconds at most. For loops that wait."""

    def note(self, text: str) -> None:
        """Shows the user one line."""

    def changed(self, record: TrialRecord) -> None:
        """Tells the supervisor that a trial that no agent runs has another record."""


class Controller(Protocol):
    """Chooses the points of a sweep and learns from the ends of their trials."""

    def work(self, agent: Agent) -> None:
        """Runs trials until the supervisor or the search ends them."""

    def close(self) -> None:
        """Releases files, threads and connections, in bounded time."""
