"""Measures the quality of points: regret after 15, 30 and 60 trials on eight functions of seven mixed parameters.

Five functions on which the search was tuned (with seeds from 1000 on), and three on which it was not. A regret is a value's
distance from the function's best one in % of the function's range, which reaches to the value that 5 % of random points
exceed. Beside each mean stand its standard error, the worst seed and the share of stuck searches (after 60 trials the
regret is more than half of that of the seed's first ten random points).

Beside random search, Optuna's TPE, GP and CMA-ES (`pip install cmaes`) alone; ours is the embedded controller. Optuna's
samplers begin with the ten random points that our random search has for the seed; ours begins with the first of them. A peer
in an environment of its own is a command that is given parameters, number of trials and seed as a line of JSON, then writes
each point as a line of JSON and reads its value:

    python benchmarks/search_quality.py          a look: 3 seeds, some minutes
    python benchmarks/search_quality.py --seeds 20 --results FILE
                              what docs/measurements/search.md shows; FILE keeps what is done, another call resumes
    python benchmarks/search_quality.py --peer "SMAC=ENVIRONMENT/bin/python benchmarks/peers/search_smac.py"
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import optuna
from peers.run import run_peer
from search_speed import PARAMETERS

from yacs_sweep.records.folder import SweepPaths, TrialRecord
from yacs_sweep.search import sampling
from yacs_sweep.search.local import LocalController
from yacs_sweep.search.space import Space
from yacs_sweep.spec.read_sweep import sweep_from_dict

MARKS = (15, 30, 60)
METHODS = ("random", "TPE", "GP", "CMA-ES", "ours")
START = 10  # random points that Optuna's samplers begin with
Point = Mapping[str, Any]
Task = tuple[str, str, int]  # function, method, seed

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


def styblinski(point: Point) -> float:
    """Computes the mean of Styblinski and Tang's function (1990) over seven parameters, best -39.17; each has two valleys."""
    signs = (-1, 1, -1, 1, -1, 1, -1)
    z = [max(-5.0, min(5.0, -2.903534 + 6 * sign * v)) for sign, v in zip(signs, _mixed(point), strict=True)]
    return statistics.fmean((v**4 - 16 * v**2 + 5 * v) / 2 for v in z)


def svm(point: Point) -> float:
    """Computes an invented support vector machine's error in percent, best 6: a kernel decides which parameters matter.

    Far from the valley of C and gamma the error is that of guessing, and does not say where the valley is.
    """
    c, gamma = math.log10(point["C"]), math.log10(point["gamma"])
    if point["kernel"] == "rbf":
        floor, away = 6.0, (gamma + 2.2 + 0.35 * c) ** 2 + 0.35 * (c - 1.2) ** 2
    elif point["kernel"] == "poly":
        floor, away = 9.0, 0.8 * (gamma + 1.5 + c / point["degree"]) ** 2 + 0.5 * (point["degree"] - 3) ** 2
    else:
        floor, away = 14.0, 0.6 * (c + 1) ** 2
    scale = {"none": 1.2, "standard": 0.0, "minmax": 0.25}[point["scale"]]
    away += scale + 2.5 * (math.log(point["features"] / 40)) ** 2 + 1.5 * (point["weight"] - 0.65) ** 2
    return floor + (48 - floor) * (1 - math.exp(-away / 2.2))


def cliff(point: Point) -> float:
    """Computes an invented trainer's error in percent, best 20: it is best beside a cliff, and flat far from there."""
    step = math.log10(point["rate"] / (1 - point["momentum"]))
    margin = {"plain": -1.2, "norm": -0.4, "scaled": -0.7}[point["init"]] - 0.08 * (point["depth"] - 8) / 4 - step
    if margin < 0:
        return 95.0
    own = 0.35 * (math.log10(point["decay"]) + 4) ** 2 + 0.04 * (point["depth"] - 14) ** 2
    own += {"plain": 1.0, "norm": 0.0, "scaled": 0.3}[point["init"]] + 2 * (point["drop"] - 0.15) ** 2
    own += 0.3 * (math.log2(point["batch"]) - 7) ** 2
    return 20 + 70 * (1 - math.exp(-(1.1 * margin + own) / 2))


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
    "Styblinski": (styblinski, MIXED),
    "SVM": (
        svm,
        {
            "C": {"distribution": "log_uniform_values", "min": 1e-3, "max": 1e4},
            "gamma": {"distribution": "log_uniform_values", "min": 1e-6, "max": 1e2},
            "kernel": {"values": ["linear", "poly", "rbf"]},
            "degree": {"min": 2, "max": 6},
            "scale": {"values": ["none", "standard", "minmax"]},
            "features": {"min": 4, "max": 200},
            "weight": {"min": 0.0, "max": 1.0},
        },
    ),
    "cliff": (
        cliff,
        {
            "rate": {"distribution": "log_uniform_values", "min": 1e-5, "max": 1e0},
            "momentum": {"min": 0.0, "max": 0.98},
            "decay": {"distribution": "log_uniform_values", "min": 1e-6, "max": 1e-2},
            "depth": {"min": 2, "max": 24},
            "batch": {"values": [16, 32, 64, 128, 256]},
            "init": {"values": ["plain", "norm", "scaled"]},
            "drop": {"min": 0.0, "max": 0.6},
        },
    ),
}
NEW = ("Styblinski", "SVM", "cliff")  # the search was not tuned on them
BEST = {
    "Hartmann 6": -3.32,
    "Ackley": 0.0,
    "Rosenbrock": 0.0,
    "Lévy": 0.0,
    "training": 12.0,
    "Styblinski": -39.16617,
    "SVM": 6.0,
    "cliff": 20.0,
}


