"""Compares points that were trained with several seeds: means, their errors, who is out of the race, who is the best.

Pure functions over points and their values by seed. Seeds are counted by place: 0, 1, … n - 1. With common seeds the same
place is the same seed for every point (or the same fold); where these clearly differ, what they differ by is taken out.

The noise (the spread between the seeds of one point) is taken to be alike for all points and is estimated from all of them
together: two or three seeds of one point say little. Values are mean of the point + effect of the seed + noise, effects being
random (Henderson's mixed model equations); without effects, this is the plain mean.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from ..base.values import finite_number
from ..spec.sweep import Repeats
from .folder import TrialRecord, best_of, better
from .points import Aims, Point, able_points, group_points, keeping_constraints, seeds_needed

LEVEL = 0.05  # share of sweeps in which the truly best point may be dropped
KNOWN = 3  # degrees of freedom from which the estimated noise is good enough to drop a point by it
JUDGED = 5  # and from which effects of common seeds are looked for
CLEAR = 10.0  # ratio of mean squares (F) from which differences between common seeds are taken out
TINY = 1e-9  # makes the equations solvable where effects are known up to a constant


@dataclass(frozen=True)
class Entry:
    """Holds the values of one point.

    Attributes:
        number: of the point.
        values: by the seed's place; those that are not finite are ignored.
        running: places of seeds that are being trained, or are owed to the point.
        failed: places of seeds that ended without a value.
    """

    number: int
    values: Mapping[int, float] = field(default_factory=dict)
    running: frozenset[int] = frozenset()
    failed: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Standing:
    """Says how a point compares with the best one.

    Attributes:
        number: of the point.
        n: seeds with a value.
        mean: of the values; with common seeds less the estimated effects of the seeds. nan without a value.
        error: standard error of `mean`; nan while no point has two values.
        chance: that the point is as good as the best one, were these two all there is (a p value, one-sided); 1 for the
            best one, and while too little is known.
        dropped: whether the point is out of the race: `chance`, times the number of comparisons (points × seeds), is below
            5 %.
    """

    number: int
    n: int
    mean: float
    error: float
    chance: float
    dropped: bool


@dataclass(frozen=True)
class Comparison:
    """Holds the comparison of all points of a sweep, in the order they were given.

    Attributes:
        standings: of the points.
        noise: standard deviation between the seeds of a point; nan while no point has two values.
        best: number of the point with the best mean of those with enough seeds; None without any value.
        rivals: numbers of the points that are not out of the race against it, the best first.
    """

    standings: tuple[Standing, ...]
    noise: float
    best: int | None
    rivals: tuple[int, ...]


def compare(
    entries: Sequence[Entry], *, goal: str, paired: bool = True, raced: bool = False, enough: int = 1
) -> Comparison:
    """Compares points by their means.

    Args:
        goal: `maximize` or `minimize`.
        paired: whether the same place is the same seed for all points (`seeds: common`).
        raced: whether a point's first seed decided if it got others.
        enough: seeds, failed ones included, that the best point has; where no point has them, the most that one has.
    """
    sign = 1.0 if goal == "maximize" else -1.0
    rows = [{place: sign * v for place, v in entry.values.items() if finite_number(v)} for entry in entries]
    fit = _Fit([row for row in rows if row], paired=paired, raced=raced)
    means = [fit.mean(row) for row in rows]
    best = _best([len(row) + len(entry.failed) for entry, row in zip(entries, rows, strict=True)], means, enough)
    # Each point is compared again after each seed: looks × rivals comparisons, any of which may err.
    looks = max(map(len, fit.rows), default=1)
    level = LEVEL / max(1, looks * (len(fit.rows) - 1))
    standings = []
    for place, (entry, row, mean) in enumerate(zip(entries, rows, means, strict=True)):
        chance = 1.0
        if row and best is not None and place != best:
            chance = fit.chance(row, rows[best])
        error = fit.noise / math.sqrt(len(row)) if row else math.nan
        standings.append(Standing(entry.number, len(row), sign * mean, error, chance, chance < level))
    if best is None:
        return Comparison(tuple(standings), fit.noise, None, ())
    alike = [place for place, row in enumerate(rows) if row and place != best and not standings[place].dropped]
    rivals = tuple(entries[place].number for place in sorted(alike, key=lambda place: -means[place]))
    return Comparison(tuple(standings), fit.noise, entries[best].number, rivals)


def compare_points(points: Sequence[Point], goal: str, repeats: Repeats) -> Comparison:
    """Compares the points of a sweep with repeats by their finished trials."""
    return compare(
        [_entry(point, repeats) for point in points],
        goal=goal,
        paired=repeats.paired,
        raced=repeats.race,
        enough=repeats.enough,
    )


def _entry(point: Point, repeats: Repeats) -> Entry:
    """Converts a point: its values by the places of their seeds; a seed of no place has one behind them."""
    known = [repeats.seed_at(point.number, place) for place in range(repeats.n)]
    places: dict[str, int] = {}
    for record in point.trials:
        found = known.index(record.seed) if record.seed in known else repeats.n + len(places)
        places[record.id] = found
    values = {places[record.id]: record.value for record in point.finished if finite_number(record.value)}
    ended = {places[record.id]: record.state for record in point.trials if record.settled}
    # A seed that was stopped early is none of those that a point has to be the best.
    failed = frozenset(place for place, state in ended.items() if state != "stopped" and place not in values)
    return Entry(point.number, values, frozenset(places.values() - ended.keys()), failed)


def best_by(aims: Aims, points: Iterable[Point]) -> Point | None:
    """Finds the point with the best mean among `able_points`; None without any.

    What common seeds differ by is taken out of the means where that is clear (`compare`).
    """
    goal = aims.objectives[0].goal if aims.objectives else "minimize"
    able = able_points(aims, points)
    if aims.repeats is not None:
        number = compare_points(able, goal, aims.repeats).best
        return next((point for point in able if point.number == number), None)
    best: Point | None = None
    for point in able:
        if best is None or better(goal, point.estimate.mean or 0.0, best.estimate.mean or 0.0):
            best = point
    return best


def rivals(aims: Aims, points: Iterable[Point]) -> list[Point]:
    """Lists the rivals of the best point, best first: points whose difference from it may be chance.

    None without repeats, and while the spread between seeds is hardly known: then nothing can be said of any point.
    """
    if aims.repeats is None or not aims.objectives:
        return []
    able = keeping_constraints(aims, points)
    found = compare_points(able, aims.objectives[0].goal, aims.repeats)
    if all(standing.chance == 1.0 for standing in found.standings):
        return []
    by_number = {point.number: point for point in able}
    return [by_number[number] for number in found.rivals]


def rank_points(aims: Aims, points: Sequence[Point]) -> list[Point]:
    """Sorts points: the best one, other `able_points`, others with a mean, each best first; then the rest by number."""
    able = {point.name for point in able_points(aims, points)}
    best = best_by(aims, points)
    maximize = bool(aims.objectives) and aims.objectives[0].goal == "maximize"

    def key(point: Point) -> tuple[int, float, int]:
        mean = point.estimate.mean
        if mean is None:
            return (3, 0.0, point.number)
        group = 0 if best is not None and point.name == best.name else 1 if point.name in able else 2
        return (group, -mean if maximize else mean, point.number)

    return sorted(points, key=key)


def best_record(aims: Aims, records: Iterable[TrialRecord]) -> TrialRecord | None:
    """Returns the best finished trial; with repeats the one that stands for the best point (`Point.typical`)."""
    goal = aims.objectives[0].goal if aims.objectives else "minimize"
    if aims.repeats is None:
        return best_of(records, goal)
    best = best_by(aims, group_points(records))
    return None if best is None else best.typical


def _best(counts: Sequence[int], means: Sequence[float], enough: int) -> int | None:
    """Returns the place of the best mean of those with enough seeds; None without any mean."""
    known = [place for place, mean in enumerate(means) if not math.isnan(mean)]
    least = seeds_needed((counts[place] for place in known), enough)
    return max((place for place in known if counts[place] >= least), key=lambda place: means[place], default=None)


class _Fit:
    """Estimates the noise, and the effects of common seeds where these are clear, from the values of all points."""

    def __init__(self, rows: Sequence[Mapping[int, float]], *, paired: bool, raced: bool) -> None:
        self.rows, self.raced = rows, raced
        self.effects: dict[int, float] = {}
        self.covariance: dict[tuple[int, int], float] = {}  # of the effects, in units of the noise's variance
        self.prior = 0.0  # variance of an effect, in the same units
        several = [row for row in rows if len(row) > 1]
        self.freedom = sum(len(row) - 1 for row in several)
        self.noise = math.sqrt(_within(several) / self.freedom) if self.freedom else math.nan
        if paired:
            self._find_effects(several)

    def _find_effects(self, rows: Sequence[Mapping[int, float]]) -> None:
        """Estimates the effects of the seeds if they are clear; what they explain is no noise then.

        In a race, points are repeated because their first seed did well: it would seem a good seed. So the others decide.
        """
        judged = [row for row in map(self._judged, rows) if len(row) > 1]
        equations = _Equations(judged)
        within, explained = _within(judged), equations.explained()
        freedom = sum(len(row) - 1 for row in judged) - equations.rank
        if freedom < JUDGED or not equations.rank:
            return
        variance = max(0.0, within - explained) / freedom
        if explained / equations.rank < CLEAR * variance or explained <= 0.0:
            return
        effect = (explained - equations.rank * variance) / equations.trace
        ratio = max(TINY, variance / effect)
        self.freedom, self.noise, self.prior = freedom, math.sqrt(variance), 1 / ratio
        self.effects, self.covariance = _Equations(rows).solve(ratio)

    def _judged(self, row: Mapping[int, float]) -> dict[int, float]:
        """Returns the values that did not decide whether their point was repeated."""
        return {place: value for place, value in row.items() if place or not self.raced}

    def mean(self, row: Mapping[int, float]) -> float:
        """Returns the mean of a point, less the effects of its seeds."""
        if not row:
            return math.nan
        return fmean(value - self.effects.get(place, 0.0) for place, value in row.items())

    def chance(self, one: Mapping[int, float], other: Mapping[int, float]) -> float:
        """Returns the probability that a point which is as good as another one looks as much worse, or more.

        1 while the noise is hardly known.
        """
        if self.freedom < KNOWN:
            return 1.0
        apart, error = self.mean(other) - self.mean(one), self.error(one, other)
        if self.effects and self.raced:  # the effect of the first seed is not known well: only the others are compared
            shared = self._judged(one).keys() & other.keys()
            if not shared:
                return 1.0
            apart = fmean(other[place] - one[place] for place in sorted(shared))
            error = self.noise * math.sqrt(2 / len(shared))
        return student_tail(apart / error, self.freedom) if error > 0 else float(apart <= 0)

    def error(self, one: Mapping[int, float], other: Mapping[int, float]) -> float:
        """Returns the standard error of the difference of two points' means."""
        variance = 1 / len(one) + 1 / len(other)
        if self.covariance:
            weights: dict[int, float] = {}
            for place in one:
                weights[place] = weights.get(place, 0.0) + 1 / len(one)
            for place in other:
                weights[place] = weights.get(place, 0.0) - 1 / len(other)
            items = [(place, weight) for place, weight in weights.items() if weight]
            for a, u in items:
                for b, v in items:
                    own = self.prior if a == b else 0.0  # a seed that only points of one seed had
                    variance += u * v * self.covariance.get((a, b), own)
        return self.noise * math.sqrt(max(variance, 0.0))


