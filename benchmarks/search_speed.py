"""Measures the embedded controller's cost: seconds a suggestion, and a trial's bookkeeping.

python benchmarks/search_speed.py [--trials 10000] [--points 10 100 1000 5000]
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from multiprocessing import get_context
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from optuna.trial import TrialState, create_trial

from yacs_sweep.records.alive import AgentLock
from yacs_sweep.records.folder import SweepPaths, TrialRecord
from yacs_sweep.records.summary import Summary
from yacs_sweep.search import sampling
from yacs_sweep.search.local import LocalController
from yacs_sweep.spec.read_sweep import sweep_from_dict

PARAMETERS: dict[str, Any] = {
    "rate": {"distribution": "log_uniform_values", "min": 1e-5, "max": 1e0},
    "decay": {"distribution": "log_uniform_values", "min": 1e-6, "max": 1e-1},
    "optimizer": {"values": ["sgd", "adam", "adamw"]},
    "batch": {"values": [16, 32, 64, 128]},
    "margin": {"min": 0.0, "max": 1.0},
    "warmup": {"min": 0, "max": 20},
    "smoothing": {"min": 0.0, "max": 0.4},
}


def controller(folder: Path, method: str, agent: str = "a") -> LocalController:
    """Makes an agent's controller of the sweep in `folder`."""
    spec = sweep_from_dict({"method": method, "metric": {"name": "value"}, "parameters": PARAMETERS})
    paths = SweepPaths(folder, "speed")
    paths.agents.mkdir(parents=True, exist_ok=True)
    return LocalController(paths, spec, lock_name=agent, seed=3)


def error(params: Mapping[str, Any]) -> float:
    """Computes a smooth function to minimise."""
    return float((params["margin"] - 0.3) ** 2 + (params["warmup"] - 7) ** 2 / 100 + params["smoothing"])


def filled(folder: Path, finished: int) -> LocalController:
    """Makes a sweep with a number of finished trials in its storage."""
    sweep = controller(folder, "bayes")
    for number in range(finished):
        inner = sweep.chooser.random(number)
        value = error(sweep.space.from_optuna(inner))
        sweep.study.add_trial(create_trial(value=value, params=inner, distributions=sweep.space.distributions))
    return sweep


def suggestions(points: list[int], gp: bool) -> None:
    """Measures median and worst seconds of `ask` after a number of finished trials."""
    for finished in points:
        with tempfile.TemporaryDirectory() as name:
            sweep = filled(Path(name), finished)
            most = sampling.GP_MOST
            sampling.GP_MOST = sys.maxsize if gp else 0
            seconds = []
            try:
                for _ in range(9 if not gp else 5):
                    started = time.perf_counter()
                    asked = sweep.ask()
                    seconds.append(time.perf_counter() - started)
                    assert asked is not None
                    sweep.study.tell(asked[0].number, error(asked[1].params))
            finally:
                sampling.GP_MOST = most
            shown = f"{statistics.median(seconds):.3f} s, worst {max(seconds):.3f}"
            print(f"{sweep.chooser.used:4} {finished:6} finished: {shown}", flush=True)
            sweep.close()


def fsync_seconds(folder: Path) -> float:
    """Measures the seconds the disk takes for one line, part of a trial's bookkeeping; median of 20."""
    seconds = []
    with (folder / "fsync").open("ab") as file:
        for _ in range(20):
            started = time.perf_counter()
            file.write(b"x" * 200)
            file.flush()
            os.fsync(file.fileno())
            seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def bookkeeping(trials: int) -> None:
    """Measures ask, tell and summary of random trials, by tenths of the sweep."""
    with tempfile.TemporaryDirectory() as name:
        sweep = controller(Path(name), "random")
        about = {"name": "speed", "controller": "local", "method": "random", "metric": "value", "goal": "minimize"}
        summary = Summary(sweep.paths, **about)
        started = begun = time.perf_counter()
        for number in range(trials):
            asked = sweep.ask()
            assert asked is not None
            trial, assignment = asked
            params = dict(assignment.params)
            record = TrialRecord(assignment.id, assignment.name, assignment.number, params)
            for state in ("running", "finished"):
                record.state = state
                record.value = error(params) if state == "finished" else None
                summary.records[record.id] = record
                summary.own.add(record.id)
                summary.write()
            summary.best()
            sweep.tell(trial, record)
            if (number + 1) % max(1, trials // 10) == 0:
                mean = 1000 * (time.perf_counter() - begun) / (trials // 10)
                fsync = 1000 * fsync_seconds(sweep.paths.dir)
                print(f"{number + 1:6} trials: {mean:.2f} ms a trial (an fsync now: {fsync:.2f} ms)", flush=True)
                begun = time.perf_counter()
        summary.write(final=True)
        mean = 1000 * (time.perf_counter() - started) / trials
        print(f"mean {mean:.2f} ms a trial; summary.json {summary.path.stat().st_size / 1e6:.1f} MB")


def _agent(folder: str, index: int, trials: int) -> int:
    lock = AgentLock(
        SweepPaths(Path(folder), "speed").agents, index, "benchmark"
    )  # without it, it would be taken for dead
    sweep = controller(Path(folder), "bayes", agent=lock.name)
    for _ in range(trials):
        asked = sweep.ask()
        assert asked is not None
        trial, assignment = asked
        params = dict(assignment.params)
        record = TrialRecord(assignment.id, assignment.name, assignment.number, params, "finished", value=error(params))
        sweep.tell(trial, record)
    return trials


def agents(processes: int, trials: int) -> None:
    """Measures a number of agents on one storage."""
    with tempfile.TemporaryDirectory() as name:
        started = time.perf_counter()
        with get_context("spawn").Pool(processes) as pool:
            pool.starmap(_agent, [(name, index, trials) for index in range(processes)])
        seconds = time.perf_counter() - started
        found = controller(Path(name), "bayes").study.get_trials(deepcopy=False)
        points = {tuple(sorted(trial.params.items())) for trial in found}
        complete = sum(trial.state == TrialState.COMPLETE for trial in found)
        print(
            f"{processes} processes: {complete} of {processes * trials} trials finished, "
            f"{len(points)} different points, {seconds:.1f} s"
        )
        assert complete == len(points) == processes * trials


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--points", type=int, nargs="+", default=[10, 100, 1000, 5000])
    options = parser.parse_args()
    print("TPE over the embedded storage, 7 parameters")
    suggestions(options.points, gp=False)
    print("GP over the embedded storage, 7 parameters")
    suggestions([20, 60, 120, 250, 400], gp=True)
    print("bookkeeping of random trials")
    bookkeeping(options.trials)
    print("agents on one storage")
    agents(8, 25)
    return 0


if __name__ == "__main__":
    sys.exit(main())
