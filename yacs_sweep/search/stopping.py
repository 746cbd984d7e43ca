"""Decides when the local controller stops a trial: hyperband, pruners, curves, patience, divergence."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

from optuna.pruners import BasePruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from ..base.values import finite_number
from ..base.wording import counted
from ..records.metrics import metric_value
from ..spec import hyperband
from ..spec.sweep import DEFAULT_CHANCE, EarlyTerminate, Metric, SweepSpec
from .promotion.curves import Curve, predict
from .repeats.curves import OtherPoints, as_point, as_points, mean_text, point_of
from .space import direction_of
from .stored import logged_values


class StoppingRule(Protocol):
    """Decides after each logged row whether a running trial must stop."""

    compares: bool  # whether it reads the metric's values from the storage

    def judge(self, trial: Trial, row: Mapping[str, Any]) -> str | None:
        """Returns why the trial must stop; None while it may continue. The row's value is in the storage already."""


def with_direction(study: Study, metric: Metric) -> Study:
    """Returns the study as pruners are to see it, which know one objective; the study itself where it has only that."""
    if len(study.directions) == 1:
        return study
    shown = copy.copy(study)
    shown._directions = [direction_of(metric.goal)]
    return shown


def make_rule(study: Study, spec: SweepSpec) -> StoppingRule | None:
    """Makes the rule that the sweep asks for; None for none."""
    rule, metric = spec.early_terminate, spec.compared
    if rule is None or metric is None or spec.pauses:
        return None
    if rule.type == "hyperband":
        return _Hyperband(study, rule, metric)
    if rule.type == "curve":
        return _Curve(study, rule, metric, [one.name for one in spec.objectives].index(metric.name))
    if rule.type == "patience":
        return _Patience(rule, metric)
    if rule.type == "divergence":
        return _Divergence(rule, metric)
    return _Pruner(study, rule, metric)


class _Hyperband:
    """W&B's hyperband: stops a trial that is worse than a share of the others at the end of a band."""

    compares = True

    def __init__(self, study: Study, rule: EarlyTerminate, metric: Metric) -> None:
        self.study, self.rule, self.metric = study, rule, metric
        self._ended: dict[int, list[float]] = {}  # values of trials that have ended, by number

    def judge(self, trial: Trial, row: Mapping[str, Any]) -> str | None:
        """Compares the trial with all others at the last band it has reached."""
        value = metric_value(row, self.metric.name)
        if not finite_number(value) or not self.rule.bands:
            return None
        frozen = self.study._storage.get_trial(trial._trial_id)
        own = logged_values(frozen)
        if len(own) < self.rule.bands[0]:
            return None
        if point_of(frozen) is None:
            return self._judge(own, self._others(trial.number))
        trials = self._all()
        means = logged_values(as_point(frozen, trials))
        return self._judge(means, self._other_points(frozen, trials), partial(mean_text, frozen, trials))

    def _all(self) -> list[FrozenTrial]:
        """Reads all trials."""
        return self.study.get_trials(deepcopy=False)

    def _other_points(self, trial: FrozenTrial, trials: Sequence[FrozenTrial]) -> list[list[float]]:
        """Returns the values of all points but the trial's."""
        others = [other for other in trials if point_of(other) != point_of(trial) and other.intermediate_values]
        return [logged_values(other) for other in as_points(others)]

    def _others(self, number: int) -> list[list[float]]:
        """Returns the values of all trials but the one with that number."""
        others = []
        for other in self._all():
            if other.number == number or not other.intermediate_values:
                continue
            if not other.state.is_finished():
                others.append(logged_values(other))
                continue
            if other.number not in self._ended:
                self._ended[other.number] = logged_values(other)
            others.append(self._ended[other.number])
        return others

    def _judge(
        self, own: Sequence[float], others: Sequence[Sequence[float]], of: Callable[[int], str] = lambda step: ""
    ) -> str | None:
        """Returns why a trial, or with repeats its point, is to end; None while it may continue.

        Args:
            of: says of what an iteration's value is the mean.
        """
        decision = hyperband.decide(
            own,
            others,
            bands=self.rule.bands,
            eta=self.rule.eta or hyperband.DEFAULT_ETA,
            strict=bool(self.rule.strict),
            goal=self.metric.goal,
        )
        if not decision.stop:
            return None
        value = f"{decision.value:g}{of(decision.band or 0)}"
        return (
            f"hyperband: {self.metric.name} {value} at iteration {decision.band} is worse than {decision.threshold:g}"
        )


