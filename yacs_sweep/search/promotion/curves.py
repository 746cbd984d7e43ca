"""Predicts what a running trial will end with, from the learning curves of trials that have ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...base.values import finite_number
from ...records.standings import student_tail

SLOPE_FROM = 7  # curves from which on the slope is looked at too


@dataclass(frozen=True)
class Curve:
    """Holds a finished trial's logged values, oldest first, and its result."""

    values: Sequence[float]
    result: float


@dataclass(frozen=True)
class Prediction:
    """Holds a predicted result, its standard error, the best result so far, and the chance to be better."""

    value: float
    error: float
    best: float
    chance: float


def predict(own: Sequence[float], finished: Sequence[Curve], *, goal: str, least: int = 5) -> Prediction | None:
    """Predicts a trial's result from its current value, and from its slope where that predicts the finished ones better.

    A line is fitted to the finished trials that went further. How far off it is, is measured by leaving
    each of them out in turn; the chance is that of Student's t distribution with as many degrees of freedom as are left.

    Args:
        own: values that the trial has logged, oldest first.
        finished: trials with a result.
        goal: `minimize` or `maximize`.
        least: finished trials that are needed.

    Returns:
        None with too few finished trials, or where a value is not finite.
    """
    now = len(own)
    usable = [
        curve
        for curve in finished
        if len(curve.values) > now and finite_number(curve.result) and _features(curve.values, now) is not None
    ]
    features = _features(own, now) if now else None
    if features is None or len(usable) < max(4, least):
        return None
    rows = np.array([_features(curve.values, now) for curve in usable])
    results = np.array([curve.result for curve in usable])
    fits = [_fit(rows[:, :2], results, features[:2])]
    if now > 1 and len(usable) >= SLOPE_FROM:
        fits.append(_fit(rows, results, features))
    value, error, freedom, _ = min(fits, key=lambda fit: fit[3])
    known = [curve.result for curve in finished if finite_number(curve.result)]
    best = max(known) if goal == "maximize" else min(known)
    apart = best - value if goal == "maximize" else value - best
    if error <= 1e-9 * (abs(best) + abs(value)):  # curves that repeat each other tell no equal one apart
        chance = 0.5 if abs(apart) <= 1e-9 * (abs(best) + abs(value)) else float(apart < 0)
    else:
        chance = student_tail(apart / error, freedom)
    return Prediction(value, error, best, chance)


def _features(values: Sequence[float], now: int) -> list[float] | None:
    """Returns 1, the value at an iteration and what it has changed by since half of it; None where one is not finite."""
    current, earlier = values[now - 1], values[max(0, now // 2 - 1)]
    return [1.0, current, current - earlier] if finite_number(current) and finite_number(earlier) else None


def _fit(rows: np.ndarray, results: np.ndarray, features: Sequence[float]) -> tuple[float, float, int, float]:
    """Fits a line by least squares.

    Args:
        rows: curves × features.
        results: of the curves.
        features: of the trial to predict.

    Returns:
        The prediction, its standard error, degrees of freedom, and the error of predicting the curves left out.
    """
    inverse = np.linalg.pinv(rows)
    leverage = np.clip(np.einsum("ij,ji->i", rows, inverse), 0.0, 1 - 1e-9)
    left_out = (results - rows @ (inverse @ results)) / (1 - leverage)
    spread = float(np.sqrt(np.mean(left_out**2)))
    new = np.asarray(features)
    own_leverage = float(np.sum((new @ inverse) ** 2))
    value = float(new @ (inverse @ results))
    return value, spread * (1 + own_leverage) ** 0.5, len(results) - rows.shape[1], spread
