"""Quantile functions (inverse CDFs) of the distributions of W&B sweeps.

A draw is the quantile of a uniform number, as in W&B's own engine; that also lets samplers that
know only the unit interval search every distribution. Figures agree with the engine `sweeps`
0.3.0 (tests hold them); where it would leave the bounds by rounding of floats, these do not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

Number = int | float
# Keys each distribution takes, beside `distribution` itself; those in DEFAULTS may be left out.
KEYS: dict[str, tuple[str, ...]] = {
    "constant": ("value",),
    "categorical": ("values",),
    "categorical_w_probabilities": ("values", "probabilities"),
    "int_uniform": ("min", "max"),
    "uniform": ("min", "max"),
    "q_uniform": ("min", "max", "q"),
    "log_uniform": ("min", "max"),
    "q_log_uniform": ("min", "max", "q"),
    "log_uniform_values": ("min", "max"),
    "q_log_uniform_values": ("min", "max", "q"),
    "inv_log_uniform": ("min", "max"),
    "inv_log_uniform_values": ("min", "max"),
    "normal": ("mu", "sigma"),
    "q_normal": ("mu", "sigma", "q"),
    "log_normal": ("mu", "sigma"),
    "q_log_normal": ("mu", "sigma", "q"),
    "beta": ("a", "b"),
    "q_beta": ("a", "b", "q"),
}
DEFAULTS: dict[str, Number] = {"mu": 0, "sigma": 1, "a": 1, "b": 1, "q": 1.0}
EXPONENTS = frozenset({"log_uniform", "q_log_uniform", "inv_log_uniform"})  # bounds are powers of e
MAX_EXPONENT = 700.0  # e to more than 709.78 is not a float any more
_EDGE = 2.0**-53  # the smallest step of a uniform draw: keeps unbounded quantiles finite


def quantile(distribution: str, numbers: Mapping[str, Number], u: float) -> Number:
    """Computes the value below which a share `u` in [0, 1] of the draws lie.

    `numbers` holds min/max, mu/sigma or a/b, and q. Quantised distributions give multiples of q,
    integers when q is one, or is whole and the other numbers are integers; they may step over a bound that is no
    multiple of q, as W&B's do.
    """
    if distribution == "int_uniform":
        low, high = int(numbers["min"]), int(numbers["max"])
        return min(high, low + index(u, high - low + 1))
    value = _CONTINUOUS[distribution.removeprefix("q_")](numbers, u)
    if not distribution.startswith("q_"):
        return value
    q = numbers["q"]
    whole = float(q).is_integer() and all(isinstance(number, int) for key, number in numbers.items() if key != "q")
    return quantise(value, int(q) if whole else q)


def index(u: float, count: int) -> int:
    """Picks one of `count` equally likely items by a uniform number; returns its index."""
    return min(count - 1, max(0, math.ceil(u * count) - 1))


def weighted_index(u: float, weights: tuple[float, ...]) -> int:
    """Picks one of the items, whose probabilities are `weights`, by a uniform number; returns its index."""
    below = 0.0
    last = 0
    for position, weight in enumerate(weights):
        if weight > 0:
            below += weight
            last = position
            if u <= below:
                return position
    return last


def quantise(value: float, q: Number) -> Number:
    """Rounds to the nearest multiple of `q`; the result is an integer when `q` is one."""
    steps = round(value / q)
    return steps * q


def _uniform(numbers: Mapping[str, Number], u: float) -> float:
    low, high = float(numbers["min"]), float(numbers["max"])
    return min(high, max(low, low + u * (high - low)))


def _log_uniform(numbers: Mapping[str, Number], u: float) -> float:
    return math.exp(_uniform(numbers, u))


def _log_uniform_values(numbers: Mapping[str, Number], u: float) -> float:
    low, high = math.log(numbers["min"]), math.log(numbers["max"])
    value = math.exp(low + u * (high - low))
    return min(float(numbers["max"]), max(float(numbers["min"]), value))


def _inv_log_uniform(numbers: Mapping[str, Number], u: float) -> float:
    return math.exp(-_uniform(numbers, 1.0 - u))


def _normal(numbers: Mapping[str, Number], u: float) -> float:
    inner = min(1.0 - _EDGE, max(_EDGE, u))
    from statistics import NormalDist  # with fractions and decimals, which few sweeps need

    return numbers["mu"] + numbers["sigma"] * NormalDist().inv_cdf(inner)


def _log_normal(numbers: Mapping[str, Number], u: float) -> float:
    return math.exp(min(MAX_EXPONENT, _normal(numbers, u)))


def _beta(numbers: Mapping[str, Number], u: float) -> float:
    return beta_quantile(float(numbers["a"]), float(numbers["b"]), u)


# On the values themselves, the inverse log-uniform distribution is the log-uniform one.
_CONTINUOUS: dict[str, Callable[[Mapping[str, Number], float], float]] = {
    "uniform": _uniform,
    "log_uniform": _log_uniform,
    "log_uniform_values": _log_uniform_values,
    "inv_log_uniform": _inv_log_uniform,
    "inv_log_uniform_values": _log_uniform_values,
    "normal": _normal,
    "log_normal": _log_normal,
    "beta": _beta,
}


def beta_quantile(a: float, b: float, u: float) -> float:
    """Solves I_x(a, b) = u for x in [0, 1], with a, b > 0, by Newton's steps inside a shrinking bracket."""
    if u <= 0.0 or u >= 1.0:
        return min(1.0, max(0.0, u))
    if regularised_beta(a, b, 0.5) < u:  # floats lie closest near 0: look for the smaller of x and 1 - x
        return 1.0 - _lower_beta_quantile(b, a, 1.0 - u)
    return _lower_beta_quantile(a, b, u)


