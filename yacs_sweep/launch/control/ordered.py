"""Takes in what users have ordered of a sweep that is resumed: how many trials it is to have, and points to try."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ...base.wording import counted
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
    number = count_waiting(entries, records, spec)
    if number == 0:
        return source
    note = f"tried first: {counted(number, 'point')} of --add-points"
    return replace(source, added=number, notes=(*source.notes, note))


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


def count_waiting(entries: Sequence[Entry], records: Sequence[TrialRecord], spec: SweepSpec) -> int:
    """Counts the points of --add-points that no trial has tried yet; those before the last --set-count count in it."""
    order = last_count(entries)
    after = entries[entries.index(order) + 1 :] if order is not None else entries
    if not any(points_added(after).values()):
        return 0
    from ...search.space import Space  # imports Optuna, which takes half a second
    from ...search.storage.given_points import GivenPoints

    given = GivenPoints(Space(spec.parameters), ())
    given.take_in(after)
    return len(given.missing) - len(given.places_of(records, ()))
