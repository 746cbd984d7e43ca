"""Shows stopping rules the points of a sweep with repeats: each iteration has the mean of the seeds that got there."""

from __future__ import annotations

import copy
import math
from collections.abc import Container, Sequence
from typing import Any, cast

from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from ...base.wording import counted
from ..stored import PLACE, POINT
from .points import mean_curve


def point_of(trial: FrozenTrial) -> int | None:
    """Returns the number of the point that a trial belongs to; None without repeats."""
    found: int | None = trial.user_attrs.get(POINT)
    return found


def as_points(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Makes one trial of each point, with the curve of its means; trials without a point stay as they are.

    The latest of them stands for the point, finished where one has finished. Of a seed that was tried again, the
    attempt that got further counts.
    """
    points: dict[int | None, list[FrozenTrial]] = {}
    for trial in trials:
        points.setdefault(point_of(trial), []).append(trial)
    alone = points.pop(None, [])
    return [*alone, *(_as_point(_by_seed(seeds)) for seeds in points.values())]


def _by_seed(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Keeps one trial of a point for each seed, the one that got furthest."""
    found: dict[Any, FrozenTrial] = {}
    for trial in trials:
        before = found.get(trial.user_attrs[PLACE])
        if before is None or len(trial.intermediate_values) >= len(before.intermediate_values):
            found[trial.user_attrs[PLACE]] = trial
    return list(found.values())


def _as_point(seeds: Sequence[FrozenTrial]) -> FrozenTrial:
    """Makes one trial of the seeds of a point."""
    finished = [trial for trial in seeds if trial.state == TrialState.COMPLETE]
    shown = copy.copy(max(finished or seeds, key=lambda trial: trial.number))
    shown.intermediate_values = mean_curve([trial.intermediate_values for trial in seeds])
    shown.system_attrs = {
        key: value
        for trial in sorted(seeds, key=lambda trial: trial.number)
        for key, value in trial.system_attrs.items()
    }
    return shown


def _others_of_point(trial: FrozenTrial, trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Selects the trials of the other seeds of a trial's point, one for each."""
    point, place = point_of(trial), trial.user_attrs[PLACE]
    return _by_seed([other for other in trials if point_of(other) == point and other.user_attrs[PLACE] != place])


def as_point(trial: FrozenTrial, trials: Sequence[FrozenTrial]) -> FrozenTrial:
    """Returns a running trial with the means of its point at the iterations it has reached.

    Args:
        trials: all trials of the study.
    """
    means = mean_curve([seed.intermediate_values for seed in (trial, *_others_of_point(trial, trials))])
    shown = copy.copy(trial)
    shown.intermediate_values = {
        step: means[step] if math.isfinite(value) else value for step, value in trial.intermediate_values.items()
    }
    return shown


def mean_text(trial: FrozenTrial, trials: Sequence[FrozenTrial], step: int) -> str:
    """Says of how many seeds a value of `as_point` is the mean: ` (mean of 2 seeds)`; empty where it is one seed's own.

    Args:
        trials: all trials of the study.
        step: the iteration.
    """
    seeds = [trial, *_others_of_point(trial, trials)]
    n = sum(math.isfinite(seed.intermediate_values.get(step, math.nan)) for seed in seeds)
    return f" (mean of {counted(n, 'seed')})" if n > 1 else ""


class OtherPoints:
    """Shows a pruner of Optuna's the points of a study beside the one that is judged. Otherwise as the study."""

    def __init__(self, study: Study, trials: Sequence[FrozenTrial]) -> None:
        self._study, self._trials = study, trials

    @classmethod
    def beside(cls, study: Study, trial: FrozenTrial, trials: Sequence[FrozenTrial]) -> Study:
        """Makes the study that a trial is compared in. `trials`: all of the study."""
        return cast(Study, cls(study, as_points([other for other in trials if point_of(other) != point_of(trial)])))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._study, name)

    def get_trials(self, deepcopy: bool = True, states: Container[TrialState] | None = None) -> list[FrozenTrial]:
        """Returns the other points."""
        found = [trial for trial in self._trials if states is None or trial.state in states]
        return copy.deepcopy(found) if deepcopy else found
