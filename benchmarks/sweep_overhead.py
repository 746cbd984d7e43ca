"""Measures the cost of a sweep beside running its trials by hand.

1. Smoke trials of one epoch through `tools/sweep.py --controller local`, and the same `tools/train.py` commands in a
   shell loop; the two alternate.
2. Seconds from the last line of a trivial trial to the first line of the next, through `tools/sweep.py`, through a
   plain loop of `subprocess.run`, and through Optuna's `study.optimize` over `subprocess.run`.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import optuna

ROOT = Path(__file__).resolve().parent.parent
SWEEP = [sys.executable, str(ROOT / "tools" / "sweep.py"), "--controller", "local", "--wandb-mode", "disabled"]
TARGET_RATIO, TARGET_IDLE = 0.5, 0.15  # times the shell loop; seconds
TRIVIAL = """\
import time
print('BEGIN', time.time(), flush=True)
print('mAP: 1%')
print('END', time.time(), flush=True)
"""
PROFILE = """\
command: [python, train.py]
overrides: argparse
preload: [decimal]
metrics:
  - {pattern: 'mAP: (?P<value>{number})%', log: {val/mAP: value}}
"""


def grid(name: str, values: list[float]) -> str:
    metric = {"name": "val/mAP", "goal": "maximize"}
    return json.dumps({"method": "grid", "metric": metric, "parameters": {name: {"values": values}}})


def run(command: list[str], cwd: Path) -> float:
    """Runs a command and returns its seconds; fails when the command does."""
    began = time.perf_counter()
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return time.perf_counter() - began


def smoke(folder: Path, trials: int, repeats: int, executed: bool) -> None:
    rates = [0.0001 * (number + 1) for number in range(trials)]
    config = ROOT / "configs" / "smoke.yml"
    (folder / "smoke.yaml").write_text(grid("base_lr", rates))
    common = ["SOLVER.MAX_EPOCHS", "1", "DATASETS.ROOT_DIR", str(folder / "datasets")]
    sweep = [*SWEEP, "--config_file", str(config), "--sweep-config", "smoke.yaml"]
    train = [sys.executable, str(ROOT / "tools" / "train.py"), f"--config_file={config}", *common]
    run([*train, "OUTPUT_DIR", str(folder / "first")], folder)  # draws the data set
    times: dict[str, list[float]] = {"shell loop": [], "sweep.py": []}
    if executed:
        times["sweep.py --no-preload"] = []
    for repeat in range(repeats):
        lines = [
            shlex.join([*train, "OUTPUT_DIR", str(folder / f"by-hand-{repeat}-{rate}"), "SOLVER.BASE_LR", str(rate)])
            for rate in rates
        ]
        times["shell loop"].append(run(["sh", "-ec", "\n".join(lines)], folder))
        times["sweep.py"].append(run([*sweep, *common], folder))
        if executed:
            times["sweep.py --no-preload"].append(run([*sweep, "--no-preload", *common], folder))
        print(*(f"{way} {seconds[-1]:.1f} s" for way, seconds in times.items()), sep="  ", flush=True)
    reference = statistics.median(times["shell loop"])
    for way, seconds in times.items():
        median = statistics.median(seconds)
        target = f"(target: at most {TARGET_RATIO:g})" if way == "sweep.py" else ""
        print(f"{trials} smoke trials  {way:<22}{median:7.1f} s  {median / reference:5.2f} x shell loop  {target}")


def gaps(outputs: list[str]) -> list[float]:
    """Computes the seconds between the end of a trial and the start of the next."""
    times = []
    for output in outputs:
        words = [line.split() for line in output.splitlines()]
        times.append((float(words[0][1]), float(words[-1][1])))
    times.sort()
    return [begin - end for (_, end), (begin, _) in itertools.pairwise(times)]


def through_sweep(folder: Path, trials: int, *options: str) -> list[str]:
    with tempfile.TemporaryDirectory(dir=folder) as results:
        words = [*SWEEP, *options, "--trainer", str(folder / "profile.yaml"), "--sweep-config", "trivial.yaml"]
        run([*words, "--results_dir", results], folder)
        logs = list(Path(results).glob("sweep/*/*/stdout.log"))
        assert len(logs) == trials
        return [log.read_text() for log in logs]


def by_hand(folder: Path) -> str:
    return subprocess.run([sys.executable, "train.py"], cwd=folder, capture_output=True, text=True, check=True).stdout


def through_optuna(folder: Path, trials: int) -> list[str]:
    outputs: list[str] = []

    def objective(trial: optuna.Trial) -> float:
        trial.suggest_float("lr", 0, 1)
        outputs.append(by_hand(folder))
        return 1.0

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    optuna.create_study(storage=f"sqlite:///{folder / 'optuna.db'}").optimize(objective, n_trials=trials)
    return outputs


def trivial(folder: Path, trials: int) -> None:
    (folder / "train.py").write_text(TRIVIAL)
    (folder / "profile.yaml").write_text(PROFILE)
    (folder / "trivial.yaml").write_text(grid("lr", [number / trials for number in range(trials)]))
    ways: dict[str, Callable[[], list[str]]] = {
        "sweep.py": lambda: through_sweep(folder, trials),
        "sweep.py --no-preload": lambda: through_sweep(folder, trials, "--no-preload"),
        "subprocess.run loop": lambda: [by_hand(folder) for _ in range(trials)],
        "optuna + subprocess.run": lambda: through_optuna(folder, trials),
    }
    for way, measure in ways.items():
        idle = gaps(measure())
        target = f"(target: median at most {TARGET_IDLE:g} s)" if way == "sweep.py" else ""
        median, worst = statistics.median(idle), max(idle)
        print(f"idle between trials  {way:<24}median {median:6.3f} s  worst {worst:6.3f} s  {target}", flush=True)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--trials", type=int, default=5, help="smoke trials")
    arguments.add_argument("--repeats", type=int, default=1, help="of the smoke trials")
    arguments.add_argument("--trivial", type=int, default=20, help="trivial trials; 0 for none")
    arguments.add_argument("--executed", action="store_true", help="smoke trials through --no-preload, too")
    options = arguments.parse_args()
    for name in ("WANDB_MODE", "OMP_WAIT_POLICY"):  # the shell loop is what a user would type in a fresh shell
        os.environ.pop(name, None)
    with tempfile.TemporaryDirectory() as name:
        if options.trivial:
            trivial(Path(name), options.trivial)
        if options.repeats:
            smoke(Path(name), options.trials, options.repeats, options.executed)


if __name__ == "__main__":
    main()
