"""Early termination of the embedded controller: W&B's hyperband, Optuna's pruners, and divergence."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Protocol

from optuna.pruners import BasePruner, MedianPruner, NopPruner, PatientPruner, SuccessiveHalvingPruner
from optuna.study import Study
from optuna.trial import Trial

from .. import hyperband
from ..spec_model import EarlyTerminate, Metric, SweepSpec


class StoppingRule(Protocol):
    """Judges a running trial each time it has logged a row."""

    def judge(self, trial: Trial, row: Mapping[str, Any]) -> str | None:
        """Why the trial must end, in words; None while it may go on. The metric's value is in the storage already."""


def make_rule(study: Study, spec: SweepSpec) -> StoppingRule | None:
    """The rule the sweep asks for."""
    rule, metric = spec.early_terminate, spec.metric
    if rule is None or metric is None:
        return None
    if rule.type == "hyperband":
        return _Hyperband(study, rule, metric)
    if rule.type == "divergence":
        return _Divergence(rule, metric)
    return _Pruner(study, rule, metric)


def _value(row: Mapping[str, Any], metric: Metric) -> float | None:
    value = row.get(metric.name)
    return float(value) if isinstance(value, int | float) else None


class _Hyperband:
    def __init__(self, study: Study, rule: EarlyTerminate, metric: Metric) -> None:
        self.study, self.rule, self.metric = study, rule, metric

    def judge(self, trial: Trial, row: Mapping[str, Any]) -> str | None:
        if _value(row, self.metric) is None:
            return None
        own: list[float] = []
        others = []
        for other in self.study.get_trials(deepcopy=False):
            history = [value for _, value in sorted(other.intermediate_values.items())]
            if other.number == trial.number:
                own = history
            elif history:
                others.append(history)
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
        return (
            f"hyperband: {self.metric.name} {decision.value:g} at iteration {decision.band} "
            f"is worse than {decision.threshold:g}"
        )


class _Pruner:
    """Optuna's pruner; a step is one logged value of the metric, counted from 1."""

    def __init__(self, study: Study, rule: EarlyTerminate, metric: Metric) -> None:
        self.study, self.type, self.metric = study, rule.type, metric
        pruner: BasePruner = NopPruner()
        if rule.type == "median":
            pruner = MedianPruner(n_startup_trials=rule.min_trials or 5, n_warmup_steps=rule.min_iter or 1)
        elif rule.type == "asha":
            pruner = SuccessiveHalvingPruner(min_resource=rule.min_iter or 1, reduction_factor=int(rule.eta or 3))
        elif rule.type == "patience":
            pruner = PatientPruner(None, patience=rule.patience or 1, min_delta=rule.min_delta or 0.0)
        study.pruner = pruner

    def judge(self, trial: Trial, row: Mapping[str, Any]) -> str | None:
        value = _value(row, self.metric)
        if value is None or not trial.should_prune():
            return None
        return f"{self.type}: {self.metric.name} {value:g}"


class _Divergence:
    def __init__(self, rule: EarlyTerminate, metric: Metric) -> None:
        self.rule, self.metric = rule, metric
        self.first: dict[tuple[int, str], float] = {}

    def judge(self, trial: Trial, row: Mapping[str, Any]) -> str | None:
        for name, value in row.items():
            watched = name == self.rule.metric if self.rule.metric else name == self.metric.name or "loss" in name.lower()
            if not watched or not isinstance(value, int | float):
                continue
            if not math.isfinite(value):
                return f"divergence: {name} is {value}"
            first = self.first.setdefault((trial.number, name), abs(float(value)))
            if self.rule.factor and first > 0 and abs(value) > self.rule.factor * first:
                return f"divergence: {name} {value:g} is more than {self.rule.factor:g} times its first value {first:g}"
        return None
