"""Chooses the next point: grid, random, or bayes.

Bayes is our Gaussian process (GP), and Optuna's TPE after many trials, and before twenty where there are three objectives.

A suggestion is a function of the seed, the trial's number and the trials before it. So one worker draws the same points for
the same seed, and a resumed sweep continues as if it had never stopped.
"""

from __future__ import annotations

import warnings
from collections.abc import Container, Hashable, Mapping, Sequence
from random import Random
from typing import TYPE_CHECKING, Any

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, TPESampler
from optuna.trial import FrozenTrial

from ..spec.parameter import equality_key
from ..spec.sweep import SweepSpec
from .models.shown import Shown
from .models.view import blank, constraints_option
from .space import Space
from .stored import GRID_INDEX
from .warm_start import Observation

if TYPE_CHECKING:
    from .models.cube import Cube

STARTUP = 6  # observations before a model is asked; until then bayes draws what random search would
SEVERAL, TPE_FIRST = 3, 20  # with so many objectives TPE is asked first, until there are so many observations
GP_MOST = 500  # observations beyond which TPE is asked: the GP's time grows with the square of their number
MAX_DRAWS = 1000  # points for one trial, until its conditions are taken to be impossible
MODEL_DRAWS = 20  # for one trial, while a model suggests points that are excluded or were tried already
MODELLED = ("bayes", "custom")  # methods by which a model chooses points


def model_seed(seed: int, number: int) -> int:
    """Returns the seed of a model's random numbers for a trial."""
    return Random(f"{seed}:{number}:model").getrandbits(32)


class Chooser:
    """Chooses the points of one sweep. Each agent has a chooser; agents of a sweep ask one at a time."""

    def __init__(self, spec: SweepSpec, space: Space, seed: int, prior: Sequence[Observation] = ()) -> None:
        """`prior`: results of other sweeps, whose points fit the space."""
        self.spec, self.space, self.seed = spec, space, seed
        self.notes: list[str] = []  # lines for the user
        self.used = ""  # the method of the last point: grid, random, GP or TPE
        self._shown = Shown(spec, space, prior)
        self._levels = space.levels()
        self._cube: Cube | None = None
        self._tried: set[Hashable] = set()  # points of all trials that were read
        self._read, self._pointless = 0, list[int]()  # how many trials were read; numbers of those without a point yet
        self._noted_repeated = False
        self._grid_read, self._grid_next = 0, 0  # how many trials were read, the next place in the grid

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
        finished = self._shown.fill(trials)
        tried = self._tried_points(trials)
        observations = len(self._shown.view.shown) - self._shown.running
        if finished < 1 or observations < STARTUP:
            return self.random(number, tried)
        seed = model_seed(self.seed, number)
        few = len(self._shown.objectives) >= SEVERAL and observations < TPE_FIRST
        if not few and observations <= GP_MOST and self.space.dimensions:
            self.used = "GP"
            point = self._ask_gp(seed, tried)
            return self.random(number, tried) if point is None else point
        self.used = "TPE"
        sampler = self._tpe(seed)
        for _ in range(MODEL_DRAWS):
            point = self._by_levels(sampler, number)
            if self._new(point, tried):
                return point
        return self.random(number, tried)

    def _ask_gp(self, seed: int, tried: Container[Hashable]) -> dict[str, Any] | None:
        """Suggests a point by the GP; None where it finds no new one."""
        from .models import gp  # imports scipy, which takes as long as all else here
        from .models.cube import Cube

        self._cube = cube = self._cube or Cube(self.space, self.spec.where)
        view = self._shown.view
        thresholds = [metric.threshold for metric in self._shown.objectives]
        seen = gp.observe(cube, view.shown, view.directions, thresholds)
        place = gp.suggest(cube, seen, seed, lambda row: self._new(cube.point(row), tried))
        return None if place is None else cube.point(place)

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
