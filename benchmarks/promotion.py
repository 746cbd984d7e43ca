"""Measures sweeps whose trials pause and resume (`early_terminate: {mode: promotion}`).

1. What a pause and a resumption cost beyond the trainer's own: from the line with the value to SIGTERM, and from the end of
   the paused trainer to the first line of the next one.
2. 27 trials of the smoke trainer (`configs/smoke.yml`), 9 epochs each: the epochs that are trained, the seconds, and the
   best value, beside the same points trained to their end.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from yacs_sweep.records.folder import TrialRecord

ROOT = Path(__file__).resolve().parent.parent
SWEEP = [sys.executable, str(ROOT / "tools" / "sweep.py"), "--controller", "local", "--wandb-mode", "disabled"]
TARGET_COST, TARGET_SHARE = 0.3, 0.45  # seconds; of the epochs of full training
TRAINER = """\
import json, os, signal, sys, time
words = dict(word[2:].split('=', 1) for word in sys.argv[1:])
note = open(os.path.join(words['out'], 'times'), 'a', buffering=1)
note.write('begin %f\\n' % time.time())
def stop(*_):
    note.write('signal %f\\n' % time.time())
    note.write('end %f\\n' % time.time())
    os._exit(143)
signal.signal(signal.SIGTERM, stop)
state = os.path.join(words['out'], 'state')
epoch = int(open(state).read()) if os.path.exists(state) else 0
while epoch < 9:
    epoch += 1
    for step in range(20):
        time.sleep(0.01)
        print('step %d' % step, flush=True)
    with open(state + '.new', 'w') as file:
        file.write(str(epoch))
    os.replace(state + '.new', state)
    note.write('value %f\\n' % time.time())
    print('epoch %d mAP: %f%%' % (epoch, float(words['x']) * epoch), flush=True)
note.write('end %f\\n' % time.time())
"""
PROFILE = """\
command: [python, train.py, "--out={output_dir}"]
overrides: argparse
preload: [decimal]
resume: true
metrics:
  - {pattern: 'epoch (?P<epoch>\\d+) mAP: (?P<value>{number})%', log: {val/mAP: value, epoch: epoch}}