class _Pruner:
    """Asks Optuna's pruner (median, asha); a step is one logged value of the metric, counted from 1."""

    compares = True

    def __init__(self, study: Study, rule: EarlyTerminate, metric: Metric) -> None:
        self.study, self.type, self.metric = study, rule.type, metric
        self.first = rule.min_iter or 1  # logged values before a trial may be stopped
        pruner: BasePruner = NopPruner()
        if rule.type == "median":
            # Optuna never prunes while step <= n_warmup_steps.
            pruner = MedianPruner(n_startup_trials=rule.min_trials or 5, n_warmup_steps=self.first - 1)
        elif rule.type == "asha":
            eta = max(2, round(rule.eta or hyperband.DEFAULT_ETA))
            pruner = SuccessiveHalvingPruner(min_resource=self.first, reduction_factor=eta)
        study.pruner = pruner

    def judge(self, trial: Trial, row: Mapping[str, Any]) -> str | None:
        """Asks the pruner once enough values are logged."""
        value = metric_value(row, self.metric.name)
        if value is None:
            return None
        frozen = self.study._storage.get_trial(trial._trial_id)
        step = frozen.last_step
        if step is None or step < self.first:
            return None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # numpy's, of a trial that has logged nothing but nan
            if not self._prunes(trial, frozen):
                return None
        shown = self._judged(frozen, step, value)
        says = {
            "median": "is worse than the median of earlier trials",
            "asha": "is not among the best of its rung",
        }
        return f"{self.type}: {self.metric.name} {shown} at iteration {step} {says[self.type]}"

    def _judged(self, trial: FrozenTrial, step: int, value: float) -> str:
        """Formats the value that the pruner sees: with repeats the mean of the point, and of how many seeds."""
        if point_of(trial) is None:
            return f"{value:g}"
        trials = self.study.get_trials(deepcopy=False)
        return f"{as_point(trial, trials).intermediate_values[step]:g}{mean_text(trial, trials, step)}"

    def _prunes(self, trial: Trial, frozen: FrozenTrial) -> bool:
        """Asks the pruner about a trial; with repeats about its point, by the means of the seeds that got there."""
        study, pruner = with_direction(self.study, self.metric), self.study.pruner
        if point_of(frozen) is None:
            return pruner.prune(study, frozen)
        trials = self.study.get_trials(deepcopy=False)
        return pruner.prune(OtherPoints.beside(study, frozen, trials), as_point(frozen, trials))


