"""Measures the quality of points: mean best value after 15, 30 and 60 trials on functions of 7 mixed parameters.

Beside random search, Optuna's TPE alone and its GP alone, ours: the embedded controller as a sweep of trials that
take ten minutes uses it. All four start from the same ten random points of a seed, and the GP alone gets ours' random
numbers at each trial, so that what differs is the method and not the luck. All functions are minimised.

    python benchmarks/search_quality.py          a look: 3 seeds, about a minute
    python benchmarks/search_quality.py --full   what docs/search.md shows: 20 seeds, about 8 minutes of two cores
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import optuna
from search_speed import PARAMETERS

from yacs_sweep.records.folder import SweepPaths, TrialRecord
from yacs_sweep.search import sampling
from yacs_sweep.search.local import LocalController
from yacs_sweep.spec.read_sweep import sweep_from_dict

TRIAL_SECONDS = 600.0  # the median trial, which is what the choice of sampler asks for
MARKS = (15, 30, 60)
METHODS = ("random", "TPE", "GP", "ours")
Point = Mapping[str, Any]

# Hartmann's 6-dimensional function (Dixon and Szegö, 1978), as in Surjanovic and Bingham's library.
HARTMANN_A = (
    (10, 3, 17, 3.5, 1.7, 8),
    (0.05, 10, 17, 0.1, 8, 14),
    (3, 3.5, 1.7, 10, 17, 8),
    (17, 8, 0.05, 10, 0.1, 14),
)
HARTMANN_P = (
    (0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886),
    (0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991),
    (0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.6650),
    (0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381),
)


def hartmann(point: Point) -> float:
    """Computes Hartmann 6, one coordinate in tenths, with a categorical that shifts it; best about -3.32."""
    x = [point[f"x{place}"] for place in range(5)] + [point["tenths"] / 10]
    exponents = (
        sum(a * (value - p) ** 2 for a, p, value in zip(row_a, row_p, x, strict=True))
        for row_a, row_p in zip(HARTMANN_A, HARTMANN_P, strict=True)
    )
    shift = {"a": 0.0, "b": 0.3, "c": 0.8}[point["kind"]]
    return shift - sum(alpha * math.exp(-e) for alpha, e in zip((1.0, 1.2, 3.0, 3.2), exponents, strict=True))


def _mixed(point: Point) -> list[float]:
    """Scales seven parameters, the best at 0: three floats, one on a logarithmic scale, two integers, a choice."""
    return [
        point["x0"] - 0.31,
        point["x1"] + 0.17,
        point["x2"] - 0.05,
        (math.log10(point["rate"]) + 3.2) / 2,
        (point["n"] - 6) / 10,
        (point["m"] - 3) / 4,
        {"a": 0.6, "b": 0.0, "c": -0.3, "d": 1.0}[point["kind"]],
    ]


def ackley(point: Point) -> float:
    """Computes Ackley's function (1987), best 0."""
    x = [4 * value for value in _mixed(point)]
    root = math.sqrt(sum(value**2 for value in x) / len(x))
    waves = sum(math.cos(2 * math.pi * value) for value in x) / len(x)
    return -20 * math.exp(-0.2 * root) - math.exp(waves) + 20 + math.e


def rosenbrock(point: Point) -> float:
    """Computes Rosenbrock's valley (1960) in seven dimensions, as the logarithm of 1 + its value, best 0."""
    x = [1 + value for value in _mixed(point)]
    value = sum(100 * (b - a * a) ** 2 + (1 - a) ** 2 for a, b in pairwise(x))
    return math.log1p(value)


def levy(point: Point) -> float:
    """Computes Lévy's function (Laguna and Martí, 2005), best 0."""
    w = [1 + 2.5 * value for value in _mixed(point)]
    middle = sum((a - 1) ** 2 * (1 + 10 * math.sin(math.pi * a + 1) ** 2) for a in w[:-1])
    return math.sin(math.pi * w[0]) ** 2 + middle + (w[-1] - 1) ** 2 * (1 + math.sin(2 * math.pi * w[-1]) ** 2)


def training(point: Point) -> float:
    """Computes an invented trainer's error in percent; best about 12.

    The learning rate, relative to the batch and the optimizer's own, has a valley that ends in a cliff, which a
    warm-up moves; the other parameters matter little.
    """
    own = {"sgd": -1.6, "adam": -3.2, "adamw": -3.0}[point["optimizer"]]
    x = math.log10(point["rate"]) - math.log10(point["batch"] / 64) - own
    cliff = 30 / (1 + math.exp(-6 * (x - 1 - 0.05 * point["warmup"])))
    mild = (math.log10(point["decay"]) + 3.5) ** 2 + 15 * (point["margin"] - 0.3) ** 2
    floor = {"sgd": 14.0, "adam": 13.5, "adamw": 12.0}[point["optimizer"]]
    return min(95.0, floor + 5 * x * x + cliff + mild + 40 * (point["smoothing"] - 0.1) ** 2)


