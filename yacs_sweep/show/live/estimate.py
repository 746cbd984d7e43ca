"""Estimates when a sweep will have ended. Pure.

How long a trial takes is learned from this launch's own trials by the product-limit estimator (Kaplan and Meier, 1958):
a trial that ended, however it ended, is an observed duration, one that still runs is known to take longer than it has.
So trials stopped early count as often as they occur, and the long ones are not forgotten because the short ones end
first. From it follow what a running trial still needs, given that it has lasted so long, and what one to come needs;
those are given out to the workers one after another.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Sequence

ENOUGH = 2  # trials that must have ended well before there is an estimate
TAIL = 0.1  # a trial that has outlasted all others is taken to need this share of its time again


def survival(ended: Sequence[float], running: Sequence[float]) -> list[tuple[float, float]]:
    """Estimates the distribution of durations as (seconds, probability) pairs (product-limit); the latter sum to 1.

    The probability left beyond the longest time is put there (Efron's correction).
    """
    times = sorted([(seconds, 0) for seconds in ended] + [(seconds, 1) for seconds in running])
    alive, found = 1.0, []
    at_risk = len(times)
    for seconds, group in itertools.groupby(times, key=lambda pair: pair[0]):
        kinds = [kind for _, kind in group]
        deaths = kinds.count(0)
        if deaths:
            found.append((seconds, alive * deaths / at_risk))
            alive *= 1 - deaths / at_risk
        at_risk -= len(kinds)
    if alive > 1e-9 and times:
        found.append((times[-1][0], alive))
    return found


def rest_of(elapsed: float, durations: Sequence[tuple[float, float]]) -> float:
    """Computes the seconds that a trial that has run for `elapsed` is expected to need still."""
    longer = [(seconds, share) for seconds, share in durations if seconds > elapsed]
    weight = sum(share for _, share in longer)
    expected = sum((seconds - elapsed) * share for seconds, share in longer) / weight if weight > 1e-9 else 0.0
    return max(expected, TAIL * elapsed if not longer else 0.0)


def seconds_left(
    ended: Sequence[float], ended_well: int, running: Sequence[float], left: int, workers: int
) -> float | None:
    """Estimates the seconds until the last trial ends; None while too few trials have ended.

    Args:
        ended: durations of the trials of this launch that ended by themselves.
        ended_well: how many of them did not fail.
        running: seconds for which others have been running.
        left: trials still to be started.
        workers: trials that run at the same time.
    """
    if ended_well < ENOUGH or not (running or left):
        return None
    durations = survival(ended, running)
    mean = sum(seconds * share for seconds, share in durations)
    free = [rest_of(elapsed, durations) for elapsed in running]
    free += [0.0] * (max(1, workers) - len(free))
    if left > 20 * len(free):  # so many that it does not matter who takes which
        return (sum(free) + left * mean) / len(free)
    heapq.heapify(free)
    for _ in range(left):
        heapq.heapreplace(free, free[0] + mean)
    return max(free)
