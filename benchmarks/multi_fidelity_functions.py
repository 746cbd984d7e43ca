"""Gives functions of known truth whose cheap versions are biased: an early epoch shows something else than the last.

Hartmann, Branin and Borehole with the biases of Kandasamy et al., "Multi-fidelity Bayesian Optimisation with Continuous
Approximations" (BOCA), ICML 2017, all fidelities of a function set to the share of the training that is done. There early
and late values agree nearly perfectly; so each also comes with a disturbance, another function of the same kind added, that
fades out with the training and is as large as a given correlation asks for. The made-up trainer has learning curves that
cross: what ends best is slow to begin with.
"""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product

EPOCHS = 27
Vector = Sequence[float]
Biased = Callable[[Vector, float], float]  # coordinates in 0 … 1, share of the training that is done

_HARTMANN = {
    3: (
        ((3, 10, 30), (0.1, 10, 35), (3, 10, 30), (0.1, 10, 35)),
        ((0.3689, 0.1170, 0.2673), (0.4699, 0.4387, 0.7470), (0.1091, 0.8732, 0.5547), (0.0381, 0.5743, 0.8828)),
    ),
    6: (
        ((10, 3, 17, 3.5, 1.7, 8), (0.05, 10, 17, 0.1, 8, 14), (3, 3.5, 1.7, 10, 17, 8), (17, 8, 0.05, 10, 0.1, 14)),
        (
            (0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886),
            (0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991),
            (0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.6650),
            (0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381),
        ),
    ),
}
# Borehole (Worley 1987): radius, influence, upper transmissivity and head, lower ones, length, conductivity.
_BOREHOLE = (
    (0.05, 0.15),
    (100, 50000),
    (63070, 115600),
    (990, 1110),
    (63.1, 116),
    (700, 820),
    (1120, 1680),
    (9855, 12045),
)


def hartmann(x: Vector, z: float) -> float:
    """Computes Hartmann's function in 3 or 6 dimensions (Dixon and Szegö 1978), its weights 0.1 less at z = 0."""
    matrix, centres = _HARTMANN[len(x)]
    total = 0.0
    for alpha, row, centre in zip((1.0, 1.2, 3.0, 3.2), matrix, centres, strict=True):
        exponent = sum(a * (value - p) ** 2 for a, p, value in zip(row, centre, x, strict=True))
        total += (alpha - 0.1 * (1 - z)) * math.exp(-exponent)
    return -total


def branin(x: Vector, z: float) -> float:
    """Computes Branin's function (1972)."""
    first, second = 15 * x[0] - 5, 15 * x[1]
    b, c = 5.1 / (4 * math.pi**2) - 0.01 * (1 - z), 5 / math.pi - 0.1 * (1 - z)
    t = 1 / (8 * math.pi) + 0.005 * (1 - z)
    return (second - b * first**2 + c * first - 6) ** 2 + 10 * (1 - t) * math.cos(first) + 10


def borehole(x: Vector, z: float) -> float:
    """Computes the flow through a borehole; at z = 0 the cheap formula of Xiong, Qian and Wu (2013)."""
    rw, r, tu, hu, tl, hl, length, kw = (
        low + value * (up - low) for (low, up), value in zip(_BOREHOLE, x, strict=True)
    )
    logarithm = math.log(r / rw)
    inner = 2 * length * tu / (logarithm * rw**2 * kw)
    exact = 2 * math.pi * tu * (hu - hl) / (logarithm * (1 + inner + tu / tl))
    cheap = 5 * tu * (hu - hl) / (logarithm * (1.5 + inner + tu / tl))
    return z * exact + (1 - z) * cheap


