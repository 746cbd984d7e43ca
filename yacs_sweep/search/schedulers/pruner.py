"""Ends trials early as the pruner of the user's Optuna study says."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from optuna.pruners import NopPruner
from optuna.study import Study
from optuna.trial import Trial

from ...base.errors import SweepError
from ...base.wording import clipped
from ...records.metrics import metric_value
from ...spec.sweep import Metric, SweepSpec
from ..stopping import StoppingRule
from .engine import Engine
from .optuna_study import OptunaEngine


def scheduler_rule(study: Study, spec: SweepSpec, engine: Engine) -> StoppingRule | None:
    """Makes the rule of the sweep's scheduler; None without one, and of several objectives, which no pruner compares."""
    if not isinstance(engine, OptunaEngine) or isinstance(engine.pruner, NopPruner):
        return None
    if spec.metric is None or spec.more_metrics:
        return None
    study.pruner = engine.pruner
    return PrunerRule(type(engine.pruner).__name__, spec.metric)


class PrunerRule:
    """`StoppingRule` by the study's pruner; a step is one logged value of the metric, counted from 1."""

    compares = True

    def __init__(self, name: str, metric: Metric) -> None:
        self.name, self.metric = name, metric

    def judge(self, trial: Trial, row: Mapping[str, Any]) -> str | None:
        """Asks the pruner whenever the metric is logged. Raises SweepError where a pruner of the user's own fails."""
        value = metric_value(row, self.metric.name)
        if value is None:
            return None
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)  # numpy's, of a trial that has logged nothing but nan
                # The storage has the logged values; Optuna's `Trial` knows only those of its own `report`.
                frozen = trial.storage.get_trial(trial._trial_id)
                if not trial.study.pruner.prune(trial.study, frozen):
                    return None
        except (ArithmeticError, AttributeError, LookupError, NameError, TypeError, ValueError) as error:
            raise SweepError(clipped(f"scheduler: {self.name}: {type(error).__name__}: {error}")) from None
        return f"{self.name}: {self.metric.name} {value:g}, the scheduler's pruner ends the trial"
