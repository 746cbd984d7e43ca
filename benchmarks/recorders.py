"""Measures what recording a sweep costs: seconds of CPU for 1,000 rows, for a trial, and while nothing is new."""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from yacs_sweep.recorders.follower import Follower, make_recorder  # noqa: E402
from yacs_sweep.recorders.interface import RecordedSweep  # noqa: E402
from yacs_sweep.recorders.targets import Target  # noqa: E402
from yacs_sweep.records.folder import SweepPaths, TrialRecord  # noqa: E402
from yacs_sweep.records.launch_file import save_spec  # noqa: E402
from yacs_sweep.records.metrics import MetricsFile  # noqa: E402
from yacs_sweep.spec.read_sweep import sweep_from_dict  # noqa: E402

SPEC = {
    "method": "random",
    "metric": {"name": "val/mAP", "goal": "maximize"},
    "parameters": {"lr": {"min": 0.0, "max": 1.0}},
}
IDLE = 20  # looks at a folder where nothing is new


def cpu() -> float:
    """Returns the seconds of CPU of this process and of those that it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def write_sweep(base: Path, trials: int, rows: int) -> SweepPaths:
    """Writes a sweep's folder with finished trials of so many rows, of four numbers each."""
    paths = SweepPaths(base, "measured")
    paths.agents.mkdir(parents=True)
    save_spec(paths, sweep_from_dict(SPEC, "sweep"))
    for number in range(trials):
        record = TrialRecord(f"id{number}", f"trial-{number:04d}", number, {"lr": 0.1}, state="finished", value=1.0)
        trial = paths.trial(record.name)
        trial.dir.mkdir()
        file = MetricsFile(trial.metrics)
        for row in range(rows):
            file.append({"epoch": row, "train/loss": 1 / (row + 1), "train/acc": row / rows, "val/mAP": 1.0})
        file.close()
        record.save(trial)
    return paths


def measure(name: str, base: Path, trials: int, rows: int) -> dict[str, float]:
    """Records a sweep in this process; returns seconds of CPU, and megabytes."""
    paths = write_sweep(base, trials, rows)
    if name == "wandb":
        return _measure_wandb(paths)
    target = Target(name, f"sqlite:///{base / 'runs.db'}" if name == "mlflow" else None)
    sweep = RecordedSweep(paths, sweep_from_dict(SPEC, "sweep"))
    follower = Follower(sweep, target, make_recorder(target), print)
    begun, started = cpu(), time.monotonic()
    make_recorder(target)(sweep).close()
    opened, ready = cpu(), time.monotonic()
    assert follower.take_lock() and follower.look()
    done, ended = cpu(), time.monotonic()
    for _ in range(IDLE):
        follower.look()
    return {
        "open": opened - begun,
        "record": done - opened,
        "seconds": ended - ready,
        "opening": ready - started,
        "look": (cpu() - done) / IDLE,
        "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def _measure_wandb(paths: SweepPaths) -> dict[str, float]:
    """Records the trials as W&B runs in offline mode, as agents do."""
    from yacs_sweep.wandb import client
    from yacs_sweep.wandb.recorder import Recorder, RunIdentity

    started = time.monotonic()
    recorder = Recorder(paths.dir, print)
    for record in paths.records():
        run = recorder.begin(RunIdentity(record.id, "offline", record.params, record.name))
        run.follow(paths.trial(record.name))
        run.end(record)
        run.wait(600)
    recorder.close(600)
    client.end_service(client.SERVICE_EXIT)
    seconds = time.monotonic() - started
    return {"open": 0.0, "record": cpu(), "seconds": seconds, "opening": 0.0, "look": 0.0, "megabytes": 0.0}


def run(name: str, trials: int, rows: int) -> dict[str, float]:
    """Measures in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        words = [sys.executable, __file__, "--in", folder, "--only", name, str(trials), str(rows)]
        env = {**os.environ, "HOME": folder, "WANDB_SILENT": "true", "MLFLOW_LOGGING_LEVEL": "ERROR"}
        done = subprocess.run(words, env=env, cwd=folder, capture_output=True, text=True, check=True)
        found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
        return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("trials", type=int, nargs="?", default=10)
    parser.add_argument("rows", type=int, nargs="?", default=1000)
    parser.add_argument("--only", choices=("wandb", "tensorboard", "mlflow"))
    parser.add_argument("--in", dest="folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.folder is not None:
        print(json.dumps(measure(args.only, args.folder, args.trials, args.rows)))
        return
    print(f"{args.trials} trials, {args.rows:,} rows of four numbers each; seconds of CPU")
    for name in [args.only] if args.only else ("wandb", "tensorboard", "mlflow"):
        many, few = run(name, args.trials, args.rows), run(name, args.trials, 10)
        thousand = (many["record"] - few["record"]) / args.trials / (args.rows - 10) * 1000
        print(
            f"{name:12} 1,000 rows {thousand:.3f}, a trial {few['record'] / args.trials:.3f}, once {many['open']:.2f}, "
            f"a look {many['look'] * 1000:.1f} ms, {many['megabytes']:.0f} MB; all rows in {many['seconds']:.1f} s"
        )


if __name__ == "__main__":
    main()
