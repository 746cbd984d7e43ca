"""Computes how much a point is expected to improve on what is known, and searches the cube for the point that does most."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from .cube import Cube
from .surrogate import Array

CANDIDATES = 512  # places drawn anywhere,
NEAR = 256  # and around the best observations
STARTS = 5  # the best candidates, which are improved
MOVES = 32  # places tried around each of them, in each of
ROUNDS = 16  # rounds
FIRST_STEP = 0.15
SHRINK = 0.6  # of the step after a round without improvement

Score = Callable[[Array], Array]


def log_expected_improvement(mean: Array, deviation: Array, best: float) -> Array:
    """Computes the logarithm of the expected improvement below `best`, also where it is tiny.

    Source: Ament et al., "Unexpected improvements to expected improvement" (2023).
    """
    from scipy.special import erfcx, ndtr

    z = (best - mean) / deviation
    near = np.maximum(z, -1.0)
    direct = np.log(np.exp(-0.5 * near * near) / math.sqrt(2 * math.pi) + near * ndtr(near))
    far = np.minimum(z, -1.0)
    # 1 - |z| * sqrt(pi/2) * erfcx(|z|/sqrt 2), which cancels far out: there 1/z².
    rest = np.where(far > -1e4, 1.0 + far * math.sqrt(math.pi / 2) * erfcx(-far / math.sqrt(2)), 0.0)
    rest = np.where(far > -1e4, np.maximum(rest, 1e-300), 1.0 / (far * far))
    tail = -0.5 * far * far - 0.5 * math.log(2 * math.pi) + np.log(rest)
    return np.log(deviation) + np.where(z > -1.0, direct, tail)


def log_probability_below(mean: Array, deviation: Array, limit: float) -> Array:
    """Computes the logarithm of the probability of a value of at most `limit`."""
    from scipy.special import log_ndtr

    return np.asarray(log_ndtr((limit - mean) / deviation))


def maximise(
    score: Score, cube: Cube, random: np.random.Generator, known: Array, is_new: Callable[[Array], bool]
) -> Array | None:
    """Searches for the new place of the highest score; None where none is found.

    Many candidates are drawn, anywhere and around known good places; from the best ones a search in shrinking steps continues,
    in parameters of all kinds at once.

    Args:
        known: the best observed places, shape (n, parameters).
        is_new: tells whether a place may be suggested.
    """

    def judged(rows: Array) -> Array:
        """Scores rows; those that may not be suggested last. Asks about as few as necessary."""
        scores = score(rows)
        if cube.checked:
            allowed = np.fromiter(map(is_new, rows), dtype=bool, count=len(rows))
            scores = np.where(allowed, scores, -np.inf)
        return scores

    rows = candidates(cube, random, known)
    scores = judged(rows)
    order = np.argsort(-scores, kind="stable")[:STARTS]
    places, values = rows[order], scores[order]
    steps = np.full(len(places), FIRST_STEP)
    each = np.arange(len(places))
    for _ in range(ROUNDS):
        rows = _moved(cube, random, np.repeat(places, MOVES, 0), np.repeat(steps, MOVES)[:, None])
        scores = judged(rows).reshape(len(places), MOVES)
        best = scores.argmax(1)
        better = scores[each, best] > values
        places = np.where(better[:, None], rows.reshape(len(places), MOVES, -1)[each, best], places)
        values = np.where(better, scores[each, best], values)
        steps = np.where(better, steps, steps * SHRINK)
    ranked = places[np.argsort(-values, kind="stable")]
    return next((place for place in ranked if is_new(place)), None)


def candidates(
    cube: Cube, random: np.random.Generator, known: Array, anywhere: int = CANDIDATES, around: int = NEAR
) -> Array:
    """Draws places anywhere, and around known ones."""
    near = known[random.integers(0, len(known), around)]
    near = _moved(cube, random, near, 10 ** random.uniform(-2.0, -0.5, (around, 1)))
    return np.concatenate([cube.draw(random, anywhere), near])


def _moved(cube: Cube, random: np.random.Generator, rows: Array, steps: Array) -> Array:
    """Moves rows at random: some of their parameters, continuous ones by about a step, others to another level."""
    count, dimensions = rows.shape
    moving = random.random(rows.shape) < np.maximum(0.35, 1.0 / dimensions)
    moving[np.arange(count), random.integers(0, dimensions, count)] = True
    moved = rows + moving * steps * random.standard_normal(rows.shape)
    for column, axis in enumerate(cube.axes):
        if axis.choice:
            other = random.integers(0, len(axis.values), count)
            change = moving[:, column] & (random.random(count) < 0.5)
            moved[:, column] = np.where(change, other, rows[:, column])
        elif axis.levels is not None:
            gap = 1.0 / len(axis.levels)
            step = np.maximum(steps[:, 0], gap) * random.standard_normal(count)
            moved[:, column] = np.where(moving[:, column], rows[:, column] + step, rows[:, column])
        else:
            moved[:, column] = np.abs(moved[:, column])  # steps over a bound are reflected
            moved[:, column] = 1.0 - np.abs(1.0 - moved[:, column])
    return cube.settle(moved)
