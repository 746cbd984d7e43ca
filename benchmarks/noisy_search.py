"""Measures what noise does to a search: the true value of the point that is chosen after a number of trials.

The five functions of search_quality.py, with noise of the size that training has: its standard deviation is a thirtieth of
the function's range (of 30 points of mAP, one), and three times that. The range is what lies between the best value and
that of a bad point, which 5 % of random points exceed. A value depends on seed, point and place of the point's seed: all
methods meet the same noise, and all but SMAC start from the same random points.

    race          ours: every point once, the last 15 % of the trials confirm the best ones (search/racing.py), 5 seeds at most
    race, 60 %    the same with 60 % of the trials
    3 repeats     ours, every point three times, the search learns from means
    no repeats    ours, every point once, the best value is believed
    GP alone      Optuna's GP sampler, the best value is believed
    SMAC          SMAC3's random forest and intensification, as its facade for hyperparameters sets them (3 seeds at most)

    python benchmarks/noisy_search.py --seeds 20         with TPE in place of the GP, four minutes of a core
    python benchmarks/noisy_search.py --seeds 20 --model GP --smac ENVIRONMENT/bin/python --results FILE
                                                         with the GP, two hours of two cores; FILE keeps what is done, and
                                                         another call with it resumes
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import shlex
import statistics
import sys
import warnings
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import optuna
from optuna.trial import create_trial
from peers.run import run_peer
from search_quality import BEST, NEW, START, Point, difference, spread
from search_quality import FUNCTIONS as ALL_FUNCTIONS

from yacs_sweep.records.standings import Entry
from yacs_sweep.search import sampling
from yacs_sweep.search.racing import Race, next_seed
from yacs_sweep.search.space import Space
from yacs_sweep.search.stored import SEEDS as SEEDS_OF
from yacs_sweep.spec.read_sweep import sweep_from_dict

FUNCTIONS = {name: what for name, what in ALL_FUNCTIONS.items() if name not in NEW}
METHODS = ("race", "race, 60 %", "3 repeats", "no repeats", "GP alone", "SMAC")
SEEDS = 5  # of a point, at most, in a race
Task = tuple[str, float, int, int, str, str]  # function, noise, seed, trials, model, SMAC's interpreter


class Noisy:
    """Evaluates a function with noise."""

    def __init__(self, function: str, noise: float, seed: int) -> None:
        self.call, self.parameters = FUNCTIONS[function]
        self.spec = sweep_from_dict({"method": "bayes", "metric": {"name": "value"}, "parameters": self.parameters})
        self.space = Space(self.spec.parameters)
        self.deviation = noise * spread(function) / 30
        self.name = f"{function}:{seed}"

    def value(self, point: Point, place: int) -> float:
        """Evaluates a point with the seed of this place."""
        draw = random.Random(f"{self.name}:{sorted(point.items())}:{place}")
        return self.call(point) + draw.gauss(0, self.deviation)


class Search:
    """Runs our bayes search over points with several seeds."""

    suggested: dict[Hashable, dict[str, Any]]  # suggestions of this seed, by the means and numbers of seeds behind them

    def __init__(self, noisy: Noisy, seed: int, suggested: dict[Hashable, dict[str, Any]]) -> None:
        self.noisy, self.suggested = noisy, suggested
        self.chooser = sampling.Chooser(noisy.spec, noisy.space, seed)
        self.points: list[dict[str, Any]] = []
        self.values: list[dict[int, float]] = []

    def new_point(self) -> None:
        """Suggests a point and evaluates its first seed."""
        means = [statistics.fmean(values.values()) for values in self.values]
        key = tuple((mean, len(values)) for mean, values in zip(means, self.values, strict=True))
        if (known := self.suggested.get(key)) is None:
            trials = []
            for number, (point, mean) in enumerate(zip(self.points, means, strict=True)):
                distributions = {name: self.noisy.space.distributions[name] for name in point}
                seeds = {SEEDS_OF: len(self.values[number])}
                trials.append(create_trial(value=mean, params=point, distributions=distributions, user_attrs=seeds))
                trials[-1].number = number
            chosen = self.chooser.next_point(len(trials), trials)
            assert chosen is not None
            known = self.suggested[key] = chosen[0]
        self.points.append(known)
        self.values.append({})
        self.repeat(len(self.points) - 1, 0)

    def repeat(self, number: int, place: int) -> None:
        """Evaluates a seed of a point."""
        self.values[number][place] = self.noisy.value(self.noisy.space.from_optuna(self.points[number]), place)

    def true_value(self, number: int) -> float:
        """Returns the value of a point without noise."""
        return self.noisy.call(self.noisy.space.from_optuna(self.points[number]))


def raced(search: Search, trials: int) -> float:
    """Races points; returns the true value of the best."""
    race = Race(SEEDS)
    for left in range(trials, 0, -1):
        turn = next_seed(_entries(search), race, left=left)
        if turn is None:
            search.new_point()
        else:
            search.repeat(*turn)
    best = race.compare(_entries(search)).best
    assert best is not None
    return search.true_value(best)


def _entries(search: Search) -> list[Entry]:
    return [Entry(number, dict(values)) for number, values in enumerate(search.values)]


def repeated(search: Search, trials: int, times: int) -> float:
    """Evaluates every point a number of times; returns the true value of the best mean."""
    for number in range(trials // times):
        search.new_point()
        for place in range(1, times):
            search.repeat(number, place)
    means = [statistics.fmean(values.values()) for values in search.values]
    return search.true_value(means.index(min(means)))


def gp_alone(noisy: Noisy, seed: int, trials: int) -> float:
    """Runs Optuna's GP sampler from the same ten random points; returns the true value of its best trial."""
    sampler = optuna.samplers.GPSampler(seed=seed, warn_independent_sampling=False)
    study = optuna.create_study(sampler=sampler)
    chooser = sampling.Chooser(noisy.spec, noisy.space, seed)
    for number in range(START):
        study.enqueue_trial(chooser.random(number))
    for number in range(trials):
        sampler._rng.rng.seed(sampling.model_seed(seed, number))
        trial = study.ask()
        study.tell(trial, noisy.value(noisy.space.suggest(trial), 0))
    return noisy.call(noisy.space.from_optuna(study.best_trial.params))


