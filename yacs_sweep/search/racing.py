"""Decides what the next trial of a sweep with repeats trains: a further seed of a point, or a new point.

Pure functions; `records/standings.py` compares the points. With a race, points get seeds one by one: one that is out of the race
gets none, one that may be the best gets more, and the trials this saves go to new points.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..records.standings import Entry, compare

FAILED_SEEDS = 2  # failed seeds after which a point without any value gets no further one
FIRST_POINTS = 5  # points before any is repeated: the first few say little of each other
CONTENDER = 0.15  # chance from which a point is worth a further seed while new points are tried
FINAL_SHARE = 0.25  # share of a sweep's trials that only goes to seeds of the best points, at its end


@dataclass(frozen=True)
class Race:
    """Describes how points are repeated.

    Attributes:
        n: seeds of a point, at most.
        goal: `maximize` or `minimize`.
        drop: whether points that are unlikely to be the best get no further seed; else every point gets n seeds.
        paired: whether the same place is the same seed for all points (`seeds: common`).
    """

    n: int
    goal: str = "minimize"
    drop: bool = True
    paired: bool = True


def next_seed(
    entries: Sequence[Entry], race: Race, *, left: int | None = None, new_points: bool = True
) -> tuple[int, int] | None:
    """Returns the point (its number) and the place of its seed that the next trial is to have; None: a new point.

    A new point begins with the seed of place 0.

    Args:
        entries: all points so far.
        left: trials that may still be started, this one included; None: not known.
        new_points: whether there are new points; without them, None says that no point is to get a further seed.
    """
    open_places = {entry.number: _open_place(entry, race.n) for entry in entries}
    if not race.drop:
        return next(((number, place) for number, place in open_places.items() if place is not None), None)
    for entry in entries:  # a seed that failed does not spoil its point
        place = open_places[entry.number]
        if not entry.values and not entry.running and 0 < len(entry.failed) < FAILED_SEEDS and place is not None:
            return entry.number, place
    held = {entry.number: len(entry.values) + len(entry.running) for entry in entries}
    found = compare(entries, goal=race.goal, paired=race.paired)
    started = sum(len(entry.values) + len(entry.running) + len(entry.failed) for entry in entries)
    last = left is not None and left <= FINAL_SHARE * (started + left)
    waiting = [s for s in found.standings if s.n and not s.dropped and open_places[s.number] is not None]
    if new_points and not last:
        if len(entries) < FIRST_POINTS:
            return None
        waiting = [s for s in waiting if s.chance >= CONTENDER and held[s.number] == s.n]
    if not waiting:
        return None
    better = max if race.goal == "maximize" else min
    top = sorted(waiting, key=lambda s: s.mean, reverse=better is max)[:4]
    chosen = min(top, key=lambda s: held[s.number])
    place = open_places[chosen.number]
    assert place is not None
    return chosen.number, place


def _open_place(entry: Entry, n: int) -> int | None:
    """Returns the first place of a seed that a point has not had; None when it has had all."""
    if not entry.values and len(entry.failed) >= FAILED_SEEDS:
        return None
    return next(
        (p for p in range(n) if p not in entry.values and p not in entry.running and p not in entry.failed), None
    )
