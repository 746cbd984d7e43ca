"""Decides what the next trial of a sweep with repeats trains: a further seed of a point, or a new point.

Pure functions; `records/standings.py` compares the points. In a race every point has one seed at first, and the last trials
of the sweep confirm the best ones: the best mean gets the next seed, until it has all of them or another mean is better. A
point that is unlikely to be the best gets none. What this saves goes to new points: a sweep finds more by trying points than
by repeating them, and a few seeds at its end tell the best from the lucky (`benchmarks/noisy_search.py`). Of several objectives
the points on the front of the means are confirmed, those with the fewest seeds first; what is not on it gets none.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..records.standings import Comparison, Entry, compare
from ..spec.sweep import enough_seeds

FAILED_SEEDS = 2  # failed seeds after which a point without any value gets no further one
FINAL_SHARE = 0.15  # of a sweep's trials confirm its best points, at its end
CONFIRMED = 3  # seeds of the best point before a new one is tried, where the sweep's end is not known
FIRST_POINTS = 5  # points before any is confirmed so: the first few say little of each other


@dataclass(frozen=True)
class Race:
    """Describes how points are repeated.

    Attributes:
        n: seeds of a point, at most.
        goal: `maximize` or `minimize`.
        drop: whether the points are raced; else every point gets n seeds.
        paired: whether the same place is the same seed for all points (`seeds: common`).
        target: value that ends the sweep when the mean of a point with all its seeds reaches it.
    """

    n: int
    goal: str = "minimize"
    drop: bool = True
    paired: bool = True
    target: float | None = None

    def reached(self, mean: float) -> bool:
        """Tells whether a mean has reached the target."""
        if self.target is None:
            return False
        return mean >= self.target if self.goal == "maximize" else mean <= self.target

    def compare(self, entries: Sequence[Entry]) -> Comparison:
        """Compares the points as far as they are."""
        enough = enough_seeds(self.n, race=self.drop)
        return compare(entries, goal=self.goal, paired=self.paired, raced=self.drop, enough=enough)


def next_seed(
    entries: Sequence[Entry],
    race: Race,
    *,
    left: int | None = None,
    new_points: bool = True,
    front: Sequence[int] | None = None,
) -> tuple[int, int] | None:
    """Returns the point (its number) and the place of its seed that the next trial is to have; None: a new point.

    A new point begins with the seed of place 0. A failed seed is not tried again, and does not spoil its point.

    Args:
        entries: all points so far.
        left: trials that may still be started, this one included; None: not known.
        new_points: whether there are new points; without them, None says that no point is to get a further seed.
        front: of several objectives the numbers of the points on the front of the means, in whose place no single best point
            is confirmed; None: there is one objective.
    """
    places = {entry.number: _open_place(entry, race) for entry in entries}
    if not race.drop:
        return next(((number, place) for number, place in places.items() if place is not None), None)
    for entry in entries:
        place = places[entry.number]
        if entry.failed and not entry.values and not entry.running and place is not None:
            return entry.number, place
    early = new_points and not _is_last(entries, race, left)
    if early and left is not None and race.target is None:
        return None
    held = {entry.number: len(entry.values) + len(entry.running) + len(entry.failed) for entry in entries}
    least = CONFIRMED if left is None and len(entries) >= FIRST_POINTS else 0
    if front is not None:
        confirmed = sorted(front, key=lambda number: held[number])
        open_places = ((number, places[number]) for number in confirmed if not early or held[number] < least)
        return next(((number, place) for number, place in open_places if place is not None), None)
    standings = race.compare(entries).standings
    ranked = sorted((item for item in standings if item.n), key=lambda item: item.mean, reverse=race.goal == "maximize")
    if early:
        ranked = [item for item in ranked[:1] if held[item.number] < least or race.reached(item.mean)]
    for item in ranked:
        place = places[item.number]
        if place is not None and not item.dropped:
            return item.number, place
    return None


def final_trials(trials: int, n: int) -> int:
    """Returns how many of a sweep's trials confirm the best points: a share, but enough for one point, and half at most."""
    return min(trials // 2, max(n - 1, math.ceil(FINAL_SHARE * trials)))


def _is_last(entries: Sequence[Entry], race: Race, left: int | None) -> bool:
    """Tells whether the next trial is one of the last, which confirm the best points."""
    if left is None:
        return False
    started = sum(len(entry.values) + len(entry.running) + len(entry.failed) for entry in entries)
    return left <= final_trials(started + left, race.n)


def _open_place(entry: Entry, race: Race) -> int | None:
    """Returns the first place of a seed that a point has not had; None when it has had all, or failed too often."""
    if race.drop and not entry.values and len(entry.failed) >= FAILED_SEEDS:
        return None
    had = {*entry.values, *entry.running, *entry.failed}
    return next((place for place in range(race.n) if place not in had), None)