@cache
def spread(function: str) -> float:
    """Returns the range of a function: from its best value to the one that 5 % of random points exceed."""
    call, parameters = FUNCTIONS[function]
    spec = sweep_from_dict({"method": "random", "parameters": parameters})
    values = sorted(call(spec.random_point(10_000, number)) for number in range(1000))
    return values[949] - BEST[function]


def controller(folder: str, parameters: dict[str, Any], method: str, seed: int) -> LocalController:
    """Makes the embedded controller of a new sweep."""
    spec = sweep_from_dict({"method": method, "metric": {"name": "value"}, "parameters": parameters})
    paths = SweepPaths(Path(folder), "quality")
    paths.agents.mkdir(parents=True)
    return LocalController(paths, spec, lock_name="benchmark", seed=seed)


def _ours(function: str, method: str, seed: int) -> list[float]:
    call, parameters = FUNCTIONS[function]
    values = []
    with tempfile.TemporaryDirectory() as folder:
        sweep = controller(folder, parameters, method, seed)
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
    sampler: optuna.samplers.BaseSampler = {
        "TPE": lambda: optuna.samplers.TPESampler(seed=seed),
        "GP": lambda: optuna.samplers.GPSampler(seed=seed, warn_independent_sampling=False),
        "CMA-ES": lambda: optuna.samplers.CmaEsSampler(seed=seed, warn_independent_sampling=False),
    }[method]()
    study = optuna.create_study(sampler=sampler)
    spec = sweep_from_dict({"method": "random", "parameters": parameters})
    space = Space(spec.parameters)
    chooser = sampling.Chooser(spec, space, seed)
    for number in range(START):
        study.enqueue_trial(chooser.random(number))
    for number in range(MARKS[-1]):
        if isinstance(sampler, optuna.samplers.GPSampler):
            sampler._rng.rng.seed(sampling.model_seed(seed, number))
        trial = study.ask()
        study.tell(trial, call(space.suggest(trial)))
    return [float(trial.value or 0.0) for trial in study.get_trials(deepcopy=False)]


def _peer(function: str, command: str, seed: int) -> tuple[list[float], float]:
    """Asks a program of another environment for the points; returns their values, and the seconds of its suggestions."""
    call, parameters = FUNCTIONS[function]
    values: list[float] = []

    def evaluate(asked: dict[str, Any]) -> float:
        values.append(call(asked["point"]))
        return values[-1]

    about = {"parameters": parameters, "trials": MARKS[-1], "seed": seed, "deterministic": True}
    _, seconds = run_peer(command, about, evaluate)
    return values, seconds


def one(task: Task, command: str | None = None) -> tuple[list[float], float]:
    """Runs one search; returns the value of each trial, and its seconds. `command`: of a peer."""
    function, method, seed = task
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    started = time.perf_counter()
    if command is not None:
        return _peer(function, command, seed)
    if method in ("random", "ours"):
        values = _ours(function, "bayes" if method == "ours" else "random", seed)
    else:
        values = _alone(function, method, seed)
    return values, time.perf_counter() - started


def measure(
    tasks: Sequence[Task], peers: Mapping[str, str], file: Path | None, processes: int
) -> dict[Task, tuple[list[float], float]]:
    """Runs the searches that are not in the file yet; returns the values and the seconds of all in the file."""
    found: dict[Task, tuple[list[float], float]] = {}
    if file is not None and file.is_file():
        for line in file.read_text(encoding="utf-8").splitlines():
            (function, method, seed), values, seconds = json.loads(line)
            found[function, method, seed] = (values, seconds)
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        running = {pool.submit(one, task, peers.get(task[1])): task for task in tasks if task not in found}
        for done in as_completed(running):
            task = running[done]
            found[task] = done.result()
            if file is not None:
                with file.open("a", encoding="utf-8") as out:
                    out.write(json.dumps([task, *found[task]]) + "\n")
    return found


