"""Computes the hypervolume that a point is expected to add to the front of several objectives."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from .surrogate import Array

MARGIN = 0.1  # of the front's range in each objective, beyond its worst value: the hypervolume's reference point


def non_dominated(values: Array) -> npt.NDArray[np.bool_]:
    """Tells which rows no other row dominates; all columns are minimised, and of equal rows the first counts."""
    no_worse = (values[:, None, :] <= values[None, :, :]).all(2)
    better = (values[:, None, :] < values[None, :, :]).any(2)
    earlier = np.arange(len(values))[:, None] < np.arange(len(values))[None, :]
    return np.asarray(~(no_worse & (better | earlier)).any(0))


def reference_point(front: Array, values: Array) -> Array:
    """Chooses the point up to which hypervolumes count: a little beyond the worst value of the front in each objective.

    Args:
        front: rows that no other dominates.
        values: all rows, by which a front of one point is measured.
    """
    worst = front.max(0)
    extent = worst - front.min(0)
    extent = np.where(extent > 1e-9, extent, values.max(0) - worst)
    return np.asarray(worst + MARGIN * np.maximum(extent, 1e-6))


def boxes(front: Array, worst: Array) -> tuple[Array, Array]:
    """Cuts what the front does not dominate, up to `worst`, into boxes that do not overlap.

    Args:
        front: shape (points, objectives).
        worst: shape (objectives,).

    Returns:
        Lower corners, which may be -inf, and upper ones: shape (boxes, objectives).
    """
    if front.shape[1] == 1:
        return np.array([[-np.inf]]), np.array([[min(worst[0], front.min(initial=np.inf))]])
    front = front[np.argsort(front[:, -1], kind="stable")]
    edges = [-np.inf, *front[:, -1], worst[-1]]
    lowers, uppers = [], []
    for place in range(len(edges) - 1):
        low, high = edges[place], min(edges[place + 1], worst[-1])
        if low < high:
            below = front[:place, :-1]
            lower, upper = boxes(below[non_dominated(below)], worst[:-1])
            lowers.append(np.column_stack([lower, np.full(len(lower), low)]))
            uppers.append(np.column_stack([upper, np.full(len(upper), high)]))
    return np.concatenate(lowers), np.concatenate(uppers)


def expected_hypervolume_improvement(means: Array, deviations: Array, lower: Array, upper: Array) -> Array:
    """Computes the expected hypervolume that points add, whose objectives are independent and normal; exact.

    Source: of a box with corners l and u, the part that a point y dominates has the sides (u - max(l, y))+, so that the
    expectation is a product over objectives (Emmerich, Giannakoglou and Naujoks, 2006, in this form).

    Args:
        means: shape (rows, objectives); `deviations` too.
        lower: corners from `boxes`; `upper` too.
    """
    from scipy.special import ndtr

    product = np.ones((len(means), len(lower)))
    for place in range(means.shape[1]):
        corners, back = np.unique(np.concatenate([lower[:, place], upper[:, place]]), return_inverse=True)
        mean, deviation = means[:, place, None], deviations[:, place, None]
        z = (np.where(np.isfinite(corners), corners, 0.0) - mean) / deviation
        below = deviation * (np.exp(-0.5 * z * z) / math.sqrt(2 * math.pi) + z * ndtr(z))
        below[:, ~np.isfinite(corners)] = 0.0
        product *= np.maximum(below[:, back[len(lower) :]] - below[:, back[: len(lower)]], 0.0)
    return np.asarray(product.sum(1))
