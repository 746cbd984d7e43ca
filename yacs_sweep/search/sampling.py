"""Chooses the next point: grid, random, or bayes, which is Optuna's GP while that is affordable and TPE otherwise.

A suggestion is a function of the seed, the trial's number and the trials before it. So one worker draws the same points for
the same seed, and a resumed sweep continues as if it had never stopped.
"""

from __future__ import annotations

import copy
import importlib
import logging
import statistics
import threading
import time
from collections.abc import Container, Hashable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.samplers import BaseSampler, GPSampler, TPESampler
from optuna.storages import InMemoryStorage
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState, create_trial

from ..base.values import finite_number
from ..spec.parameter import equality_key
from ..spec.sweep import Metric, SweepSpec
from .space import Space, direction_of
from .stored import END, GRID_INDEX, logged_values
from .warm_start import Observation

STARTUP = 10  # observations before a model is asked; until then bayes draws what random search would
WARM_UP = 5  # the trial during which torch starts to be imported: half a dozen trials before the GP is first asked
MAX_DRAWS = 1000  # points for one trial, until its conditions are taken to be impossible
MODEL_DRAWS = 20  # for one trial, while a model suggests points that are excluded or were tried already
GP_DIMENSIONS = 20  # parameters beyond which the GP is not used
BUDGET = 1.0  # seconds a suggestion may take,
BUDGET_SHARE = 0.05  # or this share of the median trial, whichever is larger
BUDGET_MAX = 16.0  # seconds: agents ask in turn, and one that waits for minutes would be taken for hung
BUDGET_STEP = 4.0  # budgets are rounded down to a power of it, so that trials of slightly other length change nothing
RECENT = 25  # finished trials whose median time counts


def budget(median_trial: float) -> float:
    """Returns the seconds a suggestion may take: 1, or 5 % of the median trial rounded down to a power of four, at most 16."""
    allowed, result = min(BUDGET_MAX, BUDGET_SHARE * median_trial), BUDGET
    while result * BUDGET_STEP <= allowed:
        result *= BUDGET_STEP
    return result


def gp_seconds(observations: int, dimensions: int) -> float:
    """Estimates the seconds one suggestion of the GP takes.

    Twice what benchmarks/search_speed.py measures with 7 parameters on one of two shared cores, so that the same sweep
    makes the same choice on a slower machine or a busy one.
    """
    return 0.3 + dimensions / 7 * (0.004 * observations + 1.5e-5 * observations**2)


@dataclass(frozen=True)
class Measured:
    """Times one suggestion of the GP on this machine."""

    observations: int
    seconds: float


def use_gp(
    *, observations: int, dimensions: int, plain: bool, median_trial: float, measured: Sequence[Measured] = ()
) -> bool:
    """Returns whether the GP is asked rather than TPE. Pure.

    Args:
        plain: no conditional parameters and no `where`.
        median_trial: seconds.
        measured: the GP's last suggestions; when two took longer than the budget, the machine is slower than expected.
    """
    if not plain or dimensions > GP_DIMENSIONS or dimensions == 0:
        return False
    allowed = budget(median_trial)
    if len(measured) > 1 and min(item.seconds for item in measured) > allowed:
        return False
    return gp_seconds(observations, dimensions) <= allowed


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


class _SilentStorage(InMemoryStorage):
    """Ignores what samplers write to a trial, which does not exist yet."""

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Ignores the attribute."""


class _View(Study):
    """Shows samplers the trials: those without a result with the value they count with."""

    def __init__(self, goal: str) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        storage = _SilentStorage()
        storage.create_new_study([direction_of(goal)], "view")
        super().__init__("view", storage)
        self.shown: list[FrozenTrial] = []

    def get_trials(self, deepcopy: bool = True, states: Container[TrialState] | None = None) -> list[FrozenTrial]:
        """Returns the shown trials."""
        return self._get_trials(deepcopy, states)

    def _get_trials(
        self, deepcopy: bool = True, states: Container[TrialState] | None = None, use_cache: bool = False
    ) -> list[FrozenTrial]:
        found = [trial for trial in self.shown if states is None or trial.state in states]
        return copy.deepcopy(found) if deepcopy else found


def _warm_up_gp() -> None:
    """Asks the GP once in vain: the first suggestion in a process imports and allocates for about a second."""
    view = _View("minimize")
    space: dict[str, BaseDistribution] = {"x": FloatDistribution(0.0, 1.0)}
    view.shown = [create_trial(value=x * x, params={"x": x}, distributions=space) for x in (0.1, 0.5, 0.7)]
    _gp(0).sample_relative(view, _blank(3), space)


def _gp(seed: int) -> GPSampler:
    """Makes Optuna's GP sampler, which suggests from its first call."""
    return GPSampler(seed=seed, n_startup_trials=0)


