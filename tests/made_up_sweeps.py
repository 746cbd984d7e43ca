"""Made-up sweeps whose truth is known: which parameters decide the metric, and in which order."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.report_sweeps import METRIC, in_memory, trial
from yacs_sweep.show.report.data import Curve, Sweep, Trial

EPOCHS = 20
RUNGS = (2, 6)  # epochs at which trials are stopped that are not among the better half
Draw = Callable[[random.Random], Any]


def linear(low: float = 0.0, high: float = 1.0) -> Draw:
    return lambda source: source.uniform(low, high)


def logarithmic(low: float, high: float) -> Draw:
    return lambda source: 10 ** source.uniform(math.log10(low), math.log10(high))


def one_of(*values: Any) -> Draw:
    return lambda source: source.choice(values)


@dataclass(frozen=True)
class Known:
    """A sweep and the truth about it."""

    name: str
    draw: Mapping[str, Draw]
    quality: Callable[[Mapping[str, Any]], float]
    order: Sequence[str]  # parameters with an effect, the strongest first; all others have none
    count: int = 40
    noise: float = 0.1
    stopping: bool = False
    goal: str = "maximize"
    slow: Callable[[Mapping[str, Any]], float] = field(default=lambda params: 0.25)  # share of the training it needs
    found: int = 1  # how many of `order` there are trials enough to find, in that order

    def sweep(self, seed: int = 0) -> Sweep:
        """Draws points at random and trains them; with `stopping`, by successive halving."""
        source = random.Random(f"{self.name} {seed}")
        points = [{name: draw(source) for name, draw in self.draw.items()} for _ in range(self.count)]
        return searched(self, points, source)


def searched(known: Known, points: Sequence[Mapping[str, Any]], source: random.Random) -> Sweep:
    """Trains the points in their order."""
    reached: dict[int, list[float]] = {rung: [] for rung in RUNGS}
    trials = [trained(known, number, params, source, reached) for number, params in enumerate(points)]
    return in_memory(trials, goal=known.goal)


def trained(
    known: Known, number: int, params: Mapping[str, Any], source: random.Random, reached: dict[int, list[float]]
) -> Trial:
    """Trains one point: a curve that rises to its quality, and ends early where it is not among the better half."""
    sign = 1.0 if known.goal == "maximize" else -1.0
    final, pace = known.quality(params) + known.noise * source.gauss(0, 1), known.slow(params) * EPOCHS
    ys: list[float] = []
    state = "finished"
    for epoch in range(1, EPOCHS + 1):
        start = -5.0
        value = start + (final - start) * (1 - math.exp(-epoch / pace)) / (1 - math.exp(-EPOCHS / pace))
        ys.append(sign * (value + 0.2 * known.noise * source.gauss(0, 1)))
        if known.stopping and epoch in reached and epoch < EPOCHS:
            others = reached[epoch]
            others.append(sign * ys[-1])
            if len(others) > 2 and sum(other > sign * ys[-1] for other in others) >= len(others) / 2:
                state = "stopped"
                break
    found = trial(number, params, ys[-1], state=state)
    found.curves[METRIC] = Curve([float(epoch) for epoch in range(1, len(ys) + 1)], ys)
    found.epochs = True
    return found


def peak(value: float, at: float, width: float = 1.0) -> float:
    """A hill over the logarithm of a value."""
    return -abs(math.log10(value / at)) / width


LR = logarithmic(1e-5, 1e-1)
SCHEDULE = {"cosine": 0.0, "step": 0.8, "linear": 1.6}
COMMON: dict[str, Draw] = {"lr": LR, "wd": logarithmic(1e-6, 1e-2), "margin": linear(), "seed": one_of(*range(5))}


def _sweeps() -> list[Known]:
    """Lists the sweeps; each kind with and without early stopping."""
    found = []
    for stopping in (False, True):
        tail = " with early stopping" if stopping else ""

        def add(
            name: str, draw: Mapping[str, Draw], quality: Any, order: Sequence[str], tail: str = tail, **more: Any
        ) -> None:
            found.append(Known(name + tail, draw, quality, order, **more))

        both = {"stopping": stopping}
        add("one of four matters", COMMON, lambda p: peak(p["lr"], 1e-3), ["lr"], **both)
        add("noise alone", COMMON, lambda p: 0.0, [], found=0, **both)
        add("the metric is constant", COMMON, lambda p: 1.0, [], noise=0.0, found=0, **both)
        add("monotone over decades", COMMON, lambda p: 0.5 * math.log10(p["wd"]), ["wd"], **both)
        add(
            "two matter, one more",
            COMMON,
            lambda p: 2 * peak(p["lr"], 1e-3) + 1.2 * p["margin"],
            ["lr", "margin"],
            count=80,
            found=2,
            **both,
        )
        add(
            "a category matters most",
            {"schedule": one_of(*SCHEDULE), "margin": linear(), "depth": one_of(18, 34, 50)},
            lambda p: 1.5 * SCHEDULE[p["schedule"]] + 0.6 * p["margin"],
            ["schedule", "margin"],
            found=2,
            **both,
        )
        add(
            "many levels without effect",
            {"word": one_of(*(f"w{n}" for n in range(12))), "margin": linear()},
            lambda p: 2 * p["margin"],
            ["margin"],
            **both,
        )
        add("much noise", COMMON, lambda p: peak(p["lr"], 1e-3), ["lr"], noise=3.0, found=0, **both)
        add("twelve trials", COMMON, lambda p: 2 * math.log10(p["lr"]), ["lr"], count=12, **both)
        add("six trials", COMMON, lambda p: peak(p["lr"], 1e-3), ["lr"], count=6, found=0, **both)
        add(
            "an interaction without effects of its own",
            {"a": linear(-1, 1), "b": linear(-1, 1), "c": linear()},
            lambda p: 3 * (1 if p["a"] * p["b"] > 0 else -1),
            ["a", "b"],
            found=0,
            **both,
        )
        add(
            "an interaction beside an effect",
            {"a": linear(), "b": linear(), "c": linear()},
            lambda p: 4 * p["a"] + 2 * p["a"] * p["b"],
            ["a", "b"],
            count=60,
            **both,
        )
        add("minimized", COMMON, lambda p: peak(p["lr"], 1e-2), ["lr"], goal="minimize", **both)
        add(
            "whole numbers, few values",
            {"depth": one_of(1, 2, 3, 4), "batch": one_of(16, 32, 64, 128), "margin": linear()},
            lambda p: p["depth"] + 0.3 * math.log2(p["batch"]),
            ["depth", "batch"],
            count=60,
            found=2,
            **both,
        )
    found.append(
        Known("high rates are stopped", COMMON, lambda p: -2 * math.log10(p["lr"]), ["lr"], count=12, stopping=True)
    )
    found.append(
        Known(
            "low rates are slow and stopped",
            COMMON,
            lambda p: peak(p["lr"], 1e-3),
            ["lr"],
            stopping=True,
            slow=lambda p: min(2.0, 0.1 * (1e-1 / p["lr"]) ** 0.3),
        )
    )
    return found


SWEEPS = _sweeps()
