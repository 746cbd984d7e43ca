"""Takes in what users have ordered of a sweep that is resumed: how many trials it is to have, and points to try."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ...records.control.orders import Entry, last_count, points_added
from ...records.folder import TrialRecord
from ...records.launch_file import LaunchFile
from ...spec.sweep import SweepSpec
from ..plan.checks import grid_limit
from ..plan.source import Source


def with_orders(
    source: Source, entries: Sequence[Entry], records: Sequence[TrialRecord], told: LaunchFile | None = None
) -> Source:
    """Returns the source of a resumed sweep with the number of trials, and the points, that users have ordered.

    Args:
        entries: the sweep's whole list of orders.
        records: the trials of all machines.
        told: the launch as a database has it, which other machines may have changed.
    """
    last, spec = source.launch, source.spec
    assert last is not None and spec is not None
    source = replace(source, launch=counted_launch([last, told or last], entries, spec))
    points = waiting_points(entries, records, spec)
    if not points:
        return source
    order = last_count(entries)
    later = entries[entries.index(order) + 1 :] if order is not None else entries
    owed = len(waiting_points(later, records, spec))  # those before the order are among the number that it says
    return replace(source, given=points, owed=owed)


def counted_launch(launches: Sequence[LaunchFile], entries: Sequence[Entry], spec: SweepSpec) -> LaunchFile:
    """Returns the first of several descriptions of a sweep's launches with the number of trials that holds.

    It is the last one ordered, and what a later launch with --count has added to it; without an order the largest.
    """
    last, order = launches[0], last_count(entries)
    if order is None:
        return replace(last, target=max(launch.target for launch in launches))
    later = [launch.target for launch in launches if launch.counted == order.id]
    limits = [limit for limit in (grid_limit(spec, last.controller), spec.run_cap) if limit is not None]
    target = max(later) if later else min([order.given["count"], *limits])
    exhausted = last.exhausted and target <= last.target
    return replace(last, target=target, counted=order.id, exhausted=exhausted)


def waiting_points(
    entries: Sequence[Entry], records: Sequence[TrialRecord], spec: SweepSpec
) -> tuple[Mapping[str, Any], ...]:
    """Returns the points of --add-points that no trial has tried yet, in the order in which they will be."""
    if not any(points_added(entries).values()):
        return ()
    from ...search.space import Space  # imports Optuna, which takes half a second
    from ...search.storage.given_points import GivenPoints

    given = GivenPoints(Space(spec.parameters), ())
    given.take_in(entries)
    tried = {*given.places_of(records, ()).values()}
    return tuple(point for place, point in given.missing.items() if place not in tried)
