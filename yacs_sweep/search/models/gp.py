"""Asks the Gaussian process (GP) for the next point: a model of each objective and each constraint, and one acquisition."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from ..stored import CONSTRAINTS, SEEDS
from .acquisition import Score, candidates, log_expected_improvement, log_probability_below, maximise
from .cube import Cube
from .front import boxes, expected_hypervolume_improvement, non_dominated, reference_point
from .surrogate import Array, Surrogate

EXACT_OBJECTIVES = 3  # beyond, the front is cut into too many boxes: objectives are weighed at random
KNOWN = 5  # the best observations, around which candidates are drawn
BAD = 2.0  # times as far beyond the median as the best is below it: values that are worse are drawn together,
BAD_OF_SEVERAL = 5.0  # with several objectives, whose hypervolume this would distort, only those that are far worse,
WORST = 4.0  # and none counts as worse than so much more
PROBED = (256, 128)  # places anywhere, and around the front, at which the models predict it
FAR = 0.9  # share of excesses that are smaller than their unit
PROBABLY = math.log(0.5)  # probability from which on a point counts as keeping the constraints
TINY = 1e-12  # a smaller expected hypervolume counts as this, so that constraints decide where the front is as good as known
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
        thresholds: the worst value of each objective that counts, nan: any counts. How much each is missed by stands in the last
            columns of `excesses`.
    """

    x: Array
    values: Array
    excesses: Array
    counts: Array
    running: Array
    thresholds: Array


def observe(
    cube: Cube,
    trials: Sequence[FrozenTrial],
    directions: Sequence[StudyDirection],
    thresholds: Sequence[float | None] = (),
) -> Observations:
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
        np.array([np.nan if t is None else t for t in thresholds or [None] * len(signs)], dtype=float) * signs,
    )


def suggest(cube: Cube, seen: Observations, seed: int, is_new: Callable[[Array], bool]) -> Array | None:
    """Returns the place of the next point; None where no candidate is new.

    Args:
        seed: of the random numbers.
        is_new: tells whether a place was not tried yet, and is allowed.
    """
    random = np.random.default_rng(seed)
    kept: Mask = np.asarray((seen.excesses <= 0).all(1))
    front = 1 < seen.values.shape[1] <= EXACT_OBJECTIVES and bool(kept.any())
    ends = int(np.isfinite(seen.thresholds).sum()) if front else 0  # a hypervolume ends at them by itself
    learnt = seen.excesses[:, : seen.excesses.shape[1] - ends]
    limits = [_probability_kept(seen, column, cube, seed) for column in learnt.T]
    if not kept.any():
        known = np.argsort(np.maximum(seen.excesses, 0.0).sum(1), kind="stable")[:KNOWN]
        scores = limits
    elif front:
        improvement, known = _front_improvement(seen, kept, limits, cube, seed, random)
        scores = [improvement, *limits]
    else:
        columns = np.column_stack([compressed(column) for column in seen.values.T])
        values = columns[:, 0] if columns.shape[1] == 1 else weighed(columns, random)
        improvement, known = _improvement(_model(seen, values, cube, seed), values, kept)
        scores = [improvement, *limits]

    def score(rows: Array) -> Array:
        return np.asarray(sum(part(rows) for part in scores))

    return maximise(score, cube, random, seen.x[known], is_new)


def compressing(values: Array, bad: float = BAD) -> Callable[[Array], Array]:
    """Makes the scale on which `values` have mean 0 and deviation 1, those that are far worse than the median drawn together.

    A few very bad values, such as of trainings that diverge, would else make all good ones look alike.

    Args:
        bad: times as far beyond the median as the best is below it, from which on a value counts as far worse.
    """
    middle = np.median(values)
    unit = max(middle - values.min(), 1e-12 * (1.0 + abs(middle)))

    def drawn(some: Array) -> Array:
        scaled = (some - middle) / unit
        far = np.minimum(bad + np.log1p(np.maximum(scaled - bad, 0.0)), bad + WORST)
        return np.asarray(np.where(scaled > bad, far, scaled))

    mean, deviation = _scale(drawn(values))
    return lambda some: np.asarray((drawn(some) - mean) / deviation)


