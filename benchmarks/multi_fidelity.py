"""Measures how many epochs a search needs, with trials stopped early, or paused and promoted, on functions of known truth.

The simulator of the tests runs each search on a virtual clock: four workers, trainers of 27 epochs whose speeds differ.
What counts is the true final value of the best trial that was trained to its end, and the epochs that all trials have been
trained until it was there. Random numbers are common: the same seed gives all methods the same random points and speeds.

    python benchmarks/multi_fidelity.py                          a look: 3 seeds
    python benchmarks/multi_fidelity.py --seeds 20 --out FILE    what docs/measurements/search.md shows; FILE keeps each search
    python benchmarks/multi_fidelity.py --peers syne=ENV ray=ENV beside the peers installed in environments of their own
    python benchmarks/multi_fidelity.py --seeds 0 --out FILE     the tables of what FILE holds

A smaller --budget than FILE was made with looks at the beginning of each search.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import optuna
from multi_fidelity_functions import EPOCHS, PROBLEMS, Problem, speeds_of
from multi_fidelity_peers import PEERS, Peer, peer_search
from optuna.trial import FrozenTrial, TrialState

from tests.simulator import Simulator
from yacs_sweep.search import sampling
from yacs_sweep.search.promotion.curves import Curve, predict
from yacs_sweep.search.promotion.make import make_scheduler
from yacs_sweep.search.promotion.rungs import rungs_of
from yacs_sweep.search.promotion.scheduler import New, Scheduler, TrialView
from yacs_sweep.search.sampling import Chooser
from yacs_sweep.search.space import Space
from yacs_sweep.spec import hyperband
from yacs_sweep.spec.read_sweep import sweep_from_dict
from yacs_sweep.spec.sweep import EarlyTerminate

WORKERS = 4
BUDGET = 40 * EPOCHS  # as many epochs as 40 whole trainings
LEVELS = (0.10, 0.01)  # of the regret of the median random point
RULES = {
    "asha": EarlyTerminate("asha", min_iter=1, max_iter=EPOCHS, eta=3.0),
    "halving": EarlyTerminate("hyperband", min_iter=1, max_iter=EPOCHS, eta=3.0),
    "brackets": EarlyTerminate("hyperband", max_iter=EPOCHS, s=3, eta=3.0),
}
RULES["asha + curve"] = RULES["asha"]
METHODS = {  # rule, search
    "random": ("whole", "random"),
    "bayes": ("whole", "bayes"),
    "hyperband stopping": ("stopping", "random"),
    "hyperband stopping, bayes": ("stopping", "bayes"),
    "asha": ("asha", "random"),
    "halving": ("halving", "random"),
    "brackets": ("brackets", "random"),
    "asha, bayes": ("asha", "bayes"),
    "asha, bayes of finished trials": ("asha", "bayes"),
    "halving, bayes": ("halving", "bayes"),
    "brackets, bayes": ("brackets", "bayes"),
    "curve": ("curve", "random"),
    "curve, bayes": ("curve", "bayes"),
    "asha + curve": ("asha + curve", "random"),
    "asha + curve, bayes": ("asha + curve", "bayes"),
}


class Whole:
    """Trains each trial to its end."""

    def next(self, trials: Sequence[TrialView], new_left: int | None) -> New:
        """Starts a new trial."""
        return New(None)

    def runs_on(self, number: int, trials: Sequence[TrialView]) -> None:
        """Lets a trial run to its end."""

    def dropped(self, trials: Sequence[TrialView], new_left: int | None) -> set[int]:
        """Drops no trial."""
        return set()


class Stopping:
    """W&B's hyperband, which is ours without promotion: ends a trial that is not among the best third at a band."""

    def __init__(self) -> None:
        self.bands = hyperband.bands(min_iter=1, eta=3.0)[:3]

    def __call__(self, number: int, trials: Sequence[TrialView]) -> bool:
        """Tells whether a trial ends."""
        others = [trial.values for trial in trials if trial.number != number]
        return hyperband.decide(trials[number].values, others, bands=self.bands, eta=3.0).stop


class CurveRule:
    """Our rule of learning curves: ends a trial that will hardly become the best."""

    def __call__(self, number: int, trials: Sequence[TrialView]) -> bool:
        """Tells whether a trial ends."""
        finished = [Curve(trial.values, trial.values[-1]) for trial in trials if trial.iterations >= EPOCHS]
        found = predict(trials[number].values, finished, goal="minimize")
        return found is not None and found.chance < 0.05


STOPS = {"stopping": Stopping, "curve": CurveRule, "asha + curve": CurveRule}


