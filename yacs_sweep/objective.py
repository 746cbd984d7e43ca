"""The value of a trial."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from .results import better


class Objective:
    """Follows one metric over a trial: its last and its best value."""

    def __init__(self, metric: str | None, goal: str, optimize: str) -> None:
        self.metric, self.goal, self.optimize = metric, goal, optimize
        self.last: float | None = None
        self.best: float | None = None

    def see(self, row: Mapping[str, Any]) -> None:
        value = row.get(self.metric) if self.metric is not None else None
        if isinstance(value, int | float):
            self.last = float(value)
            if self.best is None or better(self.goal, self.last, self.best):
                self.best = self.last

    @property
    def value(self) -> float | None:
        return self.best if self.optimize == "best" else self.last


def finite(value: float | None) -> bool:
    """Whether a trial's value can be compared with others."""
    return value is not None and math.isfinite(value)