def regret(function: str, values: Sequence[float]) -> float:
    """Returns the regret of the best value, in % of the function's range."""
    return 100 * (min(values) - BEST[function]) / spread(function)


@cache
def _start(function: str, seed: int) -> list[float]:
    """Returns the values of the random points that Optuna's samplers begin with."""
    call, parameters = FUNCTIONS[function]
    spec = sweep_from_dict({"method": "random", "parameters": parameters})
    return [call(spec.random_point(seed, number)) for number in range(START)]


def _cell(regrets: Sequence[float], stuck: Sequence[bool]) -> str:
    """Writes mean (standard error), worst, share of stuck searches."""
    error = statistics.stdev(regrets) / math.sqrt(len(regrets)) if len(regrets) > 1 else math.nan
    return f"{statistics.fmean(regrets):.1f} ({error:.1f}), {max(regrets):.0f}, {100 * statistics.fmean(stuck):.0f} %"


def show(found: Mapping[Task, tuple[list[float], float]], functions: Sequence[str], methods: Sequence[str]) -> int:
    """Prints the table of the seeds that all methods have; returns how often ours is worse than the best other by two errors.

    The last lines compare, over the functions together, ours with each other method: the mean of the paired differences.
    """
    print("regret in % of the function's range; lower is better: mean (standard error), worst, stuck after 60 trials")
    print("| function | seeds | trials | " + " | ".join(methods) + " | ours − best other |")
    print("|---" * (4 + len(methods)) + "|")
    whole: dict[tuple[str, int], list[float]] = {}
    stuck_whole: dict[str, list[bool]] = {}
    worse = 0
    for name in functions:
        seeds = [seed for _, _, seed in found if all((name, method, seed) in found for method in methods)]
        seeds = sorted(set(seeds))
        if not seeds:
            continue
        starts = {seed: regret(name, _start(name, seed)) for seed in seeds}
        stuck = {
            method: [regret(name, found[name, method, seed][0]) > 0.5 * starts[seed] for seed in seeds]
            for method in methods
        }
        for method in methods:
            stuck_whole.setdefault(method, []).extend(stuck[method])
        for mark in MARKS:
            at = {m: [regret(name, found[name, m, seed][0][:mark]) for seed in seeds] for m in methods}
            for method in methods:
                whole.setdefault((method, mark), []).extend(at[method])
            cells = [_cell(at[method], stuck[method]) for method in methods]
            others = [method for method in methods if method not in ("ours", "random")]
            if "ours" in methods and others and len(seeds) > 1:
                rival = min(others, key=lambda m: statistics.fmean(at[m]))
                mean, error = difference(at["ours"], at[rival])
                worse += mean > 2 * error
                cells.append(f"{mean:+.1f} ± {error:.1f} ({rival})")
            print(f"| {name} | {len(seeds)} | {mark} | " + " | ".join(cells) + " |")
    for mark in MARKS:
        if all((method, mark) in whole for method in methods):
            cells = [_cell(whole[method, mark], stuck_whole[method]) for method in methods]
            print(f"| **all** | {len(whole[methods[0], mark])} | {mark} | " + " | ".join(cells) + " | |")
    for method in methods if "ours" in methods else ():
        if method != "ours" and (method, MARKS[-1]) in whole:
            apart = [difference(whole["ours", mark], whole[method, mark]) for mark in MARKS]
            print(f"ours − {method}, all: " + ", ".join(f"{mean:+.2f} ± {error:.2f}" for mean, error in apart))
    for method in methods:
        seconds = [took for (_, name, _), (_, took) in found.items() if name == method]
        if seconds:
            print(f"{method}: {statistics.fmean(seconds):.1f} s a search")
    return worse


def difference(one: Sequence[float], other: Sequence[float]) -> tuple[float, float]:
    """Returns the mean of the paired differences and its standard error."""
    apart = [a - b for a, b in zip(one, other, strict=True)]
    return statistics.fmean(apart), statistics.stdev(apart) / math.sqrt(len(apart)) if len(apart) > 1 else math.nan


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--functions", nargs="+", choices=list(FUNCTIONS), default=list(FUNCTIONS))
    parser.add_argument("--methods", nargs="*", choices=METHODS, default=["random", "TPE", "GP", "ours"])
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=COMMAND", help="another search")
    parser.add_argument("--results", type=Path, metavar="FILE", help="keeps what is done; what it has is not run again")
    options = parser.parse_args()
    peers = dict(peer.split("=", 1) for peer in options.peer)
    methods = [*options.methods, *peers]
    seeds = range(options.first, options.first + options.seeds)
    tasks = [(name, method, seed) for seed in seeds for name in options.functions for method in methods]
    found = measure(tasks, peers, options.results, options.processes)
    return 1 if show(found, options.functions, methods) else 0


if __name__ == "__main__":
    sys.exit(main())
