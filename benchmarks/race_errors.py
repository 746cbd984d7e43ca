"""Measures how often a race drops the truly best point, and how many trials it saves, on simulated grids.

A grid of points with known values is raced to its end. "Dropped" is the share of sweeps in which the best point was out of the
race at any time, in % (5 is what is promised), "at the end" when the race was over. "Regret" is how much worse than the
best point the chosen one truly is, in standard deviations of the noise; "trials" the share of points × seeds that was needed.

    python benchmarks/race_errors.py --sweeps 300        what docs/measurements/search.md shows, five minutes of one core
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from yacs_sweep.records.standings import Entry
from yacs_sweep.search.racing import Race, next_seed


@dataclass(frozen=True)
class Grid:
    """Describes a kind of grid: true values scatter by `spread`, seeds by 1 and, where common, by `effect` in common."""

    points: int
    n: int
    spread: float
    effect: float = 0.0
    paired: bool = True
    ties: bool = False  # half of the points are as good as the best one, the others worse by `spread`


GRIDS = (
    Grid(10, 3, 3),
    Grid(10, 3, 3, effect=3),
    Grid(30, 5, 1),
    Grid(30, 5, 3, effect=3),
    Grid(30, 5, 10),
    Grid(30, 10, 3, paired=False),
    Grid(60, 2, 3),
    Grid(10, 3, 3, ties=True),
    Grid(10, 10, 2, ties=True),
    Grid(30, 5, 1, effect=1, paired=False, ties=True),
    Grid(30, 5, 3, ties=True),
    Grid(60, 3, 5, effect=2, ties=True),
)


def sweep(grid: Grid, seed: int) -> tuple[bool, bool, float, float]:
    """Races a grid; returns whether the best point was ever dropped, is at the end, the share of trials, and the regret."""
    draw = random.Random(f"{grid}:{seed}")
    true = [draw.gauss(0, grid.spread) for _ in range(grid.points)]
    if grid.ties:
        true = [0.0 if number < grid.points // 2 else grid.spread for number in range(grid.points)]
    effects = [draw.gauss(0, grid.effect) for _ in range(grid.n)]
    race, values = Race(grid.n, paired=grid.paired), list[dict[int, float]]()
    best, ever, trials = true.index(min(true)), False, 0
    while True:
        entries = [Entry(number, dict(row)) for number, row in enumerate(values)]
        found = race.compare(entries)
        dropped = best < len(values) and found.standings[best].dropped
        ever = ever or dropped
        left = grid.points * grid.n - trials
        turn = next_seed(entries, race, left=left, new_points=len(values) < grid.points) if left else None
        if turn is None:
            if len(values) == grid.points:
                break
            values.append({})
            turn = (len(values) - 1, 0)
        point, place = turn
        effect = effects[place] if grid.paired else draw.gauss(0, grid.effect)
        values[point][place] = true[point] + effect + draw.gauss(0, 1)
        trials += 1
    assert found.best is not None
    return ever, dropped, trials / (grid.points * grid.n), true[found.best] - true[best]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sweeps", type=int, default=20, help="of each kind")
    sweeps = parser.parse_args().sweeps
    worst = 0.0
    print(f"{'points':>6} {'seeds':>5} {'spread':>6} {'effect':>6} {'':14} dropped  at the end  trials  regret")
    for grid in GRIDS:
        found = [sweep(grid, seed) for seed in range(sweeps)]
        ever, end, trials, regret = (statistics.fmean(column) for column in zip(*found, strict=True))
        kind = ("ties " if grid.ties else "") + ("" if grid.paired else "fresh seeds")
        print(
            f"{grid.points:6} {grid.n:5} {grid.spread:6g} {grid.effect:6g} {kind:14} {100 * ever:6.1f}% {100 * end:10.1f}%"
            f" {100 * trials:6.0f}% {regret:7.2f}",
            flush=True,
        )
        worst = max(worst, ever)
    return 1 if worst > 0.05 else 0


if __name__ == "__main__":
    sys.exit(main())