class Watch:
    """Follows the best fully trained trial over the epochs of a search."""

    def __init__(self, problem: Problem, budget: int) -> None:
        self.problem, self.budget = problem, budget
        self.best = math.inf
        self.traced: list[tuple[int, float]] = []
        self.seen = set[int]()

    def __call__(self, trials: Sequence[TrialView]) -> bool:
        """Looks at the trials; tells whether the last level is reached."""
        trained = sum(len(trial.values) for trial in trials)
        for trial in trials:
            if trial.iterations >= EPOCHS and trial.number not in self.seen:
                self.seen.add(trial.number)
                self.note(self.problem.regret(trial.values[-1]), trained)
        return self.done

    @property
    def done(self) -> bool:
        """Whether the last level is reached."""
        return self.best <= LEVELS[-1]

    def note(self, regret: float, trained: int) -> None:
        """Notes the regret of a fully trained trial."""
        if trained > self.budget or regret >= self.best:
            return
        self.best = regret
        self.traced.append((trained, regret))


def points_of(sweep: Chooser, kind: str) -> Any:
    """Returns the function that chooses a new trial's point: our own search, as a sweep of long trials uses it."""

    def choose(number: int, trials: Sequence[TrialView]) -> dict[str, Any]:
        if kind == "random":
            return sweep.space.from_optuna(sweep.random(number))
        found = sweep.next_point(number, [frozen(trial, sweep) for trial in trials])
        assert found is not None
        return sweep.space.from_optuna(found[0])

    return choose


def frozen(trial: TrialView, sweep: Chooser) -> FrozenTrial:
    """Returns a trial as the embedded controller stores it."""
    whole = trial.iterations >= EPOCHS
    state = TrialState.COMPLETE if whole else TrialState.PRUNED if trial.state == "ended" else TrialState.RUNNING
    params = sweep.space.to_optuna(trial.params)
    value = trial.values[-1] if trial.values and state != TrialState.RUNNING else None
    logged = dict(enumerate(trial.values, 1))
    distributions = {name: sweep.space.distributions[name] for name in params}
    return FrozenTrial(trial.number, state, value, None, None, params, distributions, {}, {}, logged, trial.number)


def chooser(dimensions: int, rule: str, kind: str, seed: int, from_rungs: bool) -> Chooser:
    """Makes what chooses a sweep's points. `from_rungs`: whether bayes learns from paused trials, too."""
    body: dict[str, Any] = {
        "method": kind,
        "metric": {"name": "value"},
        "parameters": {f"x{place}": {"min": 0.0, "max": 1.0} for place in range(dimensions)},
    }
    spec = sweep_from_dict(body)
    made = Chooser(spec, Space(spec.parameters), seed)
    if rule in RULES and from_rungs:
        made._shown.rungs = rungs_of(RULES[rule])
    return made


def search(problem: Problem, method: str, seed: int, budget: int) -> Watch:
    """Runs one search; returns what it has found."""
    rule, kind = METHODS[method]
    scheduler: Scheduler = make_scheduler(RULES[rule], "minimize", None) if rule in RULES else Whole()
    speeds = speeds_of(seed, budget + 1)
    watch = Watch(problem, budget)
    sweep = chooser(problem.dimensions, rule, kind, seed, "finished" not in method)
    names = [f"x{place}" for place in range(problem.dimensions)]
    Simulator(
        scheduler,
        lambda number, point, iteration: problem.value([point[name] for name in names], iteration),
        EPOCHS,
        workers=WORKERS,
        budget=budget,
        choose=points_of(sweep, kind),
        seconds=lambda number: speeds[number],
        stops=STOPS[rule]() if rule in STOPS else None,
        until=watch,
        checks=False,
    ).run()
    return watch


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--problems", nargs="+", choices=list(PROBLEMS), default=list(PROBLEMS))
    parser.add_argument(
        "--methods", nargs="+", choices=[*METHODS, *PEERS], help="default: all of ours, and of the peers"
    )
    parser.add_argument("--peers", nargs="*", default=[], metavar="NAME=ENVIRONMENT")
    parser.add_argument("--budget", type=int, default=BUDGET, help="epochs")
    parser.add_argument("--model", choices=("gp", "tpe"), default="gp", help="of bayes search")
    parser.add_argument("--rival", default="hyperband stopping", help="method that epochs are compared with")
    parser.add_argument("--out", help="file that each search is appended to, and not run again if it is there")
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    if options.model == "tpe":
        sampling.GP_MOST = 0
    done: Rows = {}
    if options.out and Path(options.out).exists():
        rows = map(json.loads, Path(options.out).read_text().splitlines())
        done = {(row["problem"], row["method"], row["seed"]): row for row in rows}
    peers = {name: Peer(environment) for name, _, environment in (text.partition("=") for text in options.peers)}
    methods = options.methods or [*METHODS, *(method for method in PEERS if method.split()[0] in peers)]
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        for name in options.problems:
            for method in methods:
                if (name, method, seed) in done:
                    continue
                watch, began = Watch(PROBLEMS[name], options.budget), time.perf_counter()
                if method in PEERS:
                    peer_search(peers[method.split()[0]], method, PROBLEMS[name], seed, options.budget, WORKERS, watch)
                else:
                    watch = search(PROBLEMS[name], method, seed, options.budget)
                row = {
                    "problem": name,
                    "method": method,
                    "seed": seed,
                    "budget": options.budget,
                    "trace": watch.traced,
                    "seconds": time.perf_counter() - began,
                }
                done[name, method, seed] = row
                if options.out:
                    with Path(options.out).open("a") as file:
                        file.write(json.dumps(row) + "\n")
    show(done, options.problems, methods, options.budget, options.rival)
    return 0


