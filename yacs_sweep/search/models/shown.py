"""Shows a model the trials as they are to count: results, failures, early ends, running trials, missed constraints."""

from __future__ import annotations

import copy
import statistics
from collections.abc import Sequence
from typing import Any

from optuna.trial import FrozenTrial, TrialState, create_trial

from ...base.values import finite_number
from ...spec.sweep import Metric, SweepSpec
from ..promotion.rungs import rungs_of
from ..space import Space
from ..stored import CONSTRAINTS, END, logged_values
from ..warm_start import Observation
from .results import directions_of, objectives_of
from .rung_values import comparable
from .view import View

AT_RUNG = 10  # trials that a rung needs, so that all are compared there
BAD_SHARE = 9  # bad trials to a good one that are shown: TPE takes the best tenth for good


def counted_value(
    *,
    stopped: bool,
    own: float | None,
    finished: Sequence[float],
    goal: str,
    impute: str | None = None,
    logged: Sequence[float] = (),
) -> float:
    """Returns the value that a trial without a result counts with, so that the search avoids its point. Pure.

    A failed trial counts as the worst finished one, or as `impute` says (W&B's meaning: `best` or `latest` of the values
    it logged). A stopped trial counts with its own last value, but no better than the median.

    Args:
        own: the stopped trial's last value.
        finished: values of the finished trials.
        logged: values that the trial has logged.
    """
    better, worse = (max, min) if goal == "maximize" else (min, max)
    worst = worse(finished)
    if stopped:
        return worse(own, statistics.median(finished)) if finite_number(own) else worst
    if impute in ("best", "latest") and logged:
        return better(logged) if impute == "best" else logged[-1]
    return worst


def missed_thresholds(values: Sequence[float], objectives: Sequence[Metric]) -> list[float]:
    """Computes by how much values miss the thresholds of their objectives; 0 or less: they are no worse. Pure."""
    return [
        (metric.threshold - value) * (1 if metric.goal == "maximize" else -1)
        for value, metric in zip(values, objectives, strict=True)
        if metric.threshold is not None
    ]


class Shown:
    """Fills the view of a sweep's models.

    A threshold of an objective is shown as a constraint: a trial that is worse is not on the front.
    """

    def __init__(self, spec: SweepSpec, space: Space, prior: Sequence[Observation]) -> None:
        """`prior`: results of other sweeps, whose points fit the space."""
        self.objectives = objectives_of(spec)
        self.thresholds = sum(metric.threshold is not None for metric in self.objectives)
        self.constraints = len(spec.constraints) + self.thresholds
        self.view = View(directions_of(spec))
        self.running = 0  # shown trials without a value
        rule = spec.early_terminate
        self.rungs = rungs_of(rule) if rule is not None and rule.mode == "promotion" else ()
        self._own_constraints = len(spec.constraints)
        self._prior = [_observed(-1 - place, item, space) for place, item in enumerate(prior)]

    def fill(self, trials: Sequence[FrozenTrial]) -> int:
        """Shows the trials; returns the number of finished ones, the prior's included."""
        if self.rungs:
            trials = self._at_rungs(trials)
        complete = [*self._prior, *(trial for trial in trials if trial.state == TrialState.COMPLETE)]
        running = [trial for trial in trials if trial.state == TrialState.RUNNING and trial.params]
        without = [trial for trial in trials if trial.state == TrialState.PRUNED or END in trial.user_attrs]
        shown: list[FrozenTrial] = []
        if complete:
            columns = [[float(trial.values[place]) for trial in complete] for place in range(len(self.objectives))]
            imputes = [metric.impute for metric in self.objectives]
            # With more bad trials some of the bad would be taken for good.
            shown = [self._counted(trial, columns, imputes) for trial in without[-BAD_SHARE * len(complete) :]]
            impute = self.objectives[0].impute_while_running
            if impute not in (None, "false") and len(self.objectives) == 1:
                imputed = [trial for trial in running if _logged(trial)]
                running = [trial for trial in running if not _logged(trial)]
                shown += [self._counted(trial, columns, [impute]) for trial in imputed]
        self.running = len(running)
        self.view.shown = [*map(self._constrained, [*complete, *shown]), *running]
        return len(complete)

    def _at_rungs(self, trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
        """Returns the trials, those that have reached a rung as finished with the value by which they are compared.

        Also those that were ended because they will not be promoted: their values at rungs say as much as a paused one's.
        """
        ends = {t.number: float(t.values[0]) for t in trials if t.state == TrialState.COMPLETE}
        states = (TrialState.RUNNING, TrialState.PRUNED, TrialState.COMPLETE)
        valued = [t for t in trials if t.params and t.state in states]
        values = comparable({t.number: logged_values(t) for t in valued}, ends, self.rungs, AT_RUNG)
        found = []
        for trial in trials:
            shown = trial
            if trial.number in values:
                shown = copy.copy(trial)
                shown.state, shown.values = TrialState.COMPLETE, [values[trial.number]]
            found.append(shown)
        return found

    def _counted(
        self, trial: FrozenTrial, columns: Sequence[Sequence[float]], imputes: Sequence[str | None]
    ) -> FrozenTrial:
        """Returns a copy of a trial without a result, finished with the values it counts with.

        Args:
            columns: the finished trials' values of each objective.
            imputes: what each objective of a failed trial counts with.
        """
        end: dict[str, Any] = trial.user_attrs.get(END, {})
        stopped = trial.state == TrialState.PRUNED
        own: list[Any] = end.get("values") or [end.get("value")]
        own = own if trial.values is None else list(trial.values)
        logged = end.get("logged") or [_logged(trial)]
        shown = copy.copy(trial)
        shown.state = TrialState.COMPLETE
        shown.values = [
            counted_value(
                stopped=stopped,
                own=own[place] if place < len(own) else None,
                finished=columns[place],
                goal=metric.goal,
                impute=imputes[place],
                logged=logged[place] if place < len(logged) else (),
            )
            for place, metric in enumerate(self.objectives)
        ]
        return shown

    def _constrained(self, trial: FrozenTrial) -> FrozenTrial:
        """Returns a trial that says by how much it misses each constraint; one of which that is not known misses by 1."""
        if not self.constraints:
            return trial
        known = list(trial.system_attrs.get(CONSTRAINTS, ()))
        known = known if len(known) == self._own_constraints else [1.0] * self._own_constraints
        shown = copy.copy(trial)
        missed = missed_thresholds(trial.values, self.objectives)
        shown.system_attrs = {**trial.system_attrs, CONSTRAINTS: [*known, *missed]}
        return shown


def _observed(number: int, item: Observation, space: Space) -> FrozenTrial:
    """Converts a result of another sweep to a finished trial."""
    params = space.to_optuna(item.params)
    distributions = {name: space.distributions[name] for name in params}
    trial = create_trial(
        values=list(item.values or [item.value]),
        params=params,
        distributions=distributions,
        system_attrs={CONSTRAINTS: list(item.excesses)} if item.excesses else {},
    )
    trial.number = trial._trial_id = number
    return trial


def _logged(trial: FrozenTrial) -> list[float]:
    """Returns the finite values of the metric that are in the storage, oldest first."""
    return [value for value in logged_values(trial) if finite_number(value)]
