"""Compares population-based training with random search and promotion, at equal epochs, on made-up trainers.

    python benchmarks/population.py [--seeds 20] [--epochs 60] [--population 8] [--out population.jsonl]

Three trainers, each with a learning rate and a weight decay; the value is an error, lower is better, and depends on all
that a trial, and those whose checkpoints it continued from, has been trained with:

- `falls`: the learning rate that trains fastest falls from 1e-1 to 1e-3 during the training;
- `rests`: it is 1e-2 all the time, so that there is nothing to be gained by changing it;
- `floor`: a larger one trains faster, and leaves a larger error for as long as it is used: what looks best early
  (a small one) ends badly.

Searches: `pbt`; `random`: as many trials as members, each trained fully; `cosine`: the same, where the trainer lets the
learning rate fall by a cosine itself; `asha`: promotion among as many trials as take
about as many epochs together. Rows are kept in --out, and a seed that
is there is not run again.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.simulator import Simulator  # noqa: E402
from yacs_sweep.search.promotion.explore import Explorer  # noqa: E402
from yacs_sweep.search.promotion.make import make_scheduler  # noqa: E402
from yacs_sweep.search.promotion.pbt import Pbt  # noqa: E402
from yacs_sweep.search.promotion.scheduler import Scheduler, TrialView  # noqa: E402
from yacs_sweep.spec.methods.population import Population  # noqa: E402
from yacs_sweep.spec.read_sweep import sweep_from_dict  # noqa: E402
from yacs_sweep.spec.sweep import EarlyTerminate, SweepSpec  # noqa: E402

SEARCHES = ("pbt", "random", "cosine", "asha")
ASHA_TRIALS = 0.13  # trials for each epoch of the budget, so that they take about the budget
NOISE = 0.01  # standard deviation of a value, relative


def spec_of(epochs: int, interval: int) -> SweepSpec:
    """Describes the search: both parameters over four orders of magnitude."""
    return sweep_from_dict(
        {
            "method": "pbt",
            "metric": {"name": "error"},
            "pbt": {"interval": interval, "max_iter": epochs},
            "parameters": {
                "lr": {"distribution": "log_uniform_values", "min": 1e-4, "max": 1.0},
                "decay": {"distribution": "log_uniform_values", "min": 1e-6, "max": 1e-2},
            },
        }
    )


def speed(off: float) -> float:
    """Returns how fast a trainer trains whose parameter is `off` orders of magnitude away from the best."""
    return math.exp(-((off / 0.7) ** 2))


def falls(left: float, lr: float, decay: float, done: float) -> tuple[float, float]:
    """Trains an epoch: returns what is left of the error, and the value. `done`: the share of the training so far."""
    left *= math.exp(-0.12 * speed(math.log10(lr) + 1 + 2 * done) * (0.5 + 0.5 * speed(math.log10(decay) + 4)))
    return left, left


def rests(left: float, lr: float, decay: float, done: float) -> tuple[float, float]:
    """Trains an epoch with a best learning rate that does not change."""
    left *= math.exp(-0.12 * speed(math.log10(lr) + 2) * (0.5 + 0.5 * speed(math.log10(decay) + 4)))
    return left, left


def floor(left: float, lr: float, decay: float, done: float) -> tuple[float, float]:
    """Trains an epoch whose learning rate sets a floor to the error, and diverges slowly above 0.3."""
    left *= math.exp(-0.12 * min(1.0, lr / 0.1) * (0.5 + 0.5 * speed(math.log10(decay) + 4))) if lr < 0.3 else 1.02
    return left, left + 0.5 * lr


TRAINERS: dict[str, Callable[[float, float, float, float], tuple[float, float]]] = {
    "falls": falls,
    "rests": rests,
    "floor": floor,
}


class Trainer:
    """Trains trials of one simulated sweep: each from its own state, or a copy of its parent's."""

    def __init__(self, name: str, epochs: int, seed: int, *, cosine: bool) -> None:
        self.step, self.epochs, self.cosine = TRAINERS[name], epochs, cosine
        self.noise = random.Random(f"noise {seed}")
        self.left: dict[int, list[float]] = {}  # by trial, after each epoch
        self.trials: Sequence[TrialView] = ()  # of the simulator

    def value(self, number: int, params: Mapping[str, Any], iteration: int) -> float:
        """Trains an epoch; returns the value."""
        trial = self.trials[number]
        if number not in self.left:
            self.left[number] = [1.0] if trial.parent is None else self.left[trial.parent][: trial.begun_at + 1]
        done = (iteration - 1) / self.epochs
        lr = params["lr"] * (0.5 * (1 + math.cos(math.pi * done)) if self.cosine else 1.0)
        left, value = self.step(self.left[number][iteration - 1], max(lr, 1e-9), params["decay"], done)
        self.left[number].append(left)
        return value * math.exp(self.noise.gauss(0, NOISE))


