"""Describes the optimiser that `method: custom` names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Scheduler:
    """Names the optimiser that chooses points in place of the search's own (`method: custom`).

    Attributes:
        engine: optuna or ax.
        source: the user's Python file; None: the engine's default optimiser.
        optimizer: the function of `source` that makes the optimiser (a Study of Optuna's, a Client of Ax's).
        search_space: the function of `source` that defines the parameters as it draws them.
    """

    engine: str
    source: str | None = None
    optimizer: str | None = None
    search_space: str | None = None

    @property
    def own_space(self) -> str | None:
        """The key whose function defines the parameters in place of the sweep file; None: the file's are searched."""
        if self.engine == "ax":
            return "optimizer" if self.optimizer is not None else None
        return "search_space" if self.search_space is not None else None

    def to_dict(self) -> dict[str, Any]:
        """Returns the scheduler in W&B's language."""
        return {key: value for key, value in vars(self).items() if value is not None}
