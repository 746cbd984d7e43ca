"""Decides as W&B's hyperband does: when a trial is compared, with which values, and whether it ends.

Pure functions over the values logged so far. An iteration is one finite logged value of the
metric. Behaviour follows the engine `sweeps` 0.3.0 as measured: every trial that has reached a
band counts for its threshold, whatever its state; the threshold is the value at position
int(n / eta) of the n values sorted best first; a trial ends when it is strictly worse.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..base.values import finite_number

DEFAULT_ETA = 3.0
_MAX_BANDS = 100
_LAST_ITERATION = 10**9  # nobody logs a metric more often


@dataclass(frozen=True)
class Decision:
    """Holds hyperband's decision on one trial and the figures behind it.

    `band` is None before the first band is reached; `value` is the compared value: that at
    the band (strict) or the best so far; both in the metric's own sign.
    """

    stop: bool
    iterations: int
    band: int | None = None
    value: float | None = None
    threshold: float | None = None


def bands(
    *, min_iter: int | None = None, max_iter: int | None = None, s: int | None = None, eta: float = DEFAULT_ETA
) -> tuple[int, ...]:
    """Computes the numbers of iterations at which trials are compared, ascending; empty when there are none.

    With `max_iter` (then `min_iter` is void): max_iter / eta^i for i = 1 … s; otherwise
    min_iter * eta^i for i = 0, 1, …; each truncated to an integer.
    """
    if max_iter is not None:
        found = [max_iter / eta**i for i in range(1, (s or 0) + 1) if max_iter / eta**i >= 1]
        return tuple(sorted({int(band) for band in found}))
    result: list[int] = []
    band = float(min_iter or 0)
    while 1 <= band <= _LAST_ITERATION and len(result) < _MAX_BANDS:
        if not result or int(band) > result[-1]:
            result.append(int(band))
        band *= eta
    return tuple(result)


def iterations(history: Iterable[object]) -> list[float]:
    """Selects the values of a history that count as iterations: finite numbers, in order."""
    return [float(value) for value in history if finite_number(value)]


def decide(
    own: Sequence[object],
    others: Iterable[Sequence[object]],
    *,
    bands: Sequence[int],
    eta: float,
    strict: bool = True,
    goal: str = "minimize",
) -> Decision:
    """Decides whether a running trial ends, from its own history and those of all other trials.

    Histories are the logged values of the metric, oldest first; a value that is not a finite number is
    skipped. A trial that has not reached a band runs on.
    """
    sign = -1.0 if goal == "maximize" else 1.0
    history = [sign * value for value in iterations(own)]
    reached = [band for band in bands if band <= len(history)]
    if not reached:
        return Decision(False, len(history))
    band = max(reached)
    at_band = [history[band - 1]]
    for other in others:
        values = iterations(other)
        if len(values) >= band:
            at_band.append(sign * values[band - 1])
    at_band.sort()
    threshold = at_band[int(len(at_band) / eta)]
    value = history[band - 1] if strict else min(history)
    return Decision(value > threshold, len(history), band, sign * value, sign * threshold)
