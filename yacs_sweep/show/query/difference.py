"""Computes differences between two sweeps in pairs of what both have, and how sure these are."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...base.values import finite_number
from ...base.wording import counted
from ...records.folder import TrialRecord, better
from ...records.progress import unretried
from ...records.standings import student_tail

CLEAR = 0.05  # the chance below which a difference is more than chance
_Points = Mapping[tuple[tuple[str, str], ...], Mapping[str, list[float]]]  # values by point and seed


@dataclass(frozen=True)
class Difference:
    """Holds by how much the second sweep's values are larger than the first one's: those of its best, or of common points.

    Attributes:
        metric: that both sweeps optimise.
        value: the difference of the values or means.
        error: its standard error; None where that is not known.
        chance: the probability of so large a difference, in either direction, were there none; None likewise.
        pairs: the seeds or points that both have, over which it was taken; 0: over the means.
        better: 0 or 1, the sweep that is better; None for equal ones.
        noun: the word for what both have in pairs.
    """

    metric: str
    value: float
    error: float | None
    chance: float | None
    pairs: int
    better: int | None
    noun: str = "common seed"

    @property
    def clear(self) -> bool:
        """Whether it is more than chance."""
        return self.chance is not None and self.chance < CLEAR


def common_difference(metric: str, goal: str, sides: Sequence[Sequence[TrialRecord]]) -> Difference | None:
    """Compares all trials of two sweeps whose point and seed both have, in pairs; None with fewer than two pairs.

    A parameter that has one value in each of the sweeps does not belong to the point: it may be what the sweeps differ in.
    Of several common points each counts once, by the mean over its common seeds, as seeds of one point are not independent.

    Args:
        sides: the trials of the sweeps.
    """
    done = [[record for record in unretried(side) if _counts(record)] for side in sides]
    varied = {name for side in done for name, values in _values_of(side).items() if len(values) > 1}
    one, other = (_by_point(side, varied) for side in done)
    found = []
    for point in one:
        seeds = [seed for seed in one[point] if seed in other.get(point, {})]
        found.append([statistics.fmean(other[point][seed]) - statistics.fmean(one[point][seed]) for seed in seeds])
    found = [differences for differences in found if differences]
    if len(found) > 1:
        paired, noun = [statistics.fmean(differences) for differences in found], "common point"
    else:
        paired, noun = (found[0] if found else []), "common seed"
    if len(paired) < 2:
        return None
    value = statistics.fmean(paired)
    which = None if value == 0 else int(better(goal, value, 0.0))
    return Difference(metric, value, *judged(paired), len(paired), which, noun)


def _counts(record: TrialRecord) -> bool:
    """Tells whether a trial has finished with a number."""
    return record.state == "finished" and finite_number(record.value)


def _values_of(records: Iterable[TrialRecord]) -> dict[str, set[str]]:
    """Collects the values of each parameter."""
    found: dict[str, set[str]] = defaultdict(set)
    for record in records:
        for name, value in record.params.items():
            found[name].add(_text(value))
    return found


def _text(value: Any) -> str:
    """Writes a value so that 1 and 1.0 are the same."""
    return repr(float(value)) if isinstance(value, int | float) and not isinstance(value, bool) else repr(value)


def _by_point(records: Iterable[TrialRecord], names: set[str]) -> _Points:
    """Groups the values of trials by their point, which the parameters `names` make, and by their seed."""
    found: dict[tuple[tuple[str, str], ...], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for record in records:
        point = tuple(sorted((name, _text(value)) for name, value in record.params.items() if name in names))
        found[point][repr(record.seed)].append(float(record.value or 0.0))
    return found


def judged(values: Sequence[float]) -> tuple[float | None, float | None]:
    """Returns the standard error of a mean, and the chance of so large a one were it 0 (Student's t, two-sided)."""
    error = statistics.stdev(values) / math.sqrt(len(values))
    return error, chance_of(statistics.fmean(values), error, len(values) - 1)


def welch(values: Sequence[Sequence[float]]) -> tuple[float | None, float | None]:
    """Returns the standard error of the difference of two means, and its chance (Welch's t); None with single values."""
    if min(map(len, values)) < 2:
        return None, None
    parts = [statistics.variance(each) / len(each) for each in values]
    error = math.sqrt(sum(parts))
    spread = sum(part**2 / (len(each) - 1) for part, each in zip(parts, values, strict=True))
    freedom = max(1, math.floor(error**4 / spread)) if spread else 1
    return error, chance_of(statistics.fmean(values[1]) - statistics.fmean(values[0]), error, freedom)


def chance_of(value: float, error: float, freedom: int) -> float | None:
    """Returns the two-sided probability of a mean; None where nothing scatters, which says nothing of chance."""
    return 2 * student_tail(abs(value / error), freedom) if error else None


def difference_text(ids: Sequence[str], found: Difference) -> str | None:
    """Says which sweep is better by how much, and whether that is chance; None where its error is not known."""
    if found.better is None:
        return f"both are as good in {found.metric}"
    if found.chance is None or found.error is None:
        return None
    over = f"over {counted(found.pairs, found.noun)}" if found.pairs else "over means of different seeds"
    sure = "more than chance" if found.clear else "may be chance"
    how = f"{ids[found.better]} is better in {found.metric} by {abs(found.value):.4g}"
    return f"{how} ± {found.error:.2g} (standard error) {over}: {sure} (p = {found.chance:.2g})"
