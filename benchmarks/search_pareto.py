"""Measures searches for several objectives: the hypervolume of the front after 30, 60 and 100 trials.

Four problems: ZDT1 (two objectives), DTLZ2 (three), an invented trainer's accuracy against its milliseconds, with a
constraint on its parameters, and with its parameters as a third objective. Ours beside random search and Optuna's TPE, GP and
NSGA-II alone. All begin with the same ten random points of a seed, ours with the first six of them, but a peer. Only points
that keep the constraint count.

    python benchmarks/search_pareto.py --seeds 2 --problems trade-off          a look
    python benchmarks/search_pareto.py --seeds 20 --keep FILE.jsonl
    python benchmarks/search_pareto.py --peer "Ax=PYTHON benchmarks/peers/search_ax.py"
                                                 a library in an environment of its own; it begins with points of its own
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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from peers.run import run_peer

MARKS = (30, 60, 100)
START = 10  # random points that all methods have in common
METHODS = ("random", "NSGA-II", "TPE", "GP", "ours")
Point = Mapping[str, Any]


@dataclass(frozen=True)
class Problem:
    """Describes a problem: every objective is minimised.

    Attributes:
        parameters: as in a sweep file.
        call: returns the objectives' values, and by how much the constraint is missed (0 or less: kept).
        worst: the hypervolume's reference point.
        most: the hypervolume of the true front, or of the best one known.
    """

    parameters: Mapping[str, Any]
    call: Callable[[Point], tuple[tuple[float, ...], float]]
    worst: tuple[float, ...]
    most: float
    constrained: bool = False


def zdt1(point: Point) -> tuple[tuple[float, ...], float]:
    """Computes ZDT1 (Zitzler, Deb and Thiele, 2000) in five dimensions."""
    first, *others = (point[f"x{place}"] for place in range(5))
    g = 1 + 9 * statistics.fmean(others)
    return (first, g * (1 - math.sqrt(first / g))), 0.0


def dtlz2(point: Point) -> tuple[tuple[float, ...], float]:
    """Computes DTLZ2 (Deb, Thiele, Laumanns and Zitzler, 2002) with three objectives in five dimensions."""
    x = [point[f"x{place}"] for place in range(5)]
    a, b = (value * math.pi / 2 for value in x[:2])
    radius = 1 + sum((value - 0.5) ** 2 for value in x[2:])
    return (
        radius * math.cos(a) * math.cos(b),
        radius * math.cos(a) * math.sin(b),
        radius * math.sin(a),
    ), 0.0


def trade_off(point: Point) -> tuple[tuple[float, ...], float]:
    """Computes an invented trainer's error in percent and its milliseconds; its parameters are to be 20 million at most.

    A larger network on larger images is better and slower; its best learning rate is lower.
    """
    size = point["width"] / 64
    params_m = 0.9 * size * size * point["depth"] + 0.5
    ms = 0.25 + 0.18 * size**1.6 * point["depth"] * (point["height"] / 128) ** 1.8
    capacity = math.log2(size * size * point["depth"] * (point["height"] / 128) ** 1.2)
    own = {"sgd": -1.4, "adamw": -3.0}[point["optimizer"]] - 0.12 * capacity
    rate = math.log10(point["rate"]) - own
    floor = 11 + 45 * math.exp(-0.42 * (capacity + 2.5)) + (1.5 if point["optimizer"] == "sgd" else 0.0)
    error = floor + 9 * rate * rate + 1.5 * (math.log10(point["decay"]) + 3.3) ** 2
    return (min(100.0, error), ms), params_m / 20 - 1


def three(point: Point) -> tuple[tuple[float, ...], float]:
    """Computes the same trainer's error, milliseconds and millions of parameters, without a constraint."""
    values, excess = trade_off(point)
    return (*values, 20 * (excess + 1)), 0.0


NETWORK = {
    "width": {"min": 32, "max": 160},
    "depth": {"min": 2, "max": 16},
    "height": {"values": [96, 128, 192, 256]},
    "optimizer": {"values": ["sgd", "adamw"]},
    "rate": {"distribution": "log_uniform_values", "min": 1e-5, "max": 1e-0},
    "decay": {"distribution": "log_uniform_values", "min": 1e-5, "max": 1e-2},
}
CUBE = {f"x{place}": {"min": 0.0, "max": 1.0} for place in range(5)}
PROBLEMS = {
    "ZDT1": Problem(CUBE, zdt1, (1.1, 3.0), 3.3 - 1 / 3),
    "DTLZ2": Problem(CUBE, dtlz2, (1.1, 1.1, 1.1), 1.1**3 - math.pi / 6),
    # The most of both is set by `most_of`.
    "trade-off": Problem(NETWORK, trade_off, (40.0, 20.0), 0.0, constrained=True),
    "trade-off of three": Problem(NETWORK, three, (40.0, 20.0, 20.0), 0.0),
}


