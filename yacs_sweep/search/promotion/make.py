"""Makes the scheduler that a sweep file asks for."""

from __future__ import annotations

from ...spec.sweep import EarlyTerminate
from .asha import Asha
from .halving import Halving
from .scheduler import Scheduler


def make_scheduler(rule: EarlyTerminate, goal: str, count: int | None) -> Scheduler:
    """Makes the scheduler of `early_terminate`: hyperband compares whole rungs, asha whatever is there.

    Args:
        goal: of the compared metric, `minimize` or `maximize`.
        count: trials of the search; None: without limit.
    """
    return Halving.of(rule, goal, count) if rule.type == "hyperband" else Asha.of(rule, goal)
