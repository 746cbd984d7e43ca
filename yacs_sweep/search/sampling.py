"""Chooses the next point: grid, random, or bayes, which is Optuna's GP while that is affordable and TPE otherwise.

A suggestion is a function of the seed, the trial's number and the trials before it. So one worker draws the same points for
the same seed, and a resumed sweep continues as if it had never stopped.
"""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Container, Hashable, Mapping, Sequence
from random import Random
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

from ..spec.parameter import equality_key
from ..spec.sweep import SweepSpec
from .models import gp
from .models.shown import Shown
from .models.view import blank, constraints_option
from .space import Space
from .stored import GRID_INDEX
from .warm_start import Observation

STARTUP = 10  # observations before a model is asked; until then bayes draws what random search would
WARM_UP = 5  # the trial during which torch starts to be imported: half a dozen trials before the GP is first asked
MAX_DRAWS = 1000  # points for one trial, until its conditions are taken to be impossible
MODEL_DRAWS = 20  # for one trial, while a model suggests points that are excluded or were tried already
MODELLED = ("bayes", "custom")  # methods by which a model chooses points
RECENT = 25  # finished trials whose median time counts


def model_seed(seed: int, number: int) -> int:
    """Returns the seed of a model's random numbers for a trial."""
    return Random(f"{seed}:{number}:model").getrandbits(32)


class Chooser:
    """Chooses the points of one sweep. Each agent has a chooser; agents of a sweep ask one at a time."""

    def __init__(self, spec: SweepSpec, space: Space, seed: int, prior: Sequence[Observation] = ()) -> None:
        """`prior`: results of other sweeps, whose points fit the space."""
        self.spec, self.space, self.seed = spec, space, seed
        self.notes: list[str] = []  # lines for the user
        self.measured: list[gp.Measured] = []  # the GP's last two suggestions
        self.used = ""  # the method of the last point: grid, random, GP or TPE
        self._torch = gp.TorchImport()
        self._shown = Shown(spec, space, prior)
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
        if self.spec.method in MODELLED:
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
        finished = self._shown.fill(trials)
        tried = self._tried_points(trials)
        if finished < 1 or len(self._shown.view.shown) - self._shown.running < STARTUP:
            return self.random(number, tried)
        seed = model_seed(self.seed, number)
        modelled = self._ask_gp(seed, number, trials) if number >= STARTUP else None
        if modelled is not None and self._new(modelled, tried):
            self.used = "GP"
            return modelled
        self.used = "TPE"
        sampler = self._tpe(seed)
        for _ in range(MODEL_DRAWS):
            point = self._by_levels(sampler, number)
            if self._new(point, tried):
                return point
        return self.random(number, tried)

    def _ask_gp(self, seed: int, number: int, trials: Sequence[FrozenTrial]) -> dict[str, Any] | None:
        """Suggests a point by the GP; None where the GP is too slow or cannot be used."""
        shown, view = self._shown, self._shown.view
        observations = len(view.shown)
        dimensions = self.space.distributions
        median = _median_seconds(trials)
        if not gp.use_gp(
            observations=observations,
            dimensions=len(dimensions),
            plain=self._plain,
            median_trial=median,
            measured=self.measured,
            objectives=len(shown.objectives),
            constraints=shown.constraints,
        ):
            return None
        if lacks := gp.gp_lacks(len(shown.objectives), shown.constraints):
            version = optuna.__version__
            self._note_missing(f"{self.spec.method} search uses TPE: the GP of Optuna {version} does not know {lacks}")
            return None
        allowed = gp.budget(median)
        if not self._torch.ready(allowed):
            if self._torch.missing:
                why = self._torch.missing
                self._note_missing(f"{self.spec.method} search uses TPE: Optuna's GP cannot be used ({why})")
            return None
        started = time.perf_counter()
        point = gp.suggest(seed, view, number, dimensions, constrained=shown.constraints > 0)
        self.measured = [*self.measured[-1:], gp.Measured(observations, time.perf_counter() - started)]
        return point

    def _note_missing(self, line: str) -> None:
        """Notes, once, why the GP is not asked."""
        if not self._noted_missing:
            self._noted_missing = True
            self.notes.append(line)

    def _tpe(self, seed: int) -> TPESampler:
        """Makes Optuna's TPE sampler, which suggests from its first call."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # constraints are an experiment of Optuna 4's
            return TPESampler(seed=seed, n_startup_trials=0, **constraints_option(self._shown.constraints > 0))

    def _by_levels(self, sampler: BaseSampler, number: int) -> dict[str, Any]:
        """Suggests a point group by group: conditional parameters after the parameters they depend on."""
        point: dict[str, Any] = {}
        for level in self._levels:
            group: dict[str, BaseDistribution] = self.space.active_group(level, point)
            if group:
                point.update(sampler.sample_relative(self._shown.view, blank(number), group))
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


def _median_seconds(trials: Sequence[FrozenTrial]) -> float:
    """Returns the median duration of the last finished trials, in seconds; 0 without any."""
    seconds = []
    for trial in reversed(trials):
        if trial.state == TrialState.COMPLETE and trial.duration is not None:
            seconds.append(max(0.0, trial.duration.total_seconds()))  # the clock may have been set back
            if len(seconds) == RECENT:
                break
    return statistics.median(seconds) if seconds else 0.0