class _Curve:
    """Stops a trial that will hardly become the best, by what the learning curves of finished trials lead to expect."""

    compares = True

    def __init__(self, study: Study, rule: EarlyTerminate, metric: Metric, place: int) -> None:
        """`place`: of the metric among the objectives."""
        self.study, self.rule, self.metric, self.place = study, rule, metric, place
        self._ended: dict[int, Curve] = {}  # of finished trials, by number

    def judge(self, trial: Trial, row: Mapping[str, Any]) -> str | None:
        """Predicts the trial's result; with repeats its point's mean."""
        if not finite_number(metric_value(row, self.metric.name)):
            return None
        frozen = self.study._storage.get_trial(trial._trial_id)
        if len(frozen.intermediate_values) < (self.rule.min_iter or 1):
            return None
        trials, seeds = self.study.get_trials(deepcopy=False), ""
        if point_of(frozen) is not None:
            seeds = mean_text(frozen, trials, frozen.last_step or 0)
            frozen = as_point(frozen, trials)
            trials = as_points([other for other in trials if point_of(other) != point_of(frozen)])
        own = logged_values(frozen)
        finished = [self._curve(other) for other in trials if other.state == TrialState.COMPLETE]
        found = predict(own, finished, goal=self.metric.goal, least=self.rule.min_trials or 5)
        if found is None or found.chance >= (self.rule.chance or DEFAULT_CHANCE):
            return None
        chance = "below 0.1%" if found.chance < 0.001 else f"{found.chance:.1%}"
        return (
            f"curve: {self.metric.name} {own[-1]:g}{seeds} at iteration {len(own)} will hardly become the best: "
            f"{found.value:.4g} ± {found.error:.2g} is expected, {found.best:.4g} is the best (chance {chance})"
        )

    def _curve(self, trial: FrozenTrial) -> Curve:
        """Returns the learning curve of a finished trial, or of a point, whose mean may still change."""
        found = self._ended.get(trial.number)
        if found is None:
            found = Curve(logged_values(trial), trial.values[self.place] if trial.values else math.nan)
            if point_of(trial) is None:
                self._ended[trial.number] = found
        return found


class _Patience:
    """Stops a trial whose metric no longer improves. Optuna's PatientPruner stops one that gets worse, not one at rest."""

    compares = False

    def __init__(self, rule: EarlyTerminate, metric: Metric) -> None:
        self.rule, self.metric = rule, metric
        self.trial = -1
        self.count, self.best, self.best_at = 0, math.inf, 0  # of the trial that runs, smaller is better

    def judge(self, trial: Trial, row: Mapping[str, Any]) -> str | None:
        """Counts the values since the last improvement."""
        value = metric_value(row, self.metric.name)
        if value is None:
            return None
        if trial.number != self.trial:
            self.trial, self.count, self.best, self.best_at = trial.number, 0, math.inf, 0
        self.count += 1
        signed = -value if self.metric.goal == "maximize" else value
        if finite_number(value) and signed < self.best - abs(self.rule.min_delta or 0.0):
            self.best, self.best_at = signed, self.count
        waited = self.count - self.best_at
        if self.count < (self.rule.min_iter or 1) or waited < (self.rule.patience or 1):
            return None
        return f"patience: {self.metric.name} {value:g}, no better in {counted(waited, 'value')}"


class _Divergence:
    """Stops a trial when a watched metric is no longer finite, or many times its first value."""

    compares = False

    def __init__(self, rule: EarlyTerminate, metric: Metric) -> None:
        self.rule, self.metric = rule, metric
        self.first: dict[str, float] = {}  # of the trial that runs: an agent runs one at a time
        self.trial = -1

    def judge(self, trial: Trial, row: Mapping[str, Any]) -> str | None:
        """Compares each watched metric of the row with its first value."""
        if trial.number != self.trial:
            self.trial, self.first = trial.number, {}
        for name, value in row.items():
            if not self._watched(name) or not isinstance(value, int | float):
                continue
            if not finite_number(value):
                return f"divergence: {name} is {value}"
            first = self.first.setdefault(name, abs(float(value)))
            if self.rule.factor and first > 0 and self._exploded(name, float(value), first):
                times = f"{self.rule.factor:g} times its first value {first:g}"
                return f"divergence: {name} {value:g} is more than {times}"
        return None

    def _watched(self, name: str) -> bool:
        """Returns whether the rule watches the metric: the one it names, else the sweep's and all losses."""
        if self.rule.metric:
            return name == self.rule.metric
        return name == self.metric.name or "loss" in name.lower()

    def _exploded(self, name: str, value: float, first: float) -> bool:
        """Returns whether a value has exploded; a metric that is maximised may grow."""
        assert self.rule.factor is not None
        wanted = name == self.metric.name and self.metric.goal == "maximize"
        return abs(value) > self.rule.factor * first and not (wanted and value > 0)
