"""Measures the time from launch to the first trial's first line of output, beside Optuna, W&B's agent and a plain loop.

    python benchmarks/start.py [--rounds 7] [--ways "product, 1 worker" …] [--launcher ROOT …]

The trainer prints one line and ends. All ways take their turns in every round, so that other work on the machine
meets each of them; medians and minima are over the rounds, ratios between medians. Seconds until the command has ended are
for the number of trials in the table. W&B's ways talk to the loopback server of the tests. `--launcher` adds the same
launches of another checkout.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.sweeping import environment  # noqa: E402
from tests.wandb_server import WandbServer, start_server  # noqa: E402

TRAINER = "import os, time\nos.write(1, b'BEGIN %f\\n' % time.time())\nprint('mAP: 1%')\n"  # one write: two may print
PROFILE = """\
command: [python, train.py]
overrides: argparse
metrics:
  - {pattern: 'mAP: (?P<value>{number})%', log: {val/mAP: value}}
"""
SWEEP = {
    "method": "random",
    "metric": {"name": "val/mAP", "goal": "maximize"},
    "parameters": {"lr": {"min": 0.0, "max": 1.0}},
}
RUN_TRAINER = "subprocess.run([sys.executable, 'train.py'], check=True)"
LOOP = f"import subprocess, sys\nfor _ in range({{trials}}): {RUN_TRAINER}\n"
OPTUNA = f"""
import subprocess, sys
import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

def objective(trial):
    trial.suggest_float("lr", 0, 1)
    {RUN_TRAINER}
    return 1.0

study = optuna.create_study(storage=JournalStorage(JournalFileBackend("journal")), sampler=optuna.samplers.RandomSampler())
study.optimize(objective, n_trials={{trials}}, n_jobs={{jobs}})
"""
WANDB = f"""
import json, subprocess, sys
import wandb

def train():
    with wandb.init():
        {RUN_TRAINER}

wandb.agent(wandb.sweep(json.load(open("sweep.yaml")), project="p"), function=train, count={{trials}})
"""


@dataclass(frozen=True)
class Way:
    """One way to run trials: options of `tools/sweep.py`, or a script of its own."""

    trials: int
    options: tuple[str, ...] = ()
    script: str = ""
    server: bool = False  # whether W&B's server is needed
    target: float | None = None  # seconds to the first line
    reference: str = "subprocess loop"

    def command(self, folder: Path, root: Path) -> list[str]:
        if self.script:
            (folder / "run.py").write_text(self.script)
            return [sys.executable, "run.py"]
        words = ["--trainer", "profile.yaml", "--sweep-config", "sweep.yaml", "--count", str(self.trials)]
        return [sys.executable, str(root / "tools" / "sweep.py"), *words, *self.options]


EMBEDDED = ("--controller", "local", "--wandb-mode")
OPTUNA_WAY, AGENT_WAY = "Optuna, journal", "wandb.agent(function)"
WAYS = {
    "subprocess loop": Way(20, script=LOOP.format(trials=20)),
    OPTUNA_WAY: Way(20, script=OPTUNA.format(trials=20, jobs=1)),
    "Optuna, journal, n_jobs=4": Way(20, script=OPTUNA.format(trials=20, jobs=4), reference=OPTUNA_WAY),
    "product, 1 worker": Way(20, (*EMBEDDED, "disabled"), target=0.4, reference=OPTUNA_WAY),
    "product, 4 workers": Way(20, (*EMBEDDED, "disabled", "--workers", "4"), target=0.6, reference=OPTUNA_WAY),
    "product, offline runs": Way(20, (*EMBEDDED, "offline"), reference=OPTUNA_WAY),
    AGENT_WAY: Way(1, script=WANDB.format(trials=1), server=True),
    "product, W&B server": Way(
        1, ("--controller", "wandb", "--project", "p"), server=True, target=1.5, reference=AGENT_WAY
    ),
}


@contextmanager
def place(server: WandbServer | None) -> Iterator[tuple[Path, Mapping[str, str]]]:
    """Makes a folder with the trainer in it, and the environment of a user who is logged in to `server` or to none."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "train.py").write_text(TRAINER)
        (folder / "profile.yaml").write_text(PROFILE)
        (folder / "sweep.yaml").write_text(json.dumps(SWEEP))
        yield folder, environment(folder) if server is None else server.env(folder / "home", XDG_STATE_HOME=name)


def measure(way: Way, server: WandbServer | None, root: Path) -> tuple[float, float]:
    """Returns the seconds to the first line and to the end of the command."""
    with place(server) as (folder, env):
        command = way.command(folder, root)
        began = time.time()
        done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
        took = time.time() - began
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        logs = [path.read_text() for path in folder.glob("log/sweep/sweep/*/*/stdout.log")] or [done.stdout]
        times = [float(text) for log in logs for text in re.findall(r"BEGIN ([\d.]+)", log)]  # lines may run together
        assert len(times) == way.trials, done.stdout
        return min(times) - began, took


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rounds", type=int, default=7)
    arguments.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS), metavar="WAY")
    arguments.add_argument("--launcher", nargs="*", default=[], metavar="ROOT", help="other checkouts, measured too")
    options = arguments.parse_args()
    wanted = [(name, ROOT) for name in options.ways]
    wanted += [(name, Path(root)) for root in options.launcher for name in options.ways if not WAYS[name].script]
    seconds: dict[tuple[str, Path], list[tuple[float, float]]] = {key: [] for key in wanted}
    needs_server = any(WAYS[name].server for name in options.ways)
    with start_server() if needs_server else nullcontext() as server:
        for round_ in range(-1, options.rounds):
            for name, root in wanted:
                found = measure(WAYS[name], server if WAYS[name].server else None, root)
                if round_ >= 0:  # the first one reads files from disk, and writes bytecode
                    seconds[name, root].append(found)
    first = {key: statistics.median(first for first, _ in found) for key, found in seconds.items()}
    print(f"load average {os.getloadavg()[0]:.1f} at the end; {options.rounds} rounds")
    print("| way | first line, median s | least s | of reference | to the end, median s | trials |")
    print("|---|---|---|---|---|---|")
    for (name, root), found in seconds.items():
        way = WAYS[name]
        median, least = first[name, root], min(first for first, _ in found)
        ratio = f"{median / first[way.reference, ROOT]:.2f} × {way.reference}" if way.reference in options.ways else ""
        goal = f" (target {way.target:g})" if way.target else ""
        end = statistics.median(end for _, end in found)
        where = "" if root == ROOT else f" ({root})"
        print(f"| {name}{where} | {median:.2f}{goal} | {least:.2f} | {ratio} | {end:.2f} | {way.trials} |")


if __name__ == "__main__":
    main()