def model_seed(seed: int, number: int) -> int:
    """Returns the seed of a model's random numbers for a trial."""
    return Random(f"{seed}:{number}:model").getrandbits(32)


def _blank(number: int) -> FrozenTrial:
    """Makes the trial that a point is drawn for."""
    return FrozenTrial(number, TrialState.RUNNING, None, None, None, {}, {}, {}, {}, {}, number)


class _TorchImport:
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
            _warm_up_gp()
        except Exception as error:
            self.missing = f"{type(error).__name__}: {error}"

    def ready(self, wait: float) -> bool:
        """Waits for the import, at most `wait` seconds; returns whether the GP can be asked."""
        self.start()
        assert self._thread is not None
        self._thread.join(wait)
        return not self._thread.is_alive() and self.missing is None


class Chooser:
    """Chooses the points of one sweep. Each agent has a chooser; agents of a sweep ask one at a time."""

    def __init__(self, spec: SweepSpec, space: Space, seed: int, prior: Sequence[Observation] = ()) -> None:
        """`prior`: results of other sweeps, whose points fit the space."""
        self.spec, self.space, self.seed = spec, space, seed
        self.metric = spec.metric or Metric("")
        self.notes: list[str] = []  # lines for the user
        self.measured: list[Measured] = []  # the GP's last two suggestions
        self.used = ""  # the method of the last point: grid, random, GP or TPE
        self._torch = _TorchImport()
        self._view = _View(self.metric.goal)
        self._prior = [_observed(-1 - place, item, space) for place, item in enumerate(prior)]
        self._levels = space.levels()
        self._plain = not spec.where and len(self._levels) <= 1
        self._tried: set[Hashable] = set()  # points of all trials that were read
        self._read, self._pointless = 0, list[int]()  # how many trials were read; numbers of those without a point yet
        self._noted_missing = self._noted_repeated = False
        self._grid_read, self._grid_next = 0, 0  # how many trials were read, the next place in the grid

    def close(self) -> None:
        """Waits for an unfinished import: Python cannot end in the middle of one."""
        if self._torch._thread is not None:
            self._torch.ready(30.0)

    def next_point(self, number: int, trials: Sequence[FrozenTrial]) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """Chooses a trial's point; None when the grid is exhausted.

        Args:
            number: of the trial.
            trials: all trials before, by number.

        Returns:
            Optuna's values, and user attributes to keep with them.

        Raises:
            SweepError: no draw satisfies the conditions of the sweep.
        """
        if self.spec.method == "grid":
            self.used = "grid"
            # Trials carry their place in the grid: where a number was given out twice, no point is left out.
            for trial in trials[self._grid_read :]:
                self._grid_next = max(self._grid_next, 1 + trial.user_attrs.get(GRID_INDEX, -1))
            self._grid_read = len(trials)
            index = self._grid_next
            if index >= (self.spec.grid_size or 0):
                return None
            return self.space.to_optuna(self.spec.grid_point(index)), {GRID_INDEX: index}
        if self.spec.method == "bayes":
            return self._suggest(number, trials), {}
        return self.random(number, self._tried_points(trials)), {}

    def random(self, number: int, tried: Container[Hashable] = ()) -> dict[str, Any]:
        """Draws a trial's point at random; repeats one in `tried` only where no other is found."""
        self.used = "random"
        units, values = self.spec.draw(self.seed, number, tried)
        if not self._noted_repeated and equality_key(values) in tried:
            self._noted_repeated = True
            self.notes.append("every point of the search has been tried: points repeat from now on")
        return {name: value for name, value in self.space.at(units).items() if name in values}

    # -- bayes ------------------------------------------------------------------------------------------------------

    def _suggest(self, number: int, trials: Sequence[FrozenTrial]) -> dict[str, Any]:
        """Suggests a point by a model, or at random while too few trials have results."""
        if number >= WARM_UP and self._plain:
            self._torch.start()
        finished = self._fill_view(trials)
        tried = self._tried_points(trials)
        if finished < 1 or len(self._view.shown) - self._running < STARTUP:
            return self.random(number, tried)
        seed = model_seed(self.seed, number)
        blank = _blank(number)
        modelled = self._ask_gp(seed, blank, trials) if number >= STARTUP else None
        if modelled is not None and self._new(modelled, tried):
            self.used = "GP"
            return modelled
        self.used = "TPE"
        sampler = TPESampler(seed=seed, n_startup_trials=0)
        for _ in range(MODEL_DRAWS):
            point = self._by_levels(sampler, blank)
            if self._new(point, tried):
                return point
        return self.random(number, tried)

    def _fill_view(self, trials: Sequence[FrozenTrial]) -> int:
        """Fills the view that samplers see; returns the number of finished trials, the prior's included."""
        complete = [*self._prior, *(trial for trial in trials if trial.state == TrialState.COMPLETE)]
        running = [trial for trial in trials if trial.state == TrialState.RUNNING and trial.params]
        without = [trial for trial in trials if trial.state == TrialState.PRUNED or END in trial.user_attrs]
        shown: list[FrozenTrial] = []
        if complete:
            finished = [float(trial.value or 0.0) for trial in complete]
            # TPE takes the best tenth for good: with more than nine bad ones to a good one, some of the bad would be.
            shown = [self._counted(trial, finished, self.metric.impute) for trial in without[-9 * len(complete) :]]
            if (impute := self.metric.impute_while_running) not in (None, "false"):
                imputed = [trial for trial in running if _logged(trial)]
                running = [trial for trial in running if not _logged(trial)]
                shown += [self._counted(trial, finished, impute) for trial in imputed]
        self._running = len(running)
        self._view.shown = [*complete, *shown, *running]
        return len(complete)

    def _counted(self, trial: FrozenTrial, finished: Sequence[float], impute: str | None) -> FrozenTrial:
        """Returns a copy of a trial without a result, finished with the value it counts with."""
        end: dict[str, Any] = trial.user_attrs.get(END, {})
        shown = copy.copy(trial)
        shown.state = TrialState.COMPLETE
        shown.values = [
            counted_value(
                stopped=trial.state == TrialState.PRUNED,
                own=end.get("value") if trial.value is None else trial.value,
                finished=finished,
                goal=self.metric.goal,
                impute=impute,
                logged=_logged(trial),
            )
        ]
        return shown

    def _ask_gp(self, seed: int, blank: FrozenTrial, trials: Sequence[FrozenTrial]) -> dict[str, Any] | None:
        """Suggests a point by the GP; None where the GP is too slow or cannot be used."""
        observations = len(self._view.shown)
        dimensions = self.space.distributions
        median = _median_seconds(trials)
        if not use_gp(
            observations=observations,
            dimensions=len(dimensions),
            plain=self._plain,
            median_trial=median,
            measured=self.measured,
        ):
            return None
        allowed = budget(median)
        if not self._torch.ready(allowed):
            if self._torch.missing and not self._noted_missing:
                self._noted_missing = True
                self.notes.append(f"bayes search uses TPE: Optuna's GP cannot be used ({self._torch.missing})")
            return None
        started = time.perf_counter()
        point = _gp(seed).sample_relative(self._view, blank, dimensions)
        self.measured = [*self.measured[-1:], Measured(observations, time.perf_counter() - started)]
        return point

    def _by_levels(self, sampler: BaseSampler, blank: FrozenTrial) -> dict[str, Any]:
        """Suggests a point group by group: conditional parameters after the parameters they depend on."""
        point: dict[str, Any] = {}
        for level in self._levels:
            group: dict[str, BaseDistribution] = self.space.active_group(level, point)
            if group:
                point.update(sampler.sample_relative(self._view, blank, group))
        return point

    def _tried_points(self, trials: Sequence[FrozenTrial]) -> set[Hashable]:
        """Returns the points of all trials; only new trials, and those that had no point yet, are read."""
        unread = [*self._pointless, *range(self._read, len(trials))]
        self._read = max(self._read, len(trials))
        self._pointless = [number for number in unread if not trials[number].params]
        self._tried.update(equality_key(self.space.from_optuna(trials[n].params)) for n in unread if trials[n].params)
        return self._tried

    def _new(self, point: Mapping[str, Any], tried: Container[Hashable]) -> bool:
        """Returns whether a point was not tried yet, and the sweep's conditions allow it."""
        values = self.space.from_optuna(point)
        return equality_key(values) not in tried and self.spec.allows(values)


def _observed(number: int, item: Observation, space: Space) -> FrozenTrial:
    """Converts a result of another sweep to a finished trial."""
    params = space.to_optuna(item.params)
    distributions = {name: space.distributions[name] for name in params}
    trial = create_trial(value=item.value, params=params, distributions=distributions)
    trial.number = number
    return trial


def _logged(trial: FrozenTrial) -> list[float]:
    """Returns the finite values of the metric that are in the storage, oldest first."""
    return [value for value in logged_values(trial) if finite_number(value)]


def _median_seconds(trials: Sequence[FrozenTrial]) -> float:
    """Returns the median duration of the last finished trials, in seconds; 0 without any."""
    seconds = []
    for trial in reversed(trials):
        if trial.state == TrialState.COMPLETE and trial.duration is not None:
            seconds.append(max(0.0, trial.duration.total_seconds()))  # the clock may have been set back
            if len(seconds) == RECENT:
                break
    return statistics.median(seconds) if seconds else 0.0