def hypervolume(problem: Problem, found: Sequence[tuple[tuple[float, ...], float]]) -> float:
    """Computes the volume between the reference point and the points that keep the constraint."""
    import numpy
    from optuna._hypervolume import compute_hypervolume

    kept = [
        values
        for values, excess in found
        if excess <= 0 and all(value < worst for value, worst in zip(values, problem.worst, strict=True))
    ]
    return float(compute_hypervolume(numpy.array(kept), numpy.array(problem.worst))) if kept else 0.0


@cache
def most_of(name: str) -> float:
    """Returns the hypervolume that a method can reach at most; of the trade-off, with the best rates, over all networks."""
    problem = PROBLEMS[name]
    if problem.most:
        return problem.most
    found = []
    for width in range(32, 161):
        for depth in range(2, 17):
            for height in (96, 128, 192, 256):
                point = {"width": width, "depth": depth, "height": height, "optimizer": "adamw", "decay": 10**-3.3}
                capacity = math.log2((width / 64) ** 2 * depth * (height / 128) ** 1.2)
                found.append(problem.call({**point, "rate": 10 ** (-3.0 - 0.12 * capacity)}))
    return hypervolume(problem, found)


def specify(problem: Problem, method: str = "bayes") -> Any:
    """Describes the problem as a sweep."""
    from yacs_sweep.spec.read_sweep import sweep_from_dict

    described: dict[str, Any] = {
        "method": method,
        "metrics": [{"name": f"f{place}", "goal": "minimize"} for place in range(len(problem.worst))],
        "parameters": dict(problem.parameters),
    }
    if problem.constrained:
        described["metric_constraints"] = ["excess <= 0"]
    return sweep_from_dict(described)


def ours(problem: Problem, seed: int, count: int) -> list[tuple[tuple[float, ...], float]]:
    """Searches as the embedded controller does."""
    from optuna.trial import TrialState, create_trial

    from yacs_sweep.search.sampling import Chooser
    from yacs_sweep.search.space import Space
    from yacs_sweep.search.stored import CONSTRAINTS

    spec = specify(problem)
    space = Space(spec.parameters)
    chooser = Chooser(spec, space, seed)
    found, trials = [], []
    for number in range(count):
        chosen = chooser.next_point(number, trials)
        assert chosen is not None
        values, _ = chosen
        found.append(problem.call(space.from_optuna(values)))
        trial = create_trial(
            values=list(found[-1][0]),
            params=values,
            distributions=space.distributions,
            system_attrs={CONSTRAINTS: [found[-1][1]]} if problem.constrained else {},
        )
        trial.number = trial._trial_id = number
        assert trial.state == TrialState.COMPLETE
        trials.append(trial)
    return found


def alone(problem: Problem, method: str, seed: int, count: int) -> list[tuple[tuple[float, ...], float]]:
    """Searches by one of Optuna's samplers."""
    import optuna

    from yacs_sweep.search.space import Space

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    spec = specify(problem, "random")
    space = Space(spec.parameters)

    def missed(trial: Any) -> tuple[float]:
        return (trial.user_attrs["excess"],)

    constraint = missed if problem.constrained else None
    sampler: Any = {
        "random": lambda: optuna.samplers.RandomSampler(seed=seed),
        "NSGA-II": lambda: optuna.samplers.NSGAIISampler(population_size=10, seed=seed, constraints_func=constraint),
        "TPE": lambda: optuna.samplers.TPESampler(seed=seed, constraints_func=constraint, multivariate=True),
        "GP": lambda: optuna.samplers.GPSampler(seed=seed, constraints_func=constraint),
    }[method]()
    study = optuna.create_study(sampler=sampler, directions=["minimize"] * len(problem.worst))
    for number in range(START):
        study.enqueue_trial(start_point(spec, space, seed, number))
    found = []
    for _ in range(count):
        trial = study.ask()
        found.append(problem.call(space.suggest(trial)))
        trial.set_user_attr("excess", found[-1][1])
        study.tell(trial, list(found[-1][0]))
    return found


