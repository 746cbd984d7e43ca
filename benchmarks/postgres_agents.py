"""Measures the trials a second of agents on one PostgreSQL server, and the controller's share of the time.

    python benchmarks/postgres_agents.py --agents 64 --seconds 30

First the controller alone: so many processes ask for points and tell results as fast as they can, without trials. Then the
whole: launchers with agents, and a trainer that ends at once. *Turn* is the time for which the one lock of a sweep is held
for a trial; its inverse bounds the trials a second of any number of agents.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.postgres import Postgres  # noqa: E402
from yacs_sweep.search.storage.url import URL_VARIABLE  # noqa: E402
from yacs_sweep.spec.read_sweep import sweep_from_dict  # noqa: E402

SPEC: dict[str, Any] = {
    "method": "random",
    "metric": {"name": "val/mAP", "goal": "maximize"},
    "parameters": {"base_lr": {"min": 0.0, "max": 1.0}, "weight_decay": {"min": 0.0, "max": 1.0}},
    "count": 10**6,
}


def ask_and_tell(
    place: int, url: str, sweep: str, method: str, home: str, barrier: Any, seconds: float, out: Any
) -> None:
    """Runs one agent without trials and puts its measurements into `out`.

    They are trials a second, and the seconds of each turn, of each ask and of each end.
    """
    from yacs_sweep.records.alive import AgentLock
    from yacs_sweep.records.folder import SweepPaths, TrialRecord
    from yacs_sweep.search.local import LocalController
    from yacs_sweep.search.storage.database_coordinator import DatabaseCoordinator

    paths = SweepPaths(Path(home) / str(place), sweep)
    lock = AgentLock(paths.agents, place, "benchmark")
    spec = sweep_from_dict({**SPEC, "method": method}, "spec")
    controller = LocalController(paths, spec, lock_name=lock.name, seed=1, storage_url=url)
    assert isinstance(controller.coordinator, DatabaseCoordinator)
    turn, turns = controller.coordinator.database.exclusive, list[float]()

    @contextlib.contextmanager
    def timed(lease: float) -> Iterator[Any]:
        with turn(lease) as connection:
            begun = time.perf_counter()
            yield connection
        turns.append(time.perf_counter() - begun)  # the commit included

    controller.coordinator.database.exclusive = timed  # type: ignore[method-assign]
    barrier.wait()
    started = time.perf_counter()
    asks, ends = list[float](), list[float]()
    while time.perf_counter() - started < seconds:
        before = time.perf_counter()
        asked = controller.ask()
        asks.append(time.perf_counter() - before)
        assert asked is not None
        given = asked[1]
        record = TrialRecord(given.id, given.name, given.number, dict(given.params))
        before = time.perf_counter()
        controller.coordinator.trial_started(record)
        record.state, record.value = "finished", given.params["base_lr"]
        assert controller.end_trial(asked[0], record)
        ends.append(time.perf_counter() - before)
    out.put((len(ends) / (time.perf_counter() - started), turns, asks, ends))
    controller.close()


def controller_alone(url: str, agents: int, seconds: float, method: str, home: str) -> dict[str, Any]:
    from yacs_sweep.records.launch_file import LaunchFile
    from yacs_sweep.search.storage.shared_sweep import SharedSweep
    from yacs_sweep.search.warm_start import WarmStart

    sweep = f"s{time.monotonic_ns()}"
    spec = sweep_from_dict({**SPEC, "method": method}, "spec")
    launch = LaunchFile("local", None, "toy", None, (), 1, None, "disabled", None, None, home, 10**6)
    shared = SharedSweep(url, sweep)
    shared.describe(spec, launch, WarmStart())
    shared.database.engine.dispose()
    import yacs_sweep.search.local  # noqa: F401  (once, not in each agent)

    context = multiprocessing.get_context("fork")
    barrier, out = context.Barrier(agents), context.Queue()
    common = (url, sweep, method, home, barrier, seconds, out)
    workers = [context.Process(target=ask_and_tell, args=(place, *common)) for place in range(agents)]
    for worker in workers:
        worker.start()
    found = [out.get(timeout=seconds + 240) for _ in workers]
    for worker in workers:
        worker.join()
    turns, asks, ends = ([value for item in found for value in item[place]] for place in (1, 2, 3))
    return {
        "agents": agents,
        "trials_per_s": sum(item[0] for item in found),
        "turn_ms": 1000 * statistics.median(turns),
        "ask_ms": 1000 * statistics.median(asks),
        "tell_ms": 1000 * statistics.median(ends),
    }


def whole(url: str, machines: int, workers: int, seconds: float, home: str) -> dict[str, Any]:
    """Runs launchers with agents; counts the trials that end while all agents run."""
    from tests.sweeping import environment, write_sweep
    from tests.trainers import write_trainer
    from yacs_sweep.search.storage.shared_sweep import SharedSweep

    folder = Path(home) / "whole"
    folder.mkdir()
    trainer = write_trainer(folder, "print('mAP: 1.0%')")
    spec = write_sweep(folder, SPEC)
    base = [sys.executable, str(ROOT / "tools" / "sweep.py"), "--wandb-mode", "disabled", "--workers", str(workers)]
    first: list[Any] = ["--trainer", trainer, "--sweep-config", spec]
    launchers, words, sweep_id = [], first, ""
    for place in range(machines):
        machine = folder / f"machine{place}"
        machine.mkdir()
        for file in (trainer, trainer.with_name("train.py")):
            (machine / file.name).write_bytes(file.read_bytes())
        env = environment(machine, **{URL_VARIABLE: url})
        command = [*base, *map(str, words), "--results_dir", str(machine / "log")]
        launchers.append(
            subprocess.Popen(command, cwd=machine, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
        )
        while not sweep_id:
            time.sleep(0.2)
            sweep_id = next((path.parent.name for path in machine.glob("log/sweep/*/launch.json")), "")
            words = ["--sweep_id", sweep_id, "--trainer", "(sweep file)"]
            if sweep_id:
                time.sleep(2)
    database = SharedSweep(url, sweep_id).database
    try:
        with database.engine.connect() as connection:
            deadline = time.monotonic() + 150
            while len(database.agents(connection)) < machines * workers and time.monotonic() < deadline:
                connection.rollback()
                time.sleep(1)
            agents = len(database.agents(connection))
        time.sleep(seconds)  # the last ones have their lease, and are still on their way to a first trial
        before, started = database.settled(), time.perf_counter()
        time.sleep(seconds)
        done, took = database.settled() - before, time.perf_counter() - started
    finally:
        for launcher in launchers:
            launcher.terminate()
        for launcher in launchers:
            launcher.wait(60)
    return {"agents": agents, "launchers": machines, "trials_per_s": done / took}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agents", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--machines", type=int, default=8, help="launchers of the whole")
    parser.add_argument("--skip-whole", action="store_true")
    parser.add_argument("--skip-alone", action="store_true")
    parser.add_argument("--methods", nargs="+", default=["random"])
    options = parser.parse_args()
    server = Postgres(["max_connections=300"])
    with tempfile.TemporaryDirectory() as home:
        try:
            server.start()
            for method in [] if options.skip_alone else options.methods:
                for agents in sorted({1, options.agents}):
                    result = controller_alone(server.url, agents, options.seconds, method, f"{home}/{method}{agents}")
                    print(json.dumps({"what": f"controller alone, {method}", **_rounded(result)}), flush=True)
            if not options.skip_whole:
                workers = options.agents // options.machines
                result = whole(server.url, options.machines, workers, options.seconds, home)
                print(json.dumps({"what": "whole", **_rounded(result)}), flush=True)
        finally:
            server.close()
    print(f"load average {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores")


def _rounded(result: dict[str, Any]) -> dict[str, Any]:
    return {key: round(value, 2) if isinstance(value, float) else value for key, value in result.items()}


if __name__ == "__main__":
    main()
