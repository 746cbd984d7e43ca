"""Lets the launcher's own search choose, by the interface that all engines have (`engine: wandb`, and without a scheduler)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from optuna.trial import FrozenTrial, Trial, TrialState

from ..sampling import Chooser
from ..space import Space
from .engine import Suggestion


def point_of(space: Space, values: Mapping[str, Any], attributes: Mapping[str, Any] | None = None) -> Suggestion:
    """Returns a point of the sweep file's parameters, of which Optuna's values are known."""
    distributions = {name: space.distributions[name] for name in values}
    return Suggestion(space.from_optuna(values), values, distributions, attributes or {})


class OwnEngine:
    """`Engine` over the launcher's own grid, random and bayes search."""

    def __init__(self, chooser: Chooser, space: Space) -> None:
        self.chooser, self.space = chooser, space
        self.notes = chooser.notes
        self._trials: Sequence[FrozenTrial] = ()

    def tell(self, trials: Sequence[FrozenTrial]) -> None:
        """Takes in all trials, which the search reads when it is asked."""
        self._trials = trials

    def seen(self) -> int:
        """Counts the finished trials."""
        return sum(trial.state == TrialState.COMPLETE for trial in self._trials)

    def ask(self, number: int) -> Suggestion | None:
        """Chooses the next point; None when the grid is exhausted."""
        chosen = self.chooser.next_point(number, self._trials)
        if chosen is None:
            return None
        values, attributes = chosen
        return point_of(self.space, values, attributes)

    def fill(self, trial: Trial) -> dict[str, Any]:
        """Completes a given point at random."""
        return self.space.suggest(trial)

    def recall(self, params: Mapping[str, Any]) -> Suggestion:
        """Converts a point to the values that Optuna's storage keeps."""
        return point_of(self.space, self.space.to_optuna(params))

    def says(self) -> str:
        """Names the search."""
        return f"{self.chooser.spec.method} search"

    def close(self) -> None:
        """Has nothing to release."""
