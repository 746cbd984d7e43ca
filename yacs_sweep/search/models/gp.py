"""Decides whether Optuna's Gaussian process (GP) is affordable, imports what it needs, and asks it."""

from __future__ import annotations

import importlib
import logging
import threading
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.samplers import GPSampler
from optuna.study import StudyDirection
from optuna.trial import create_trial

from .view import View, blank, constraints_option

GP_DIMENSIONS = 20  # parameters beyond which the GP is not used
BUDGET = 1.0  # seconds a suggestion may take,
BUDGET_SHARE = 0.05  # or this share of the median trial, whichever is larger
BUDGET_MAX = 16.0  # seconds: agents ask in turn, and one that waits for minutes would be taken for hung
BUDGET_STEP = 4.0  # budgets are rounded down to a power of it, so that trials of slightly other length change nothing
GP_OBJECTIVES = 2  # beyond, TPE found more in the first 30 trials, at a hundredth of the cost
FRONT_COST = 1.5  # times, where the improvement of a front is computed
SEVERAL_SINCE = (4, 5)  # the version of Optuna from which on the GP knows several objectives, with constraints


def budget(median_trial: float) -> float:
    """Returns the seconds a suggestion may take: 1, or 5 % of the median trial rounded down to a power of four, at most 16."""
    allowed, result = min(BUDGET_MAX, BUDGET_SHARE * median_trial), BUDGET
    while result * BUDGET_STEP <= allowed:
        result *= BUDGET_STEP
    return result


def gp_seconds(observations: int, dimensions: int, objectives: int = 1, constraints: int = 0) -> float:
    """Estimates the seconds one suggestion of the GP takes.

    Twice what benchmarks/search_speed.py measures with 7 parameters on one of two shared cores, so that the same sweep
    makes the same choice on a slower machine or a busy one. Each objective and each constraint has a model of its own; with
    several objectives the improvement of the front is computed, too.
    """
    one = 0.3 + dimensions / 7 * (0.004 * observations + 1.5e-5 * observations**2)
    return one * (objectives + constraints) * (1 if objectives == 1 else FRONT_COST)


@dataclass(frozen=True)
class Measured:
    """Times one suggestion of the GP on this machine."""

    observations: int
    seconds: float


def use_gp(
    *,
    observations: int,
    dimensions: int,
    plain: bool,
    median_trial: float,
    measured: Sequence[Measured] = (),
    objectives: int = 1,
    constraints: int = 0,
) -> bool:
    """Returns whether the GP is asked rather than TPE. Pure.

    Args:
        plain: no conditional parameters and no `where`.
        median_trial: seconds.
        measured: the GP's last suggestions; when two took longer than the budget, the machine is slower than expected.
        objectives: with more than `GP_OBJECTIVES` the GP is not used.
        constraints: on what trials measure.
    """
    if not plain or dimensions > GP_DIMENSIONS or dimensions == 0 or objectives > GP_OBJECTIVES:
        return False
    allowed = budget(median_trial)
    if len(measured) > 1 and min(item.seconds for item in measured) > allowed:
        return False
    return gp_seconds(observations, dimensions, objectives, constraints) <= allowed


def gp_lacks(objectives: int, constraints: int, version: str = optuna.__version__) -> str | None:
    """Names what Optuna's GP does not know in this version; None where it knows everything that is needed."""
    if tuple(int(part) for part in version.split(".")[:2]) >= SEVERAL_SINCE or (objectives == 1 and not constraints):
        return None
    return "several objectives" if objectives > 1 else "constraints"


def _warm_up() -> None:
    """Asks the GP once in vain: the first suggestion in a process imports and allocates for about a second."""
    view = View([StudyDirection.MINIMIZE])
    space: dict[str, BaseDistribution] = {"x": FloatDistribution(0.0, 1.0)}
    view.shown = [create_trial(value=x * x, params={"x": x}, distributions=space) for x in (0.1, 0.5, 0.7)]
    suggest(0, view, 3, space)


def suggest(
    seed: int, view: View, number: int, space: Mapping[str, BaseDistribution], *, constrained: bool = False
) -> dict[str, Any]:
    """Asks the GP for the point of a trial. `constrained`: whether the view's trials say by how much they miss constraints."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # constraints are an experiment of Optuna 4's, and numpy's warnings say nothing
        sampler = GPSampler(seed=seed, n_startup_trials=0, **constraints_option(constrained))
        return sampler.sample_relative(view, blank(number), dict(space))


class TorchImport:
    """Imports torch and scipy, which Optuna's GP needs, on a thread of its own while a trial runs."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self.missing: str | None = None  # why an import failed

    def start(self) -> None:
        """Starts the import, once."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._import, name="torch", daemon=True)
            self._thread.start()

    def _import(self) -> None:
        # Without greenlet, which is a matter of speed only, Optuna warns of it in the middle of the trials' lines.
        logging.getLogger("optuna._gp.batched_lbfgsb").setLevel(logging.ERROR)
        try:
            for module in ("torch", "scipy.optimize", "scipy.stats", "optuna._gp.gp", "optuna._gp.optim_mixed"):
                importlib.import_module(module)
            _warm_up()
        except Exception as error:
            self.missing = f"{type(error).__name__}: {error}"

    def ready(self, wait: float) -> bool:
        """Waits for the import, at most `wait` seconds; returns whether the GP can be asked."""
        self.start()
        assert self._thread is not None
        self._thread.join(wait)
        return not self._thread.is_alive() and self.missing is None
