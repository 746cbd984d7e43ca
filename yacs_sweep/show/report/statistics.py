"""Computes rank correlations, and whether a sweep's best trial is the best, with their certainty. Pure."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from ...base.values import finite_number
from ...records.folder import TrialRecord
from ...records.points import Point, keeping_constraints
from ...records.standings import KNOWN, best_by, compare_points, student_tail
from .columns import Column
from .data import Sweep, Trial, is_finished, text_of
from .repeat import trains_best

CURVE_POINTS = 4  # values of the metric below which a trial's curve says nothing of its noise
CURVE_TRIALS = 10  # best trials whose curves are looked at
CONFIDENCE = 0.95
EQUAL_NAMED = 4  # of the trials that are equally the best
SAME = 1e-9  # deviation, as a share of the values, that is rounding


@dataclass(frozen=True)
class Noise:
    """The noise of a trial's value: how much the value differs when the trial is run, or evaluated, again."""

    deviation: float
    degrees: int
    origin: str  # in words
    lower_bound: bool  # whether it leaves out what seeds do, so that the true one is probably larger

    @property
    def margin(self) -> float:
        """The least difference of two trials that is no chance, at 95 %."""
        return t_quantile(0.5 + CONFIDENCE / 2, self.degrees) * math.sqrt(2) * self.deviation


def count_text(number: int, noun: str) -> str:
    """Formats a number of things: `no trials`, `1 trial`, `2 trials`."""
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"


# -- correlation ------------------------------------------------------------------------------------------------------
def association(item: Column, values: Sequence[float]) -> tuple[float | None, str, int]:
    """Computes a parameter's rank correlation (Spearman's) with the metric.

    Returns:
        The correlation (of a category: of its strongest level against the others; None when undefined), that level,
        and the number of trials.
    """
    pairs = [(x, y) for x, y in zip(item.values, values, strict=True) if x is not None]
    xs, ys = [x for x, _ in pairs], [y for _, y in pairs]
    if item.kind == "number":
        return spearman(xs, ys), "", len(pairs)
    found = [(spearman([float(x == place) for x in xs], ys), level) for place, level in enumerate(item.levels)]
    usable = [(rho, level) for rho, level in found if rho is not None]
    if not usable:
        return None, "", len(pairs)
    if len(item.levels) == 2:  # the two mirror each other: that of the one that is better where more is better
        usable.sort(key=lambda pair: -pair[0])
    rho, level = max(usable, key=lambda pair: abs(round(pair[0], 12)))
    return rho, level, len(pairs)


def ranks(values: Sequence[float]) -> list[float]:
    """Ranks values from 1; equal values share the mean of their ranks."""
    order = sorted(range(len(values)), key=lambda place: values[place])
    result = [0.0] * len(values)
    start = 0
    while start < len(order):
        end = start
        while end + 1 < len(order) and values[order[end + 1]] == values[order[start]]:
            end += 1
        for place in order[start : end + 1]:
            result[place] = (start + end) / 2 + 1
        start = end + 1
    return result


def spearman(xs: Sequence[float], ys: Sequence[float]) -> float | None:
    """Computes Spearman's rank correlation; None when one side does not vary, or with fewer than three pairs."""
    if len(xs) < 3 or len(set(xs)) < 2 or len(set(ys)) < 2:
        return None
    return max(-1.0, min(1.0, statistics.correlation(ranks(xs), ranks(ys))))


def correlation_interval(rho: float, count: int, choices: int = 1) -> tuple[float, float] | None:
    """Computes the 95 % interval of a rank correlation: Fisher's z, variance of Bonett and Wright (Psychometrika 2000).

    The rank correlation of n pairs changes in steps of 12 / (n³ - n), so a correlation of 1 may belong to any true one within
    the step below. The interval is computed from there, as Fisher's z of 1 is infinite and its interval has no width.

    Args:
        choices: correlations of which this one was chosen as the strongest; the interval is that much wider (Bonferroni).
    """
    if count < 5:
        return None
    most = 1 - 12 / (count**3 - count)
    z = math.atanh(max(-most, min(most, rho)))
    sure = 1 - (1 - CONFIDENCE) / choices
    half = statistics.NormalDist().inv_cdf(0.5 + sure / 2) * math.sqrt((1 + rho * rho / 2) / (count - 3))
    return min(rho, math.tanh(z - half)), max(rho, math.tanh(z + half))


