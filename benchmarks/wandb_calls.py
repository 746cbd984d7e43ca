"""Measures what a call of W&B's client costs a program in a trial, beside the disabled and the offline client."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from yacs_sweep.records.folder import SweepPaths, TrialRecord  # noqa: E402
from yacs_sweep.trial.wandb_calls import environment, make_folder, take_calls  # noqa: E402

PROGRAM = """
import json, os, sys, time
import wandb
calls = int(sys.argv[1])
rows = [{"epoch": i, "train/loss": 1 / (i + 1), "train/acc": i * 0.001} for i in range(calls)]
def seconds(log):
    start = time.perf_counter()
    for row in rows:
        log(row)
    return (time.perf_counter() - start) / calls
begun = time.perf_counter()
run = wandb.init(project="x")
opened = time.perf_counter() - begun
found = {"init": opened, "log": seconds(run.log)}
descriptor = os.open(os.environ["ROW_FILE"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
found["row"] = seconds(lambda row: os.write(descriptor, json.dumps(row).encode() + b"\\n"))
run.finish()
print("FOUND " + json.dumps(found))
"""


def measure(python: str, env: Mapping[str, str], calls: int) -> dict[str, float]:
    """Runs the program; returns seconds by what was measured."""
    words = [python, "-c", PROGRAM, str(calls)]
    done = subprocess.run(words, env=env, cwd=env["HOME"], capture_output=True, text=True, check=True)
    line = next(line for line in done.stdout.splitlines() if line.startswith("FOUND "))
    found: dict[str, float] = json.loads(line.removeprefix("FOUND "))
    return found


def environments(folder: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Yields the ways in which the program is run, each with its environment."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("WANDB_", "PYTHONPATH"))}
    base = {**kept, "HOME": str(folder), "ROW_FILE": str(folder / "rows"), "WANDB_SILENT": "true"}
    output = folder / "out"
    output.mkdir(exist_ok=True)
    calls = make_folder(SweepPaths(folder, "s"), TrialRecord("t", "t", 0, {}), {"lr": 0.1}, output)
    yield "trial", take_calls({**base, "WANDB_MODE": "disabled", **environment(calls)})
    yield "disabled", {**base, "WANDB_MODE": "disabled"}
    yield "offline", {**base, "WANDB_MODE": "offline"}


def start_seconds(python: str, envs: Mapping[str, Mapping[str, str]], repeats: int) -> dict[str, float]:
    """Measures the median CPU time in which an interpreter starts and ends, in each environment."""
    found: dict[str, list[float]] = {way: [] for way in envs}
    for _ in range(repeats):
        for way, env in envs.items():
            pid = os.posix_spawn(python, [python, "-c", "pass"], env)
            used = os.wait4(pid, 0)[2]
            found[way].append(used.ru_utime + used.ru_stime)
    return {way: statistics.median(seconds) for way, seconds in found.items()}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--python", default=sys.executable, help="an interpreter with W&B's client")
    arguments.add_argument("--calls", type=int, default=20_000)
    arguments.add_argument("--repeats", type=int, default=5)
    options = arguments.parse_args()
    found: dict[str, list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as name:
        for _ in range(options.repeats):
            for way, env in environments(Path(name)):
                found.setdefault(way, []).append(measure(options.python, env, options.calls))
        median = {
            way: {key: statistics.median(item[key] for item in items) for key in items[0]}
            for way, items in found.items()
        }
        starts = start_seconds(options.python, dict(environments(Path(name))), 10 * options.repeats)
    row = median["trial"]["row"]
    print(f"{options.calls:,} calls of wandb.log with three numbers; median of {options.repeats}")
    print(f"{'':<22}{'one call':>12}{'wandb.init':>12}")
    print(f"{'json and write alone':<22}{row * 1e6:>9.2f} µs")
    for way, values in median.items():
        ratio = f"{values['log'] / row:.2f} × the row, {values['log'] / median['disabled']['log']:.1f} × disabled"
        print(f"{way:<22}{values['log'] * 1e6:>9.2f} µs{values['init'] * 1e3:>9.2f} ms   {ratio}")
    print(
        f"an interpreter's start takes {starts['trial'] * 1e3:.1f} ms of CPU, without {starts['disabled'] * 1e3:.1f} ms"
    )


if __name__ == "__main__":
    main()
