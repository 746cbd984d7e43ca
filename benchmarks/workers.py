"""Measures trivial trials a second by several workers, and checks that all are recorded, each of another point.

    python benchmarks/workers.py [--workers 8] [--trials 400] [--storage postgresql://…|postgres] [--kill 4]

Three ways, in turn, each on a storage of its own: `tools/sweep.py --workers N`; Optuna's `study.optimize` in N processes
whose objective runs the same trainer with `subprocess.run` and reads its output; and the same with an objective that
returns at once, which is what the storage alone allows. Seconds are counted from the first trial's start to the last
one's end, and from start to exit. With --kill so many agents are killed (SIGKILL) at random moments meanwhile.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.postgres import Postgres
from yacs_sweep.base.values import utc_seconds
from yacs_sweep.records.folder import SweepPaths
from yacs_sweep.trial.inside.guard import descendants

ROOT = Path(__file__).resolve().parent.parent
TRAINER = "import sys\nprint('mAP: 1%')\n"
PROFILE = """\
command: [python, train.py]
overrides: argparse
preload: [decimal]
metrics:
  - {pattern: 'mAP: (?P<value>{number})%', log: {val/mAP: value}}
"""
SPEC = {
    "method": "random",
    "metric": {"name": "val/mAP", "goal": "maximize"},
    "parameters": {"lr": {"min": 0.0, "max": 1.0}, "decay": {"min": 0.0, "max": 1.0}},
}


def agents_of(launcher: int) -> list[int]:
    """Lists the process ids of a launcher's agents."""
    found = []
    for pid in descendants(launcher):
        try:
            if b"yacs_sweep.launch.workers.agent" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
        except OSError:
            pass
    return found


def through_sweep(folder: Path, workers: int, trials: int, storage: str | None, kill: int) -> None:
    words = [sys.executable, str(ROOT / "tools" / "sweep.py"), "--controller", "local", "--wandb-mode", "disabled"]
    words += ["--trainer", str(folder / "profile.yaml"), "--sweep-config", "sweep.json", "--results_dir", str(folder)]
    words += [
        "--workers",
        str(workers),
        "--count",
        str(trials),
        "--quiet",
        *(["--storage", storage] if storage else []),
    ]
    words += ["--retries", "99"] if kill else []
    source, began = random.Random(0), time.perf_counter()
    with (folder / "out").open("wb") as out:
        launcher = subprocess.Popen(words, cwd=folder, stdout=out, stderr=out)
        for _ in range(kill):
            time.sleep(source.uniform(1.0, 2.0))
            if agents := agents_of(launcher.pid):
                os.kill(source.choice(agents), signal.SIGKILL)
        status = launcher.wait()
    wall = time.perf_counter() - began
    assert status == 0, (folder / "out").read_text()[-3000:]
    (summary,) = folder.glob("sweep/*/summary.json")
    records = list(SweepPaths(folder, summary.parent.name).records())
    counts = json.loads(summary.read_text())["counts"]
    finished = [record for record in records if record.state == "finished"]
    points = {tuple(record.params.values()) for record in finished}
    assert counts["finished"] == len(finished) == len(points) == trials, counts
    assert "lock" not in (folder / "out").read_text()
    since, until = min(record.started for record in records), max(str(record.ended) for record in records)
    seconds = (utc_seconds(until) or 0.0) - (utc_seconds(since) or 0.0)
    what = "sweep.py" + (f", {counts.get('lost', 0)} lost with {kill} killed agents" if kill else "")
    report(what, trials, len(points), seconds, wall)


def report(what: str, finished: int, points: int, seconds: float, wall: float) -> None:
    rate = f"{finished / seconds:6.1f} trials/s ({finished / wall:5.1f} with start and exit)"
    print(f"{rate}  {finished} finished, {points} points, {seconds:5.1f} s  {what}", flush=True)


def open_storage(where: str) -> BaseStorage:
    if "://" in where:
        return RDBStorage(where.replace("postgresql://", "postgresql+psycopg://"))
    return JournalStorage(JournalFileBackend(where))


def optimise(where: str, folder: str, trials: int, trivial: bool) -> None:
    """Runs one process of Optuna's `study.optimize`."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)

    def objective(trial: optuna.Trial) -> float:
        trial.suggest_float("lr", 0, 1)
        trial.suggest_float("decay", 0, 1)
        if trivial:
            return 1.0
        words = [sys.executable, "train.py"]
        output = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=True).stdout
        return float(output.split()[1].rstrip("%"))

    sampler = optuna.samplers.RandomSampler()
    optuna.load_study(study_name="s", storage=open_storage(where), sampler=sampler).optimize(objective, n_trials=trials)


def through_optuna(folder: Path, workers: int, trials: int, storage: str | None, trivial: bool) -> None:
    where = storage or str(folder / f"optuna-{trivial}.journal")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    optuna.create_study(study_name="s", storage=open_storage(where))
    began = time.perf_counter()
    context: Any = get_context("spawn")
    shares = [trials * (index + 1) // workers - trials * index // workers for index in range(workers)]
    processes = [context.Process(target=optimise, args=(where, str(folder), share, trivial)) for share in shares]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    wall = time.perf_counter() - began
    study = optuna.load_study(study_name="s", storage=open_storage(where))
    found = study.get_trials(states=[optuna.trial.TrialState.COMPLETE])
    points = {tuple(trial.params.values()) for trial in found}
    since, until = min(trial.datetime_start for trial in found), max(trial.datetime_complete for trial in found)
    what = "optuna, an objective that returns at once" if trivial else "optuna + subprocess.run"
    report(what, len(found), len(points), (until - since).total_seconds(), wall)
    optuna.delete_study(study_name="s", storage=open_storage(where))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--trials", type=int, default=400)
    parser.add_argument(
        "--storage", metavar="URL", help="a database, `postgres` starts one; default: a journal file each"
    )
    parser.add_argument("--alone", action="store_true", help="sweep.py only")
    parser.add_argument("--kill", type=int, default=0, help="agents to be killed meanwhile")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "train.py").write_text(TRAINER)
        (folder / "profile.yaml").write_text(PROFILE)
        (folder / "sweep.json").write_text(json.dumps(SPEC))
        server = Postgres() if options.storage == "postgres" else None
        try:
            if server is not None:
                server.start()
            storage = server.url if server is not None else options.storage
            print(f"{options.workers} workers, {options.trials} trials, storage {options.storage or 'embedded'}")
            through_sweep(folder, options.workers, options.trials, storage, options.kill)
            for trivial in () if options.alone else (False, True):
                through_optuna(folder, options.workers, options.trials, storage, trivial)
        finally:
            if server is not None:
                server.close()


if __name__ == "__main__":
    main()