MIXED: dict[str, Any] = {
    **{f"x{place}": {"min": -1.0, "max": 1.0} for place in range(3)},
    "rate": {"distribution": "log_uniform_values", "min": 1e-5, "max": 1e-1},
    "n": {"min": 0, "max": 16},
    "m": {"min": 1, "max": 7},
    "kind": {"values": ["a", "b", "c", "d"]},
}
FUNCTIONS: dict[str, tuple[Callable[[Point], float], dict[str, Any]]] = {
    "Hartmann 6": (
        hartmann,
        {
            **{f"x{place}": {"min": 0.0, "max": 1.0} for place in range(5)},
            "tenths": {"min": 0, "max": 10},
            "kind": {"values": ["a", "b", "c"]},
        },
    ),
    "Ackley": (ackley, MIXED),
    "Rosenbrock": (rosenbrock, MIXED),
    "Lévy": (levy, MIXED),
    "training": (training, PARAMETERS),
}


def controller(folder: str, parameters: dict[str, Any], method: str, seed: int) -> LocalController:
    """Makes the embedded controller of a new sweep."""
    spec = sweep_from_dict({"method": method, "metric": {"name": "value"}, "parameters": parameters})
    paths = SweepPaths(Path(folder), "quality")
    paths.agents.mkdir(parents=True)
    return LocalController(paths, spec, lock_name="benchmark", seed=seed)


def _ours(function: str, method: str, seed: int) -> list[float]:
    call, parameters = FUNCTIONS[function]
    values = []
    sampling._median_seconds = lambda trials: TRIAL_SECONDS
    with tempfile.TemporaryDirectory() as folder:
        sweep = controller(folder, parameters, method, seed)
        if method == "bayes":
            sweep.chooser._torch.ready(120.0)  # a sweep imports torch while its first trials train
        for _ in range(MARKS[-1]):
            asked = sweep.ask()
            assert asked is not None
            trial, assignment = asked
            value = call(assignment.params)
            params = dict(assignment.params)
            record = TrialRecord(assignment.id, assignment.name, assignment.number, params, "finished", value=value)
            sweep.tell(trial, record)
            values.append(value)
        sweep.close()
    return values


def _alone(function: str, method: str, seed: int) -> list[float]:
    call, parameters = FUNCTIONS[function]
    warnings.simplefilter("ignore")
    sampler = (
        optuna.samplers.TPESampler(seed=seed)
        if method == "TPE"
        else optuna.samplers.GPSampler(seed=seed, warn_independent_sampling=False)
    )
    study = optuna.create_study(sampler=sampler)
    with tempfile.TemporaryDirectory() as folder:
        sweep = controller(folder, parameters, "random", seed)
        for number in range(10):
            study.enqueue_trial(sweep.chooser.random(number))
        for number in range(MARKS[-1]):
            if isinstance(sampler, optuna.samplers.GPSampler):
                sampler._rng.rng.seed(sampling.model_seed(seed, number))
            trial = study.ask()
            study.tell(trial, call(sweep.space.suggest(trial)))
    return [float(trial.value or 0.0) for trial in study.get_trials(deepcopy=False)]


def one(task: tuple[str, str, int]) -> tuple[str, str, int, list[float], float]:
    """Runs one search; returns the best value after each number of trials, and its seconds."""
    function, method, seed = task
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    started = time.perf_counter()
    if method in ("random", "ours"):
        values = _ours(function, "bayes" if method == "ours" else "random", seed)
    else:
        values = _alone(function, method, seed)
    return function, method, seed, [min(values[:mark]) for mark in MARKS], time.perf_counter() - started


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--full", action="store_true", help="20 seeds")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--functions", nargs="+", choices=list(FUNCTIONS), default=list(FUNCTIONS))
    options = parser.parse_args()
    options.seeds = 20 if options.full else options.seeds
    tasks = [(name, method, seed) for seed in range(options.seeds) for name in options.functions for method in METHODS]
    found: dict[tuple[str, str], dict[int, list[float]]] = {}
    seconds = dict.fromkeys(METHODS, 0.0)
    with ProcessPoolExecutor(options.processes, mp_context=get_context("spawn")) as pool:
        for name, method, seed, best, took in pool.map(one, tasks):
            found.setdefault((name, method), {})[seed] = best
            seconds[method] += took
    worse = 0
    print(f"mean best (standard error) of {options.seeds} seeds; lower is better")
    heads = " ".join(f"{method:>16}" for method in METHODS)
    print(f"{'function':12} {'trials':>6} {heads}  ours - better of TPE, GP")
    for name in options.functions:
        for place, mark in enumerate(MARKS):
            at = {m: [found[name, m][seed][place] for seed in range(options.seeds)] for m in METHODS}
            rival = min(("TPE", "GP"), key=lambda m: statistics.fmean(at[m]))
            apart = [ours - theirs for ours, theirs in zip(at["ours"], at[rival], strict=True)]
            error = statistics.stdev(apart) / math.sqrt(len(apart))
            mean = statistics.fmean(apart)
            bad = mean > 2 * error
            worse += bad
            cells = " ".join(
                f"{statistics.fmean(at[m]):9.3f} ({statistics.stdev(at[m]) / math.sqrt(options.seeds):.2f})"
                for m in METHODS
            )
            print(f"{name:12} {mark:6} {cells}  {mean:+.3f} ± {error:.3f} ({rival}){' WORSE' if bad else ''}")
    print("seconds a search: " + ", ".join(f"{m} {seconds[m] / len(tasks) * len(METHODS):.1f}" for m in METHODS))
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