Rows = dict[tuple[str, str, int], dict[str, Any]]


def reached(row: dict[str, Any], level: float, budget: int) -> float:
    """Returns the epochs after which a search had a regret of at most `level`; nan if it had not within the budget."""
    return next((trained for trained, regret in row["trace"] if trained <= budget and regret <= level), math.nan)


def regret_after(row: dict[str, Any], budget: int) -> float:
    """Returns the regret after so many epochs, of the median random point where no trial has ended, and at most twice it."""
    found = [regret for trained, regret in row["trace"] if trained <= budget]
    return min(2.0, max(0.0, found[-1])) if found else 1.0


def ratio_of(logs: Sequence[float]) -> str:
    """Formats the geometric mean of ratios, and its standard error, by their logarithms."""
    if not logs:
        return "–"
    mean = math.exp(statistics.fmean(logs))
    error = mean * statistics.stdev(logs) / math.sqrt(len(logs)) if len(logs) > 1 else math.nan
    return f"{mean:.2f} ({error:.2f})"


def show(done: Rows, problems: list[str], methods: list[str], budget: int, rival: str) -> None:
    """Prints the tables: median epochs until each level, how they compare with a rival's, paired by seed, and regrets."""
    seeds = {m: {n: sorted(s for p, q, s in done if (p, q) == (n, m)) for n in problems} for m in methods}
    methods = [method for method in methods if any(seeds[method].values())]
    rule = "|---|" + "---|" * len(methods)
    counts = [{len(found) for found in seeds[method].values()} for method in methods]
    header = [
        f"{m} ({min(c)}{'' if len(c) == 1 else f'–{max(c)}'} seeds)" for m, c in zip(methods, counts, strict=True)
    ]
    print(f"a search that has not got there counts with the budget of {budget} epochs")
    for level in LEVELS:
        print(f"\nmedian epochs to {level:.0%} regret (share of seeds that got there)\n")
        print("| function | " + " | ".join(header) + f" |\n{rule}")
        for name in problems:
            cells = []
            for method in methods:
                found = [reached(done[name, method, seed], level, budget) for seed in seeds[method][name]]
                share = sum(not math.isnan(value) for value in found) / len(found) if found else 0.0
                epochs = statistics.median(budget if math.isnan(value) else value for value in found) if found else 0.0
                cells.append(f"{epochs:.0f} ({share:.0%})" if share else "–")
            print(f"| {name} | " + " | ".join(cells) + " |")
        print(f"\nepochs to {level:.0%} regret / those of {rival}: geometric mean over seeds (standard error);")
        print("seeds that neither got there with are left out\n")
        print("| function | " + " | ".join(methods) + f" |\n{rule}")
        logs: dict[str, list[float]] = {method: [] for method in methods}
        for name in problems:
            cells = []
            for method in methods:
                one = []
                for seed in seeds[method][name]:
                    if (name, rival, seed) not in done:
                        continue
                    pair = [reached(done[name, m, seed], level, budget) for m in (method, rival)]
                    if not all(map(math.isnan, pair)):
                        ours, theirs = (budget if math.isnan(value) else value for value in pair)
                        one.append(math.log(ours / theirs))
                logs[method] += one
                cells.append(ratio_of(one))
            print(f"| {name} | " + " | ".join(cells) + " |")
        print("| **all** | " + " | ".join(ratio_of(logs[method]) for method in methods) + " |")
    print(f"\nmean regret in % after {budget} epochs (standard error), worst seed\n")
    print("| function | " + " | ".join(header) + f" |\n{rule}")
    for name in problems:
        cells = []
        for method in methods:
            found = [100 * regret_after(done[name, method, seed], budget) for seed in seeds[method][name]]
            error = statistics.stdev(found) / math.sqrt(len(found)) if len(found) > 1 else math.nan
            cells.append(f"{statistics.fmean(found):.1f} ({error:.1f}), {max(found):.0f}" if found else "–")
        print(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    sys.exit(main())
