"""Counts the points that users add to a sweep (`--add-points`): those that wait, and those that are known already."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ...spec.parameter import equality_key
from ..folder import TrialRecord
from .orders import Entry, points_added


def count_waiting(entries: Sequence[Entry], records: Iterable[TrialRecord]) -> int:
    """Counts the points of --add-points that no trial has tried yet, by the parameters of the trials.

    Args:
        entries: the sweep's whole list of orders.
    """
    added = Counter(equality_key(point) for points in points_added(entries).values() for point in points)
    if not added:
        return 0
    added.subtract(equality_key(record.params) for record in records if record.retry_of is None)
    return sum(number for number in added.values() if number > 0)


def count_known(points: Sequence[Mapping[str, Any]], entries: Sequence[Entry], records: Iterable[TrialRecord]) -> int:
    """Counts the points that a trial has, that wait already, or that stand before among themselves."""
    known = {equality_key(record.params) for record in records}
    known |= {equality_key(point) for added in points_added(entries).values() for point in added}
    found = 0
    for point in points:
        key = equality_key(point)
        found += key in known
        known.add(key)
    return found
