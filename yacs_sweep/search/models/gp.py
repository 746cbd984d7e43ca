"""Asks the Gaussian process (GP) for the next point: a model of each objective and each constraint, and one acquisition."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from ..stored import CONSTRAINTS, SEEDS
from .acquisition import Score, log_expected_improvement, log_probability_below, maximise
from .cube import Cube
from .front import boxes, expected_hypervolume_improvement, non_dominated, reference_point
from .surrogate import Array, Surrogate

EXACT_OBJECTIVES = 3  # beyond, the front is cut into too many boxes: objectives are weighed at random
KNOWN = 5  # the best observations, around which candidates are drawn
BAD = 2.0  # times as far beyond the median as the best is below it: values that are worse are drawn together,
WORST = 6.0  # and none counts as worse than that
TINY = 1e-300  # a smaller expected hypervolume counts as this
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Observations:
    """Holds what the GP learns from.

    Attributes:
        x: places of the points with values, shape (n, parameters).
        values: objectives to minimise, shape (n, objectives).
        excesses: by how much constraints are missed, 0 or less: kept; shape (n, constraints).
        counts: of how many seeds each value is the mean.
        running: places of the points that are tried now.
    """

    x: Array
    values: Array
    excesses: Array
    counts: Array
    running: Array


def observe(cube: Cube, trials: Sequence[FrozenTrial], directions: Sequence[StudyDirection]) -> Observations:
    """Reads trials as the models' view shows them: finished ones, and running ones without a value."""
    finished = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    running = [trial.params for trial in trials if trial.state == TrialState.RUNNING]
    signs = [-1.0 if direction == StudyDirection.MAXIMIZE else 1.0 for direction in directions]
    excesses = [trial.system_attrs.get(CONSTRAINTS, ()) for trial in finished]
    return Observations(
        cube.place([trial.params for trial in finished]),
        np.array([trial.values for trial in finished], dtype=float) * signs,
        np.array(excesses, dtype=float).reshape(len(finished), -1),
        np.array([trial.user_attrs.get(SEEDS, 1) for trial in finished], dtype=float),
        cube.place(running),
    )


def suggest(cube: Cube, seen: Observations, seed: int, is_new: Callable[[Array], bool]) -> Array | None:
    """Returns the place of the next point; None where no candidate is new.

    Args:
        seed: of the random numbers.
        is_new: tells whether a place was not tried yet, and is allowed.
    """
    random = np.random.default_rng(seed)
    kept: Mask = np.asarray((seen.excesses <= 0).all(1))
    values = np.column_stack([compressed(column) for column in seen.values.T])
    if values.shape[1] > EXACT_OBJECTIVES:
        values = weighed(values, random)[:, None]
    limits = [_probability_kept(seen, column, cube, seed) for column in seen.excesses.T]
    if not kept.any():
        known = np.argsort(np.maximum(seen.excesses, 0.0).sum(1), kind="stable")[:KNOWN]
        scores = limits
    else:
        models = [_model(seen, column, cube, seed) for column in values.T]
        improvement, known = (_improvement if len(models) == 1 else _front_improvement)(models, values, kept)
        scores = [improvement, *limits]

    def score(rows: Array) -> Array:
        return np.asarray(sum(part(rows) for part in scores))

    return maximise(score, cube, random, seen.x[known], is_new)


def compressed(values: Array) -> Array:
    """Scales values to mean 0 and deviation 1, after those that are far worse than the median have been drawn together.

    A few very bad values, such as of trainings that diverge, would else make all good ones look alike.
    """
    middle = np.median(values)
    scaled = (values - middle) / max(middle - values.min(), 1e-12 * (1.0 + abs(middle)))
    scaled = np.where(scaled > BAD, np.minimum(BAD + np.log1p(np.maximum(scaled - BAD, 0.0)), WORST), scaled)
    return _standard(scaled)


def _standard(values: Array) -> Array:
    deviation = values.std()
    return np.asarray((values - values.mean()) / (deviation if deviation > 1e-12 else 1.0))


def weighed(values: Array, random: np.random.Generator) -> Array:
    """Combines objectives by random weights (augmented Chebyshev; ParEGO, Knowles 2006)."""
    weights = random.dirichlet(np.ones(values.shape[1]))
    scaled = (values - values.min(0)) / np.maximum(np.ptp(values, axis=0), 1e-12)
    return _standard((weights * scaled).max(1) + 0.05 * (weights * scaled).sum(1))


def _model(seen: Observations, values: Array, cube: Cube, seed: int) -> Surrogate:
    model = Surrogate(seen.x, values, cube.choices, seen.counts, seed)
    model.imagine(seen.running)
    return model


def _improvement(models: Sequence[Surrogate], values: Array, kept: Mask) -> tuple[Score, npt.NDArray[np.int64]]:
    """Returns the expected improvement of one objective, and the best observations."""
    best = float(values[kept, 0].min())
    known = np.flatnonzero(kept)[np.argsort(values[kept, 0], kind="stable")][:KNOWN]
    return lambda rows: log_expected_improvement(*models[0].predict(rows), best), known


def _front_improvement(models: Sequence[Surrogate], values: Array, kept: Mask) -> tuple[Score, npt.NDArray[np.int64]]:
    """Returns the expected improvement of the front's hypervolume, and the observations on the front."""
    on_front = np.flatnonzero(kept)[non_dominated(values[kept])]
    front = values[on_front]
    lower, upper = boxes(front, reference_point(front, values))

    def score(rows: Array) -> Array:
        means, deviations = zip(*(model.predict(rows) for model in models), strict=True)
        added = expected_hypervolume_improvement(np.column_stack(means), np.column_stack(deviations), lower, upper)
        return np.asarray(np.log(np.maximum(added, TINY)))

    return score, on_front


def _probability_kept(seen: Observations, excesses: Array, cube: Cube, seed: int) -> Score:
    """Returns the logarithm of the probability that a constraint is kept."""
    scale = float(np.median(np.abs(excesses))) or 1.0
    drawn = np.sign(excesses) * np.log1p(np.abs(excesses) / scale)
    deviation = float(drawn.std()) or 1.0
    model = _model(seen, _standard(drawn), cube, seed)
    limit = -float(drawn.mean()) / deviation
    return lambda rows: log_probability_below(*model.predict(rows), limit)