def _within(rows: Iterable[Mapping[int, float]]) -> float:
    """Returns the sum of the squared deviations from the rows' means."""
    return math.fsum((value - mean) ** 2 for row in rows for mean in [fmean(row.values())] for value in row.values())


class _Equations:
    """Holds the normal equations of the seeds' effects, the points' means being eliminated."""

    def __init__(self, rows: Sequence[Mapping[int, float]]) -> None:
        self.places = sorted({place for row in rows for place in row})
        size, index = len(self.places), {place: i for i, place in enumerate(self.places)}
        self.matrix = [[0.0] * size for _ in self.places]
        self.right = [0.0] * size
        for row in rows:
            mean, share = fmean(row.values()), 1 / len(row)
            at = [index[place] for place in row]
            for i, value in zip(at, row.values(), strict=True):
                self.matrix[i][i] += 1.0
                self.right[i] += value - mean
                for j in at:
                    self.matrix[i][j] -= share
        self.trace = math.fsum(self.matrix[i][i] for i in range(size))
        self.rank = size - _groups(rows)

    def explained(self) -> float:
        """Returns the sum of squares that the effects explain."""
        found = _solve(self.matrix, [self.right], TINY)[0]
        return max(0.0, math.fsum(a * b for a, b in zip(found, self.right, strict=True)))

    def solve(self, ratio: float) -> tuple[dict[int, float], dict[tuple[int, int], float]]:
        """Returns the effects and their covariance, by place; `ratio` is the noise's variance to that of the effects."""
        size = range(len(self.places))
        inverse = _solve(self.matrix, [[float(i == j) for j in size] for i in size], ratio)
        effects = {place: math.fsum(inverse[i][j] * self.right[j] for j in size) for i, place in enumerate(self.places)}
        return effects, {(a, b): inverse[i][j] for i, a in enumerate(self.places) for j, b in enumerate(self.places)}


