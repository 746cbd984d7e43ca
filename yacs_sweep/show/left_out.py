"""Says which trials, or points, cannot be the best or on the front of several objectives, and why. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..base.values import finite_number
from ..base.wording import counted
from ..records.front import points_within
from ..records.points import Aims, Point, keeping_constraints, noun_of, seeds_needed
from ..spec.sweep import Metric

KINDS = ("violates", "beyond", "few", "early")  # of reasons, in the order in which they are told


def words_of(aims: Aims | None) -> dict[str, str]:
    """Returns the words for each kind of reason."""
    few = f"with too few {noun_of(aims)}s"
    words = ("violating a constraint", "worse than a threshold", few, "not finished")
    return dict(zip(KINDS, words, strict=True))


def thresholds_missed(values: Mapping[str, Any], objectives: Iterable[Metric]) -> list[str]:
    """Lists the thresholds that values are worse than, as conditions: `ms <= 5`."""
    return [
        f"{metric.name} {'>=' if metric.goal == 'maximize' else '<='} {metric.threshold:g}"
        for metric in objectives
        if metric.threshold is not None
        and finite_number(value := values.get(metric.name))
        and not metric.within(float(value))
    ]


def threshold_text(values: Mapping[str, Any], objectives: Iterable[Metric]) -> str:
    """Says which thresholds values are worse than; empty where they are worse than none."""
    missed = thresholds_missed(values, objectives)
    return f"worse than the threshold {' and '.join(missed)}" if missed else ""


def kind_of(*, finished: bool, keeps: bool, able: bool, values: Mapping[str, Any], objectives: Sequence[Metric]) -> str:
    """Says why a trial, or a point, cannot be on the front: one of `KINDS`; empty where it can.

    Args:
        keeps: whether it is known to keep the constraints.
        able: whether it has enough seeds.
        values: of the objectives.
    """
    if not finished:
        return "early"
    if not keeps:
        return "violates"
    if thresholds_missed(values, objectives):
        return "beyond"
    return "" if able else "few"


def left_out(aims: Aims, points: Sequence[Point]) -> dict[str, str]:
    """Names the points that cannot be the best or on the front, with the kind of the reason (`KINDS`)."""
    least = _least_seeds(aims, points)
    found = {
        point.name: kind_of(
            finished=bool(point.finished),
            keeps=bool(point.judge(aims.constraints)[0]),
            able=point.settled >= least,
            values=point.values,
            objectives=aims.objectives,
        )
        for point in points
    }
    return {name: kind for name, kind in found.items() if kind}


def _otherwise_able(aims: Aims, points: Sequence[Point]) -> list[Point]:
    """Selects the points that nothing but their number of seeds keeps from being the best or on the front."""
    if len(aims.objectives) > 1:
        return points_within(points, aims.objectives, aims.constraints)
    return keeping_constraints(aims, points)


def _least_seeds(aims: Aims, points: Sequence[Point]) -> int:
    """Returns how many seeds are enough to be the best or on the front."""
    return seeds_needed((point.settled for point in _otherwise_able(aims, points)), aims.seeds_enough)


def cannot_be(aims: Aims) -> str:
    """Begins the line of `left_out_text`."""
    return "cannot be on the front" if len(aims.objectives) > 1 else "cannot be the best"


def left_out_text(aims: Aims, points: Sequence[Point]) -> str:
    """Counts the points that cannot be the best or on the front, by reason; empty where all can that have finished.

    A sweep of one objective without repeats has the reason beside each trial, and nothing here.
    """
    if aims.repeats is None and len(aims.objectives) < 2:
        return ""
    kinds = Counter(left_out(aims, points).values())
    if not kinds.keys() - {"early"}:
        return ""
    least = _least_seeds(aims, points)
    words = {**words_of(aims), "few": f"with fewer than {counted(least, noun_of(aims))}"}
    return ", ".join(f"{kinds[kind]} {words[kind]}" for kind in KINDS if kinds[kind])