def _lower_beta_quantile(a: float, b: float, u: float) -> float:
    """Solves I_x(a, b) = u for a solution of at most 1/2."""
    low, high = 0.0, 0.5
    x = min(0.25, a / (a + b))
    log_norm = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    for _ in range(200):
        error = regularised_beta(a, b, x) - u
        low, high = (low, x) if error > 0 else (x, high)
        density = math.exp(min(MAX_EXPONENT, log_norm + (a - 1) * math.log(x) + (b - 1) * math.log1p(-x)))
        following = x - error / density if density > 0 else math.inf
        if not low < following < high:  # halve the bracket, on a logarithmic scale while it spans decades
            following = (low + high) / 2 if low > high / 16 else math.sqrt(max(low, 1e-300)) * math.sqrt(high)
        if abs(following - x) <= 1e-16 * x or high <= 1e-300:
            return following
        x = following
    return x


def regularised_beta(a: float, b: float, x: float) -> float:
    """Computes I_x(a, b), the CDF of the beta distribution, by its continued fraction (DLMF 8.17.22)."""
    if x <= 0.0 or x >= 1.0:
        return min(1.0, max(0.0, x))
    if x > (a + 1) / (a + b + 2):  # the fraction converges fast only below this point
        return 1.0 - regularised_beta(b, a, 1.0 - x)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x))
    return front / a * _beta_fraction(a, b, x)


def _beta_fraction(a: float, b: float, x: float) -> float:
    """Evaluates 1/(1 + d1/(1 + d2/(1 + …))) by Lentz's method, with the d of DLMF 8.17.23."""
    tiny = 1e-300
    numerator, denominator = 1.0, 1.0 / _away_from_zero(1.0 - (a + b) * x / (a + 1), tiny)
    result = denominator
    for m in range(1, 5000):
        before = result
        for d in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            denominator = 1.0 / _away_from_zero(1.0 + d * denominator, tiny)
            numerator = _away_from_zero(1.0 + d / numerator, tiny)
            result *= denominator * numerator
        if abs(result - before) <= 1e-16 * abs(result):
            break
    return result


def _away_from_zero(value: float, tiny: float) -> float:
    return value if abs(value) > tiny else tiny