def peer(problem: Problem, command: str, seed: int, count: int) -> tuple[list[tuple[tuple[float, ...], float]], float]:
    """Searches by another library; returns what it found and the processor's seconds of its suggestions."""
    found: list[tuple[tuple[float, ...], float]] = []

    def values(asked: dict[str, Any]) -> list[Any]:
        found.append(problem.call(asked["point"]))
        return [list(found[-1][0]), found[-1][1]]

    about = {"parameters": problem.parameters, "trials": count, "seed": seed, "deterministic": True}
    several = {"objectives": len(problem.worst), "constrained": problem.constrained}
    _, seconds = run_peer(command, {**about, **several}, values)
    return found, seconds


def start_point(spec: Any, space: Any, seed: int, number: int) -> dict[str, Any]:
    """Returns Optuna's values of a random point, as our random search draws it."""
    return space.at(spec.draw(seed, number)[0])


def run(name: str, method: str, seed: int, marks: Sequence[int] = MARKS, command: str | None = None) -> dict[str, Any]:
    """Runs one search; returns the hypervolumes at the marks, as shares of the most, and its seconds. `command`: of a peer."""
    problem = PROBLEMS[name]
    before = time.process_time()
    if command is not None:
        found, seconds = peer(problem, command, seed, marks[-1])
    else:
        found = ours(problem, seed, marks[-1]) if method == "ours" else alone(problem, method, seed, marks[-1])
        seconds = time.process_time() - before
    most = most_of(name)
    shares = [hypervolume(problem, found[:mark]) / most for mark in marks]
    return {"problem": name, "method": method, "seed": seed, "shares": shares, "cpu": seconds}


def show(rows: Sequence[Mapping[str, Any]]) -> None:
    """Prints a table: mean share of the most (standard error), and ours against the best of the others, paired."""
    found = {(row["problem"], row["method"], row["seed"]): row for row in rows}
    for name in dict.fromkeys(row["problem"] for row in rows):
        methods = sorted({key[1] for key in found if key[0] == name}, key=lambda m: (*METHODS, m).index(m))
        most_marks = max(len(row["shares"]) for row in rows if row["problem"] == name)
        for place, mark in enumerate(MARKS[:most_marks]):
            cells, means = [], {}
            for method in methods:
                values = [
                    r["shares"][place]
                    for key, r in found.items()
                    if key[:2] == (name, method) and len(r["shares"]) > place
                ]
                if not values:
                    continue
                means[method] = statistics.fmean(values)
                error = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.nan
                cells.append(f"{method} {means[method]:.3f} ({error:.3f}, n {len(values)})")
            text = ""
            others = [method for method in means if method not in ("ours", "random")]
            if "ours" in means and others:
                rival = max(others, key=lambda method: means[method])
                apart = [
                    mine["shares"][place] - row["shares"][place]
                    for key, row in found.items()
                    if key[:2] == (name, rival) and (mine := found.get((name, "ours", key[2])))
                    if min(len(mine["shares"]), len(row["shares"])) > place
                ]
                if len(apart) > 1:
                    error = statistics.stdev(apart) / math.sqrt(len(apart))
                    text = f"  ours - {rival}: {statistics.fmean(apart):+.3f} ± {error:.3f} (n {len(apart)})"
            print(f"{name:10} {mark:4} " + "  ".join(cells) + text)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--problems", nargs="+", choices=list(PROBLEMS), default=list(PROBLEMS))
    parser.add_argument("--methods", nargs="*", choices=METHODS, default=list(METHODS))
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=COMMAND", help="another search")
    parser.add_argument(
        "--keep", metavar="FILE", help="adds each search's result to this file, and leaves out what it has"
    )
    parser.add_argument("--show", action="store_true", help="only shows what the file has")
    parser.add_argument("--trials", type=int, choices=MARKS, default=MARKS[-1], help="only so many trials")
    options = parser.parse_args()
    peers = dict(named.split("=", 1) for named in options.peer)
    marks = [mark for mark in MARKS if mark <= options.trials]
    kept = Path(options.keep) if options.keep else None
    rows = [json.loads(line) for line in kept.read_text().splitlines()] if kept and kept.exists() else []
    for seed in range(options.first, options.first + (0 if options.show else options.seeds)):
        for name in options.problems:
            for method in (*options.methods, *peers):
                if any((row["problem"], row["method"], row["seed"]) == (name, method, seed) for row in rows):
                    continue
                rows.append(run(name, method, seed, marks, peers.get(method)))
                if kept is not None:
                    with kept.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(rows[-1]) + "\n")
    show(rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
