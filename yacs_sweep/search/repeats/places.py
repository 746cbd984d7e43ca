"""Finds the place of a seed among those of its point, and describes the race. Without Optuna."""

from __future__ import annotations

from typing import Any

from ...spec.sweep import MOST_REPEATS, Repeats, SweepSpec
from ..racing import Race


def make_race(spec: SweepSpec) -> Race | None:
    """Describes how the points of a sweep are repeated; None without repeats."""
    repeats = spec.repeats
    if repeats is None:
        return None
    goal = spec.metric.goal if spec.metric else "minimize"
    target = spec.metric.target if spec.metric and not spec.more_metrics else None
    paired = repeats.seeds == "common" or bool(repeats.values)
    return Race(repeats.n, goal, drop=repeats.race, paired=paired, target=target)


def place_of(repeats: Repeats, point: int, seed: Any) -> int:
    """Returns the place of a seed among those of its point; one that is none of them has a place behind them."""
    for place in range(repeats.n):
        if repeats.seed_at(point, place) == seed:
            return place
    return MOST_REPEATS