# -- noise, and what it means for the order of the best ---------------------------------------------------------------
def noise(sweep: Sweep) -> Noise | None:
    """Estimates how much values scatter by chance, from the best evidence at hand; None without evidence.

    Values that do not scatter at all are no evidence: trials of one seed, by a trainer that repeats itself to the bit,
    are the same trial. Where several seeds gave the same value, chance has no part in it, and a curve's bend is no noise.
    """
    if seeds_agree(sweep):
        return None
    for found in (_of_seeds(sweep), _of_repeated_seeds(sweep)):
        if found is not None and not _is_rounding(sweep, found):
            return found
    least = [found for found in (_of_repeats(sweep), _of_curves(sweep)) if found is not None]
    return max(
        (found for found in least if not _is_rounding(sweep, found)), key=lambda found: found.margin, default=None
    )


def _is_rounding(sweep: Sweep, found: Noise) -> bool:
    """Tells whether a noise is so small that it is rounding."""
    return found.deviation <= SAME * max(
        (abs(float(trial.record.value or 0.0)) for trial in sweep.finished), default=0.0
    )


def _of_seeds(sweep: Sweep) -> Noise | None:
    """Estimates the noise from the best configuration, trained with several seeds."""
    numbers = seed_values(sweep)
    if len(numbers) < 2:
        return None
    text = f"the standard deviation over {len(numbers)} seeds of the best configuration"
    return Noise(statistics.stdev(numbers), len(numbers) - 1, text, False)


def seed_values(sweep: Sweep) -> list[float]:
    """Returns the value of the best configuration with each seed."""
    values = (sweep.seeds.get("metrics") or {}).get(sweep.metric or "", {}).get("values") or []
    return [float(value) for value in values if finite_number(value)]


def seeds_agree(sweep: Sweep) -> bool:
    """Tells whether several seeds gave the best configuration the same value, apart from rounding."""
    values = seed_values(sweep)
    return len(values) > 1 and max(values) - min(values) <= SAME * max(map(abs, values))


def _points(sweep: Sweep) -> list[dict[str, list[float]]]:
    """Groups the values of each point by seed; a parameter with `seed` in its name is one."""
    groups: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for trial in sweep.finished:
        seeds = {name: value for name, value in trial.record.params.items() if "seed" in name.lower()}
        rest = {name: value for name, value in trial.record.params.items() if name not in seeds}
        groups[text_of(rest)][text_of(seeds)].append(float(trial.record.value or 0.0))
    return list(groups.values())


def _pooled(groups: Sequence[Sequence[float]], of: str, lower_bound: bool) -> Noise | None:
    """Pools the variance within groups of values; None with fewer than two degrees of freedom."""
    repeated = [values for values in groups if len(values) > 1]
    degrees = sum(len(values) - 1 for values in repeated)
    if degrees < 2:
        return None
    pooled = math.sqrt(sum(statistics.variance(values) * (len(values) - 1) for values in repeated) / degrees)
    return Noise(pooled, degrees, f"{of} ({count_text(len(repeated), 'point')})", lower_bound)


def _of_repeated_seeds(sweep: Sweep) -> Noise | None:
    """Estimates the noise from points that the search tried with several seeds, one trial of each."""
    groups = [[values[0] for values in by_seed.values()] for by_seed in _points(sweep)]
    return _pooled(groups, "trials of the same point with several seeds", False)