def _groups(rows: Sequence[Mapping[int, float]]) -> int:
    """Counts the groups of places that are connected by rows."""
    groups: list[set[int]] = []
    for row in rows:
        joined = set(row)
        apart = []
        for group in groups:
            if group & joined:
                joined |= group
            else:
                apart.append(group)
        groups = [*apart, joined]
    return len(groups)


def _solve(matrix: Sequence[Sequence[float]], rights: Iterable[Sequence[float]], ridge: float) -> list[list[float]]:
    """Solves (matrix + ridge · 1) x = right for each right side, by Cholesky's decomposition."""
    size = len(matrix)
    lower = [[0.0] * size for _ in range(size)]
    for i in range(size):
        for j in range(i + 1):
            rest = matrix[i][j] + (ridge if i == j else 0.0)
            rest -= math.fsum(lower[i][k] * lower[j][k] for k in range(j))
            lower[i][j] = math.sqrt(max(rest, 1e-300)) if i == j else rest / lower[j][j]
    solved = []
    for right in rights:
        x = list(right)
        for i in range(size):
            x[i] = (x[i] - math.fsum(lower[i][k] * x[k] for k in range(i))) / lower[i][i]
        for i in reversed(range(size)):
            x[i] = (x[i] - math.fsum(lower[k][i] * x[k] for k in range(i + 1, size))) / lower[i][i]
        solved.append(x)
    return solved


def student_tail(t: float, freedom: int) -> float:
    """Returns the probability that Student's t exceeds `t` (Abramowitz and Stegun, 26.7.3 and 26.7.4)."""
    if math.isnan(t):
        return 1.0
    freedom = min(freedom, 300)  # beyond, a little too large a probability, and no time
    angle = math.atan(abs(t) / math.sqrt(freedom))
    cosine = math.cos(angle) ** 2
    term, total = 1.0, 0.0
    if freedom % 2:
        term = math.cos(angle)
        for k in range(3, freedom + 1, 2):
            total += term
            term *= cosine * (k - 1) / k
        inside = 2 / math.pi * (angle + math.sin(angle) * total)
    else:
        for k in range(2, freedom + 1, 2):
            total += term
            term *= cosine * (k - 1) / k
        inside = math.sin(angle) * total
    tail = 0.5 * max(0.0, 1.0 - inside)
    return tail if t > 0 else 1.0 - tail