def searched(search: str, trainer: str, seed: int, epochs: int, population: int, interval: int) -> dict[str, Any]:
    """Runs a search; returns the best value of a full training, and the epochs that were trained."""
    spec, budget = spec_of(epochs, interval), epochs * population
    training = Trainer(trainer, epochs, seed, cosine=search == "cosine")
    count = population
    scheduler: Scheduler
    if search == "pbt":
        settings = Population(interval, epochs)
        scheduler = Pbt(population, interval, epochs, "minimize", settings.quantile, seed, Explorer(spec, settings))
    elif search == "asha":
        count = round(ASHA_TRIALS * budget)
        scheduler = make_scheduler(EarlyTerminate("asha", min_iter=2, max_iter=epochs, eta=3.0), "minimize", count)
    else:  # members that are never compared
        scheduler = Pbt(population, epochs, epochs, "minimize", 0.25, seed, lambda params, source: params)
    sweep = Simulator(
        scheduler,
        training.value,
        epochs,
        count,
        workers=4,
        choose=lambda number, trials: spec.random_point(seed, number),
        checks=False,
    )
    training.trials = sweep.trials
    sweep.run()
    full = [trial for trial in sweep.trials if trial.iterations == epochs]
    ends = [trial.value_at(epochs) for trial in full]
    return {
        "search": search,
        "trainer": trainer,
        "seed": seed,
        "epochs": sweep.trained,
        "value": min((value for value in ends if value is not None), default=1.0),
    }


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Formats mean, standard error and worst value of each search, and how often `pbt` was better, paired by seed."""
    lines = ["| trainer | " + " | ".join(SEARCHES) + " | pbt better than random, cosine, asha |"]
    lines.append("|---|" + "---|" * (len(SEARCHES) + 1))
    for trainer in TRAINERS:
        cells, values = [], {}
        for search in SEARCHES:
            found = {row["seed"]: row["value"] for row in rows if (row["trainer"], row["search"]) == (trainer, search)}
            values[search] = found
            error = statistics.stdev(found.values()) / math.sqrt(len(found)) if len(found) > 1 else 0.0
            cells.append(f"{statistics.mean(found.values()):.3f} ({error:.3f}), {max(found.values()):.3f}")
        won = [
            f"{sum(values['pbt'][seed] < values[other][seed] for seed in values['pbt'])} of {len(values['pbt'])}"
            for other in SEARCHES[1:]
        ]
        lines.append(f"| `{trainer}` | " + " | ".join(cells) + f" | {', '.join(won)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=60, help="of a full training")
    parser.add_argument("--population", type=int, default=8)
    parser.add_argument("--interval", type=int, default=5)
    parser.add_argument(
        "--out", type=Path, default=Path("population.jsonl"), help="rows that are there are not run again"
    )
    options = parser.parse_args()
    settings = {key: getattr(options, key) for key in ("population", "interval")} | {"of": options.epochs}
    rows = [json.loads(line) for line in options.out.read_text().splitlines()] if options.out.exists() else []
    rows = [row for row in rows if all(row.get(key) == value for key, value in settings.items())]
    done = {(row["trainer"], row["search"], row["seed"]) for row in rows}
    for seed in range(options.seeds):
        for trainer in TRAINERS:
            for search in SEARCHES:
                if (trainer, search, seed) not in done:
                    row = searched(search, trainer, seed, options.epochs, options.population, options.interval)
                    rows.append({**row, **settings})
                    with open(options.out, "a") as file:
                        file.write(json.dumps(rows[-1]) + "\n")
    rows = [row for row in rows if row["seed"] < options.seeds]
    spent = {search: [row["epochs"] for row in rows if row["search"] == search] for search in SEARCHES}
    print(table(rows))
    print("epochs:", ", ".join(f"{search} {min(found)} to {max(found)}" for search, found in spent.items()))


if __name__ == "__main__":
    main()
