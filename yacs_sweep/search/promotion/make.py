"""Makes the scheduler that a sweep file asks for."""

from __future__ import annotations

from ...spec.methods.population import MEMBERS
from ...spec.sweep import EarlyTerminate, SweepSpec
from .asha import Asha
from .explore import Explorer
from .halving import Halving
from .pbt import Pbt
from .scheduler import Scheduler


def scheduler_of(spec: SweepSpec, count: int | None, seed: int) -> Scheduler:
    """Makes the scheduler of a sweep that pauses trials.

    Args:
        count: trials of the search, copies left out; None: without limit.
        seed: of the search.
    """
    assert spec.compared is not None
    if spec.pbt is None:
        assert spec.early_terminate is not None
        return make_scheduler(spec.early_terminate, spec.compared.goal, count)
    population = spec.pbt
    return Pbt(
        count or population.population or MEMBERS,
        population.interval,
        population.max_iter,
        spec.compared.goal,
        population.quantile,
        seed,
        Explorer(spec, population),
    )


def make_scheduler(rule: EarlyTerminate, goal: str, count: int | None) -> Scheduler:
    """Makes the scheduler of `early_terminate`: hyperband compares whole rungs, asha whatever is there.

    Args:
        goal: of the compared metric, `minimize` or `maximize`.
        count: trials of the search; None: without limit.
    """
    return Halving.of(rule, goal, count) if rule.type == "hyperband" else Asha.of(rule, goal)