"""
RULE = {"type": "asha", "mode": "promotion", "min_iter": 1, "eta": 3, "max_iter": 9}
METRIC = {"name": "val/mAP", "goal": "maximize"}


def run(words: list[str], folder: Path) -> None:
    """Runs a sweep, or resumes the one that is in the folder; fails when the sweep does."""
    begun = next(folder.glob("log/sweep/sweep/*/launch.json"), None)
    if begun is not None:
        words = ["--sweep_id", begun.parent.name]
    done = subprocess.run([*SWEEP, *words], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


def records(folder: Path) -> list[dict[str, Any]]:
    """Reads the trials of the only sweep below a folder."""
    return [json.loads(path.read_text()) for path in sorted(folder.glob("log/sweep/sweep/*/trial-*/trial.json"))]


def cost(folder: Path, trials: int) -> bool:
    """Measures what a pause and a resumption cost; returns whether the target is met."""
    (folder / "train.py").write_text(TRAINER)
    (folder / "trainer.yaml").write_text(PROFILE)
    parameters = {"x": {"min": 0.0, "max": 1.0}}
    spec = {"method": "random", "metric": METRIC, "early_terminate": RULE, "parameters": parameters}
    (folder / "cost.yaml").write_text(json.dumps(spec))
    run(["--trainer", "trainer.yaml", "--sweep-config", "cost.yaml", "--count", str(trials), "--assume-resume"], folder)
    events: list[tuple[float, str]] = []
    heard = []  # seconds from the value at which a trial pauses to the signal
    for path in folder.glob("log/sweep/sweep/*/trial-*/times"):
        own = [(float(line.split()[1]), line.split()[0]) for line in path.read_text().splitlines()]
        events += own
        heard += [
            at - before for (before, kind), (at, name) in itertools.pairwise(own) if (kind, name) == ("value", "signal")
        ]
    events.sort()
    next_one = [
        at - before for (before, kind), (at, name) in itertools.pairwise(events) if (kind, name) == ("end", "begin")
    ]
    total = statistics.median(heard) + statistics.median(next_one)
    print(
        f"{len(heard)} pauses: {statistics.median(heard):.3f} s from the value to SIGTERM (at most {max(heard):.3f} s), "
        f"{statistics.median(next_one):.3f} s from the end of a trainer to the first line of the next; "
        f"together {total:.3f} s (target {TARGET_COST} s)"
    )
    return total <= TARGET_COST


def smoke(folder: Path, trials: int, workers: int, seed: int) -> bool:
    """Trains the smoke trainer with and without pausing; returns whether the target is met."""
    parameters = {
        "base_lr": {"distribution": "log_uniform_values", "min": 1e-5, "max": 1e-1},
        "weight_decay": {"distribution": "log_uniform_values", "min": 1e-5, "max": 1e-2},
    }
    bests, epochs, costs = {}, {}, {}
    for name, rule in (("promotion", RULE), ("full", None)):
        place = folder / name
        place.mkdir(parents=True, exist_ok=True)
        spec = {
            "method": "random",
            "metric": METRIC,
            "parameters": parameters,
            **({"early_terminate": rule} if rule else {}),
        }
        (place / "sweep.yaml").write_text(json.dumps(spec))
        words = [
            "--config_file",
            str(ROOT / "configs" / "smoke.yml"),
            "--sweep-config",
            "sweep.yaml",
            "--count",
            str(trials),
        ]
        words += ["--workers", str(workers), "--seed", str(seed), *(["--assume-resume"] if rule else [])]
        words += ["SOLVER.MAX_EPOCHS", "9", "SOLVER.EVAL_PERIOD", "1", "SOLVER.CHECKPOINT_PERIOD", "1"]
        run([*words, "DATASETS.ROOT_DIR", str(folder / "datasets")], place)
        found = records(place)
        rows = [
            [json.loads(line) for line in (Path(record["dir"]) / "metrics.jsonl").read_text().splitlines()]
            for record in found
        ]
        evaluated = [[row["epoch"] for row in each if "val/mAP" in row] for each in rows]
        assert all(len(set(each)) == len(each) for each in evaluated), "an epoch was trained twice"
        epochs[name] = sum(map(len, evaluated))
        best = max((record for record in found if record["state"] == "finished"), key=lambda record: record["value"])
        bests[name] = best
        costs[name] = sum(TrialRecord.from_row(record).seconds or 0 for record in found)
        print(
            f"{name}: {epochs[name]} epochs, {costs[name]:.0f} s of trials, best {best['name']} val/mAP {best['value']:.1f}",
            flush=True,
        )
    share = epochs["promotion"] / epochs["full"]
    ranks = sorted((record["value"] for record in records(folder / "full")), reverse=True)
    known = {record["name"]: record["value"] for record in records(folder / "full")}
    rank = 1 + ranks.index(known[bests["promotion"]["name"]])
    less = costs["promotion"] / costs["full"]
    print(
        f"share of the epochs: {share:.2f} (target {TARGET_SHARE}), of the seconds {less:.2f}; its best is number {rank} of "
        "full training"
    )
    return share <= TARGET_SHARE


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trivial", type=int, default=27, help="trials of the trivial trainer; 0: none")
    parser.add_argument("--trials", type=int, default=27, help="trials of the smoke trainer; 0: none")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="where the smoke trainer's sweeps are kept, and resumed")
    options = parser.parse_args()
    met = True
    with tempfile.TemporaryDirectory() as name:
        if options.trivial:
            met &= cost(Path(name), options.trivial)
        if options.trials:
            folder = (options.folder or Path(name) / "smoke").resolve()
            met &= smoke(folder, options.trials, options.workers, options.seed)
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
