"""Fits a Gaussian process (GP) to observations in the unit cube, and predicts means and deviations."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

ROOT5 = math.sqrt(5.0)
NOISE_FLOOR, NOISE_MOST = 1e-6, 1.0  # variance of the noise, as a share of the function's
NOISE_CENTRE, NOISE_WIDTH = math.log(1e-4), 2.0  # its log-normal prior
SCALE_WIDTH = math.sqrt(3.0)  # of the log-normal prior of length scales, as Hvarfner et al. (2024) set it
SHORTEST, LONGEST = 0.03, 100.0  # length scales
FIT_MOST = 200  # observations that length scales are fitted to
STEPS = 60  # evaluations of one fit


def squared_distances(one: Array, other: Array, choices: npt.NDArray[np.bool_]) -> Array:
    """Computes the squared distance in each dimension, of two categories 0 or 1: shape (dimensions, rows, other rows)."""
    apart = one.T[:, :, None] - other.T[:, None, :]
    apart *= apart
    apart[choices] = apart[choices] > 0
    return np.asarray(apart)


def matern(scaled: Array) -> tuple[Array, Array]:
    """Computes the Matérn 5/2 kernel at squared scaled distances, and its derivative by them."""
    root = np.sqrt(5.0 * scaled)
    decay = np.exp(-root)
    return (1.0 + root + root * root / 3.0) * decay, (-5.0 / 6.0) * (1.0 + root) * decay


class Surrogate:
    """A GP with a constant mean, a Matérn 5/2 kernel with a length scale for each dimension, and fitted noise.

    The mean and the kernel's variance are integrated out or set to their best values, so that only length scales and the
    noise's share are searched, to the maximum of their posterior (length scales: log-normal prior that grows with the
    square root of the dimension; Hvarfner, Hellsten and Nardi, 2024).
    """

    def __init__(
        self, x: Array, y: Array, choices: npt.NDArray[np.bool_], counts: Array | None = None, seed: int = 0
    ) -> None:
        """Fits length scales and noise to observations.

        Args:
            x: observed points, shape (n, dimensions).
            y: their values, of about mean 0 and deviation 1.
            choices: which dimensions are categories.
            counts: of how many observations each value is the mean.
            seed: chooses the observations that length scales are fitted to, where there are many.
        """
        self.choices = choices
        self._x, self._y = x, y
        self._shares = np.ones(len(y)) if counts is None else counts.mean() / counts  # of the noise's variance
        chosen = np.arange(len(y))
        if len(y) > FIT_MOST:
            best = np.argsort(y, kind="stable")[: FIT_MOST // 2]
            others = np.setdiff1d(chosen, best)
            drawn = np.random.default_rng(seed).choice(others, FIT_MOST - len(best), replace=False)
            chosen = np.sort(np.concatenate([best, drawn]))
        self.weights, self.noise = self._fit(x[chosen], y[chosen], self._shares[chosen])
        self._condition()

    def _fit(self, x: Array, y: Array, shares: Array) -> tuple[Array, float]:
        """Searches inverse squared length scales, and the noise's share, from two starts."""
        from scipy.optimize import minimize

        dimensions = x.shape[1]
        apart = squared_distances(x, x, self.choices).reshape(dimensions, -1)
        centre = math.log(math.sqrt(dimensions)) + math.sqrt(2.0) - SCALE_WIDTH**2
        bounds = [(-2 * math.log(LONGEST), -2 * math.log(SHORTEST))] * dimensions
        bounds.append((math.log(NOISE_FLOOR), math.log(NOISE_MOST)))
        best: Any = None
        for scale, noise in ((centre, -6.0), (math.log(0.2 * math.sqrt(dimensions)), -2.5)):
            start = np.array([-2.0 * scale] * dimensions + [noise])
            found = minimize(
                _loss, start, (apart, y, shares, centre), "L-BFGS-B", True, bounds=bounds, options={"maxfun": STEPS}
            )
            best = found if best is None or found.fun < best.fun else best
        return np.exp(best.x[:-1]), float(np.exp(best.x[-1]))

    def _condition(self) -> None:
        """Computes what predictions need."""
        kernel, _ = matern(np.tensordot(self.weights, squared_distances(self._x, self._x, self.choices), 1))
        kernel[np.diag_indices_from(kernel)] += self.noise * self._shares + 1e-8
        self._inverse, _ = invert(kernel)
        ones = self._inverse.sum(0)
        self.mean = float(ones @ self._y / ones.sum())
        self._alpha = self._inverse @ (self._y - self.mean)
        self.variance = (float((self._y - self.mean) @ self._alpha) + 1.0) / (len(self._y) + 1.0)

    def imagine(self, x: Array) -> None:
        """Adds points that are running, as if they had the values that are predicted for them."""
        if len(x):
            self._y = np.concatenate([self._y, self.predict(x)[0]])
            self._x = np.concatenate([self._x, x])
            self._shares = np.concatenate([self._shares, np.ones(len(x))])
            variance, mean = self.variance, self.mean
            self._condition()
            self._alpha = self._inverse @ (self._y - mean)
            self.variance, self.mean = variance, mean

    def predict(self, x: Array) -> tuple[Array, Array]:
        """Predicts mean and deviation, without noise, at points of shape (m, dimensions)."""
        kernel, _ = matern(np.tensordot(self.weights, squared_distances(x, self._x, self.choices), 1))
        known = np.einsum("ij,ij->i", kernel @ self._inverse, kernel)
        return self.mean + kernel @ self._alpha, np.sqrt(self.variance * np.maximum(1.0 - known, 1e-12))