def compressed(values: Array) -> Array:
    """Scales values as `compressing` says."""
    return compressing(values)(values)


def _scale(values: Array) -> tuple[float, float]:
    """Returns the mean and the deviation of values; where all are alike the deviation counts as 1."""
    deviation = float(values.std())
    return float(values.mean()), deviation if deviation > 1e-12 else 1.0


def _standard(values: Array) -> Array:
    mean, deviation = _scale(values)
    return np.asarray((values - mean) / deviation)


def weighed(values: Array, random: np.random.Generator) -> Array:
    """Combines objectives by random weights (augmented Chebyshev; ParEGO, Knowles 2006)."""
    weights = random.dirichlet(np.ones(values.shape[1]))
    scaled = (values - values.min(0)) / np.maximum(np.ptp(values, axis=0), 1e-12)
    return _standard((weights * scaled).max(1) + 0.05 * (weights * scaled).sum(1))


def _model(seen: Observations, values: Array, cube: Cube, seed: int) -> Surrogate:
    model = Surrogate(seen.x, values, cube.choices, seen.counts, seed)
    model.imagine(seen.running)
    return model


def _improvement(model: Surrogate, values: Array, kept: Mask) -> tuple[Score, npt.NDArray[np.int64]]:
    """Returns the expected improvement of one objective, and the best observations."""
    best = float(values[kept].min())
    known = np.flatnonzero(kept)[np.argsort(values[kept], kind="stable")][:KNOWN]
    return lambda rows: log_expected_improvement(*model.predict(rows), best), known


def _front_improvement(
    seen: Observations, kept: Mask, limits: Sequence[Score], cube: Cube, seed: int, random: np.random.Generator
) -> tuple[Score, npt.NDArray[np.int64]]:
    """Returns the expected improvement of the front's hypervolume, and the observations on the front.

    The hypervolume ends at the thresholds, and else a little beyond the front that the models predict: beyond the worst values of
    what was observed so far it would mostly reward what a good front dominates.
    """
    scales = [compressing(column, BAD_OF_SEVERAL) for column in seen.values.T]
    values = np.column_stack([scale(column) for scale, column in zip(scales, seen.values.T, strict=True)])
    models = [_model(seen, column, cube, seed) for column in values.T]

    def predicted(rows: Array) -> tuple[Array, Array]:
        means, deviations = zip(*(model.predict(rows) for model in models), strict=True)
        return np.column_stack(means), np.column_stack(deviations)

    on_front = np.flatnonzero(kept)[non_dominated(values[kept])]
    front = values[on_front]
    rows = candidates(cube, random, seen.x[on_front], *PROBED)
    if limits:
        rows = rows[np.asarray(sum(limit(rows) for limit in limits)) > PROBABLY]
    hoped = np.concatenate([predicted(rows)[0], front])
    thresholds = np.array([scale(threshold) for scale, threshold in zip(scales, seen.thresholds, strict=True)])
    worst = np.where(np.isnan(thresholds), reference_point(hoped[non_dominated(hoped)], values), thresholds)
    lower, upper = boxes(front[(front < worst).all(1)], worst)

    def score(rows: Array) -> Array:
        added = expected_hypervolume_improvement(*predicted(rows), lower, upper)
        return np.asarray(np.log(np.maximum(added, TINY)))

    return score, on_front


def _probability_kept(seen: Observations, excesses: Array, cube: Cube, seed: int) -> Score:
    """Returns the logarithm of the probability that a constraint is kept."""
    # Not the median: where most points lie close to the limit, all others would look alike.
    scale = float(np.quantile(np.abs(excesses), FAR)) or 1.0
    drawn = np.sign(excesses) * np.log1p(np.abs(excesses) / scale)
    mean, deviation = _scale(drawn)
    model = _model(seen, (drawn - mean) / deviation, cube, seed)
    limit = -mean / deviation
    return lambda rows: log_probability_below(*model.predict(rows), limit)