def smac(noisy: Noisy, seed: int, trials: int, python: str) -> float:
    """Runs SMAC in its own interpreter; returns the true value of its incumbent."""
    places: dict[str, list[int]] = {}

    def value(asked: dict[str, Any]) -> float:
        seeds = places.setdefault(json.dumps(asked["point"], sort_keys=True), [])
        if asked["seed"] not in seeds:
            seeds.append(asked["seed"])
        return noisy.value(asked["point"], seeds.index(asked["seed"]))

    command = shlex.join([python, str(Path(__file__).parent / "peers" / "search_smac.py")])
    best, _ = run_peer(command, {"parameters": noisy.parameters, "trials": trials, "seed": seed}, value)
    return noisy.call(best["point"])


def one(task: Task, methods: Sequence[str]) -> dict[str, float]:
    """Runs some methods on one function with one seed; returns the true values they chose."""
    function, noise, seed, trials, model, python = task
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    warnings.simplefilter("ignore")
    if model == "TPE":
        sampling.GP_MOST = 0
    noisy = Noisy(function, noise, seed)
    suggested: dict[Hashable, dict[str, Any]] = {}
    ways: dict[str, Callable[[], float]] = {
        "race": lambda: raced(Search(noisy, seed, suggested), trials),
        "race, 60 %": lambda: raced(Search(noisy, seed, suggested), round(0.6 * trials)),
        "3 repeats": lambda: repeated(Search(noisy, seed, suggested), trials, 3),
        "no repeats": lambda: repeated(Search(noisy, seed, suggested), trials, 1),
        "GP alone": lambda: gp_alone(noisy, seed, trials),
        "SMAC": lambda: smac(noisy, seed, trials, python),
    }
    return {method: ways[method]() for method in methods}