def invert(kernel: Array) -> tuple[Array, float]:
    """Inverts a positive definite matrix; returns also the logarithm of its determinant."""
    from scipy.linalg import lapack

    lower, failed = lapack.dpotrf(kernel, lower=1, clean=1)
    while failed:
        kernel = kernel + 1e-6 * np.eye(len(kernel))
        lower, failed = lapack.dpotrf(kernel, lower=1, clean=1)
    inverse, _ = lapack.dpotri(lower, lower=1)
    inverse = np.tril(inverse) + np.tril(inverse, -1).T
    return inverse, 2.0 * float(np.log(np.diag(lower)).sum())


def _loss(theta: Array, apart: Array, y: Array, shares: Array, centre: float) -> tuple[float, Array]:
    """Computes the negative logarithm of the posterior of the parameters, and its gradient.

    Args:
        theta: logarithms of the inverse squared length scales, and of the noise's share.
        apart: squared distances, shape (dimensions, n * n).
        centre: of the prior of the length scales' logarithms.
    """
    count = len(y)
    weights, noise = np.exp(theta[:-1]), math.exp(theta[-1])
    kernel, slope = matern(weights @ apart)
    matrix = kernel.reshape(count, count)
    matrix[np.diag_indices(count)] += noise * shares + 1e-8
    inverse, determinant = invert(matrix)
    ones = inverse.sum(0)
    left = y - ones @ y / ones.sum()
    alpha = inverse @ left
    variance = (float(left @ alpha) + 1.0) / (count + 1.0)
    loss = 0.5 * ((count + 1.0) * math.log(variance) + determinant)
    outer = inverse - np.outer(alpha, alpha / variance)
    slopes = 0.5 * weights * (apart @ (outer.ravel() * slope))
    away = -0.5 * theta[:-1] - centre
    loss += float(away @ away) / (2 * SCALE_WIDTH**2)
    slopes -= 0.5 * away / SCALE_WIDTH**2
    far = (theta[-1] - NOISE_CENTRE) / NOISE_WIDTH
    loss += 0.5 * far * far
    last = 0.5 * noise * float(shares @ np.diag(outer)) + far / NOISE_WIDTH
    return loss, np.append(slopes, last)