def _of_repeats(sweep: Sweep) -> Noise | None:
    """Estimates the noise from trials of the same point and seed, as most trainers use a fixed one."""
    groups = [values for by_seed in _points(sweep) for values in by_seed.values()]
    return _pooled(groups, "trials of the same point", True)


def _of_curves(sweep: Sweep) -> Noise | None:
    """Estimates the noise from how the best trials' last evaluations scatter around a straight line."""
    squares, degrees, used = 0.0, 0, 0
    for trial in sweep.ranked()[:CURVE_TRIALS]:
        residual = residuals(trial) if trial.record.state == "finished" else None
        if residual is not None:
            squares, degrees, used = squares + residual[0], degrees + residual[1], used + 1
    if degrees < 4:
        return None
    text = f"how the metric scatters between the last evaluations of the best {count_text(used, 'trial')}"
    return Noise(math.sqrt(squares / degrees), degrees, text, True)


def residuals(trial: Trial, last: int = 8) -> tuple[float, int] | None:
    """Fits a straight line to the last half of a curve, at most `last` values.

    Returns:
        Sum of squares around the line, and its degrees of freedom; None with too few values.
    """
    half = trial.tail[-min(last, max(CURVE_POINTS, len(trial.tail) // 2)) :]
    if len(half) < CURVE_POINTS:
        return None
    xs = list(range(len(half)))
    slope, intercept = statistics.linear_regression(xs, half)
    return sum((y - slope * x - intercept) ** 2 for x, y in zip(xs, half, strict=True)), len(half) - 2


@dataclass(frozen=True)
class Verdict:
    """The answer to whether the best trial is the best."""

    clear: bool | None  # None: too little is known about the noise
    text: str
    alike: list[str]  # names of finished trials that cannot be told apart from the best, itself among them


def compare_best(sweep: Sweep) -> Verdict | None:
    """Compares the best trial, or point, with the others; None with fewer than two finished ones."""
    if sweep.by_points:
        return _compare_points(sweep)
    ranked = [trial.record for trial in sweep.ranked() if is_finished(trial)]
    if len(ranked) < 2:
        return None
    others = len(sweep.trials) - len(ranked)
    which = "finished trials that keep the constraints" if sweep.spec and sweep.spec.constraints else "finished trials"
    only = f" Only {which} are compared: {len(ranked)} of {len(sweep.trials)}." if others else ""
    found = _compare(sweep, ranked)
    return Verdict(found.clear, f"{found.text}{only}", found.alike)


def _compare_points(sweep: Sweep) -> Verdict | None:
    """Compares the best point of a sweep with repeats with the others, as a race does."""
    assert sweep.spec is not None and sweep.spec.repeats is not None
    points = [trial.point for trial in sweep.trials if trial.point is not None]
    able, seeds = keeping_constraints(sweep.spec, points), f"{sweep.repeat_noun}s"
    best = best_by(sweep.spec, points)
    if best is None or len(able) < 2:
        return None
    compared = compare_points(able, sweep.goal, sweep.spec.repeats)
    names = {point.number: point.name for point in able}
    told = f"{best.name} has the best mean, {_mean_text(best, sweep.repeat_noun)}"
    if sum(point.estimate.n - 1 for point in able if point.estimate.n > 1) < KNOWN:
        return Verdict(
            None, f"{told}. Too few {seeds} have finished to tell how large chance differences are.", [best.name]
        )
    if compared.noise <= SAME * max(abs(float(point.estimate.mean or 0.0)) for point in able):
        text = f"{told}. All {seeds} of each point gave the same value: nothing here tells how large chance differences are."
        return Verdict(None, text, [best.name])
    rivals = [names[number] for number in compared.rivals if names[number] != best.name]
    basis = f"noise between {seeds} {compared.noise:.2g}, 5 % of error over the whole sweep"
    if not rivals:
        return Verdict(True, f"{told}: more than chance ahead of every other point ({basis}).", [best.name])
    shown = rivals if len(rivals) <= EQUAL_NAMED else [*rivals[:EQUAL_NAMED], f"{len(rivals) - EQUAL_NAMED} more"]
    others = shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
    return Verdict(False, f"{told}. It cannot be told apart from {others} ({basis}).", [best.name, *rivals])


def _mean_text(point: Point, noun: str) -> str:
    """Formats a point's mean with its standard error: `82.1 ± 0.2 (standard error, 3 seeds)`."""
    found = point.estimate
    spread = "" if found.error is None else f" ± {found.error:.2g}"
    return f"{found.mean:.5g}{spread} ({'' if found.error is None else 'standard error, '}{count_text(found.n, noun)})"


def _compare(sweep: Sweep, ranked: Sequence[TrialRecord]) -> Verdict:
    """Compares the best of at least two finished trials with the others.

    Args:
        ranked: the finished trials, best first.
    """
    best, second = ranked[0], ranked[1]
    gap = abs(float(best.value or 0) - float(second.value or 0))
    found, advice = noise(sweep), _advice(sweep)
    equal = [record.name for record in ranked if record.value == best.value]
    if len(equal) > 1 and found is None:
        return Verdict(False, f"{equal_text(sweep, equal)} {advice}".rstrip(), equal)
    if found is None:
        unknown = "" if seeds_agree(sweep) else "; nothing here tells how large chance differences are"
        text = f"{best.name} is {gap:.3g} ahead of {second.name}{unknown}."
        return Verdict(None, f"{text} {advice}".rstrip(), [best.name])
    margin = found.margin
    alike = [record.name for record in ranked if abs(float(record.value or 0) - float(best.value or 0)) <= margin]
    least = " at least" if found.lower_bound else ""
    basis = f"noise {found.deviation:.2g}{least}, from {found.origin}; two trials differ from {margin:.2g}{least} on, at 95 %"
    if len(alike) > 1:
        ahead = f"The best two cannot be told apart: {best.name} is {gap:.2g} ahead of {second.name}"
        text = (
            f"{ahead if len(equal) == 1 else equal_text(sweep, equal).rstrip('.')} ({basis}). "
            f"{len(alike)} trials are within that distance of the best. {advice}"
        )
        return Verdict(False, text.rstrip(), alike)
    if found.lower_bound:
        text = (
            f"{best.name} is {gap:.3g} ahead of {second.name}, more than values vary within one seed ({basis}). "
            f"Between seeds they usually vary more; how much is not known. {advice}"
        )
        return Verdict(None, text.rstrip(), alike)
    clear = f"{best.name} is ahead of {second.name} by {gap:.3g}, more than chance ({basis})."
    return Verdict(True, clear, alike)


def equal_text(sweep: Sweep, names: Sequence[str]) -> str:
    """Says which trials are equally the best."""
    shown = (
        list(names)
        if len(names) <= EQUAL_NAMED
        else [*names[: EQUAL_NAMED - 1], f"{len(names) - EQUAL_NAMED + 1} more"]
    )
    best = sweep.best
    value = best.value if best is not None else None
    return f"{', '.join(shown[:-1])} and {shown[-1]} are equally the best, with {value:.6g}."


def _advice(sweep: Sweep) -> str:
    """Advises how to learn about the noise; empty where that has been done."""
    values = seed_values(sweep)
    if seeds_agree(sweep):
        return (
            f"The best configuration gave the same value with {len(values)} seeds: they change nothing in this trainer, "
            "and say nothing of chance."
        )
    where = " (command below)" if trains_best(sweep) else ""
    return "" if len(values) > 1 else f"Train the best with several seeds to know{where}."


def t_quantile(share: float, degrees: int) -> float:
    """Computes a quantile of Student's t distribution above its middle, by halving the interval in which its tail lies."""
    low, high = 0.0, 1.0
    while student_tail(high, degrees) > 1 - share:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if student_tail(middle, degrees) > 1 - share else (low, middle)
    return high