def _key(task: Task, method: str) -> str:
    return json.dumps([*task[:4], "GP" if method == "GP alone" else "" if method == "SMAC" else task[4], method])


def measure(tasks: Sequence[Task], methods: Sequence[str], file: Path | None, processes: int) -> dict[str, float]:
    """Runs what is not in the file yet; returns the true values by task and method."""
    found: dict[str, float] = {}
    if file is not None and file.is_file():
        found = dict(json.loads(line) for line in file.read_text().splitlines())
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        running = {}
        for task in tasks:
            missing = [method for method in methods if _key(task, method) not in found]
            if missing:
                running[pool.submit(one, task, missing)] = task
        for done in as_completed(running):
            lines = {_key(running[done], method): value for method, value in done.result().items()}
            found.update(lines)
            if file is not None:
                with file.open("a") as out:
                    out.writelines(json.dumps(item) + "\n" for item in lines.items())
    return found


def show(found: dict[str, float], tasks: Sequence[Task], methods: Sequence[str]) -> int:
    """Prints the table, in percent of each function's range above its best value; returns the number of losses."""
    losses = 0
    for noise in dict.fromkeys(task[1] for task in tasks):
        print(f"\nnoise of {noise:g}/30 of the range: regret in % of the range (standard error); lower is better")
        print(f"{'':12} {'seeds':>5} " + " ".join(f"{method:>14}" for method in methods) + "   race - best other")
        whole: dict[str, list[float]] = {method: [] for method in methods}
        for function in [*dict.fromkeys(task[0] for task in tasks), "all"]:
            mine = [task for task in tasks if task[0] == function and task[1] == noise]
            mine = [task for task in mine if all(_key(task, method) in found for method in methods)]
            columns = {
                method: [100 * (found[_key(task, method)] - BEST[function]) / spread(function) for task in mine]
                for method in methods
            }
            for method in methods:
                whole[method] += columns[method]
            columns = whole if function == "all" else columns
            count = len(columns[methods[0]])
            if count < 2:
                continue
            cells = " ".join(
                f"{statistics.fmean(values):7.2f} ({statistics.stdev(values) / math.sqrt(count):4.2f})"
                for values in columns.values()
            )
            others = [method for method in methods if not method.startswith("race")]
            if not others or "race" not in methods:
                print(f"{function:12} {count:5} {cells}")
                continue
            rival = min(others, key=lambda method: statistics.fmean(columns[method]))
            mean, error = difference(columns["race"], columns[rival])
            losses += mean > 2 * error
            line = f"{function:12} {count:5} {cells}   {mean:+.2f} ± {error:.2f} ({rival})"
            if "race, 60 %" in methods and "3 repeats" in methods:
                mean, error = difference(columns["race, 60 %"], columns["3 repeats"])
                losses += mean > 2 * error
                line += f"; race, 60 % - 3 repeats {mean:+.2f} ± {error:.2f}"
            print(line)
    return losses


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--noise", type=float, nargs="+", default=[1.0, 3.0], help="in thirtieths of the range")
    parser.add_argument("--model", choices=("GP", "TPE"), default="TPE", help="of our searches")
    parser.add_argument("--functions", nargs="+", choices=list(FUNCTIONS), default=list(FUNCTIONS))
    parser.add_argument("--methods", nargs="+", choices=METHODS, help="default: all that need no other model")
    parser.add_argument("--smac", default="", metavar="PYTHON", help="an interpreter that has smac 2; adds SMAC")
    parser.add_argument("--results", type=Path, metavar="FILE", help="keeps what is done; what it has is not run again")
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    methods = options.methods or [*METHODS[:4], *(["GP alone"] if options.model == "GP" else ())]
    if options.smac and "SMAC" not in methods:
        methods.append("SMAC")
    tasks: list[Task] = [
        (function, noise, seed, options.trials, options.model, options.smac)
        for seed in range(options.seeds)
        for noise in options.noise
        for function in options.functions
    ]
    found = measure(tasks, methods, options.results, options.processes)
    return 1 if show(found, tasks, methods) else 0


if __name__ == "__main__":
    sys.exit(main())
