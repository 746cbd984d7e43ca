"""Defines the interface between the embedded controller and what chooses points: `tell`, `seen`, `ask`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, Trial


@dataclass(frozen=True)
class Suggestion:
    """Holds a point that was chosen.

    Attributes:
        params: what the trainer is given, by parameter.
        values: the same point as Optuna's storage keeps it; with a search space of the user's, the values that were drawn.
        distributions: of `values`.
        attributes: user attributes to keep with the trial.
        kept: system attributes to keep with the trial; the engine reads them when it is told the trial.
    """

    params: Mapping[str, Any]
    values: Mapping[str, Any]
    distributions: Mapping[str, BaseDistribution]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    kept: Mapping[str, Any] = field(default_factory=dict)


class Engine(Protocol):
    """Chooses the points of a sweep.

    Each agent has an engine of its own, and they ask one at a time. What other agents, or earlier launches, have tried is
    known to an engine by `tell` alone.
    """

    notes: list[str]  # lines for the user

    def tell(self, trials: Sequence[FrozenTrial]) -> None:
        """Takes in all trials of the sweep, by number: those that run, and those that have ended with their values.

        A trial that was told before may have changed: it has ended, or the mean of a point with repeats has another seed.
        """

    def seen(self) -> int:
        """Counts the results that the engine learns from: finished trials, and what it knew before the sweep."""

    def ask(self, number: int) -> Suggestion | None:
        """Chooses the point of the next trial, of that number.

        Returns:
            The point; None when there is none left, or the engine ends the search.

        Raises:
            SweepError: the engine cannot choose, or the user's functions have raised an error.
        """

    def fill(self, trial: Trial) -> dict[str, Any]:
        """Gives a waiting trial of the storage its values, most of which are fixed; returns what the trainer is given.

        Raises:
            SweepError: as `ask` does.
        """

    def recall(self, params: Mapping[str, Any]) -> Suggestion:
        """Finds the values behind a point that the trainer was given, for a storage that has lost them.

        Raises:
            ValueError: the space has no such point.
        """

    def says(self) -> str:
        """Says what chooses the points, and what ends trials early."""

    def close(self) -> None:
        """Releases what the engine holds, in bounded time."""