def trainer(x: Vector, z: float) -> float:
    """Computes an invented trainer's error in percent: a low rate and much augmentation end best and begin worst."""
    rate, augmentation, decay, width, warmup = x
    tau = 0.4 * 20 ** (1 - rate) * (1 + 2 * augmentation)
    floor = 10 + 25 * (rate - 0.4) ** 2 + 8 * (augmentation - 0.75) ** 2 + 10 * (decay - 0.4) ** 2
    floor += 4 * (1 - width) ** 2 + 3 * (warmup - 0.5) ** 2 + (200 * (rate - 0.85) ** 2 if rate > 0.85 else 0.0)
    return floor + (90 - floor) * (1 + z * EPOCHS / tau) ** -1.5


@dataclass(frozen=True)
class Problem:
    """Describes a search with learning curves of `EPOCHS` epochs, to be minimised.

    Attributes:
        name: in the tables.
        biased: the function with its published bias.
        dimensions: of a point.
        correlation: of the values at the beginning with those at the end, without the published bias; 1: none is added.
        offset: whether all curves fall with the epochs, as errors do; the trainer's do so by themselves.
    """

    name: str
    biased: Biased
    dimensions: int
    correlation: float = 1.0
    offset: bool = True

    @cached_property
    def sample(self) -> list[float]:
        """Final values of 2000 random points."""
        source = random.Random(1)
        points = [[source.random() for _ in range(self.dimensions)] for _ in range(2000)]
        return [self.biased(point, 1.0) for point in points]

    @cached_property
    def spread(self) -> float:
        """Standard deviation of the final values of random points."""
        return statistics.pstdev(self.sample)

    @cached_property
    def best(self) -> float:
        """The best final value, by a pattern search from the best of many points and of the corners."""
        source = random.Random(2)
        starts: list[Vector] = [[source.random() for _ in range(self.dimensions)] for _ in range(3000)]
        starts += list(product((0.0, 1.0), repeat=self.dimensions))
        starts = sorted(starts, key=lambda x: self.biased(x, 1.0))[:8]
        return min(_descend(lambda x: self.biased(x, 1.0), list(start)) for start in starts)

    @cached_property
    def middle(self) -> float:
        """The median of the final values of random points."""
        return statistics.median(self.sample)

    def value(self, x: Vector, epoch: int) -> float:
        """Computes what a trial logs at an epoch, counted from 1."""
        z = epoch / EPOCHS
        value = self.biased(x, z)
        if self.offset:
            value += 2 * self.spread * (epoch**-0.5 - EPOCHS**-0.5)
        if self.correlation < 1:
            other = [1 - value for value in (*x[1:], x[0])]
            weight = math.sqrt(1 / self.correlation**2 - 1)
            value += weight * (1 - z) * (self.biased(other, 1.0) - self.middle)
        return value

    def regret(self, final: float) -> float:
        """Computes the regret of a final value: 0 of the best, 1 of the median random point."""
        return (final - self.best) / (self.middle - self.best)


def _descend(function: Callable[[list[float]], float], x: list[float]) -> float:
    best, step = function(x), 0.25
    while step > 1e-6:
        moved = False
        for place in range(len(x)):
            for change in (-step, step):
                other = [*x]
                other[place] = min(1.0, max(0.0, other[place] + change))
                if (value := function(other)) < best:
                    best, x, moved = value, other, True
        step = step if moved else step / 2
    return best


PROBLEMS = {
    problem.name: problem
    for problem in (
        Problem("Hartmann 3", hartmann, 3),
        Problem("Hartmann 3, 0.6", hartmann, 3, 0.6),
        Problem("Hartmann 6", hartmann, 6),
        Problem("Hartmann 6, 0.9", hartmann, 6, 0.9),
        Problem("Hartmann 6, 0.6", hartmann, 6, 0.6),
        Problem("Branin", branin, 2),
        Problem("Branin, 0.6", branin, 2, 0.6),
        Problem("Borehole", borehole, 8),
        Problem("Borehole, 0.6", borehole, 8, 0.6),
        Problem("trainer", trainer, 5, offset=False),
    )
}


def speeds_of(seed: int, count: int) -> list[float]:
    """Draws the seconds of an epoch of each trial: the same for all methods."""
    source = random.Random(seed)
    return [math.exp(source.gauss(0, 0.3)) for _ in range(count)]
