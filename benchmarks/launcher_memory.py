"""Measures the launcher's memory: beside an idle trial, and what it gains over one that prints five million lines.

    python benchmarks/launcher_memory.py [--lines 5000000] [--settle 8]

1. Unique and proportional set size (/proc/<pid>/smaps_rollup) of all processes but the trainer's, `--settle` seconds after
   an idle trainer has started; beside Optuna with its journal and a plain loop. Pages that two processes share count half
   for each, so other Python processes on the machine make the proportional figure smaller.
2. Resident memory of the supervisor, the agent and the guard, from a trial's first line to its last. Target: below 5 MB each.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from measuring import memory

from tests.sweeping import command, environment, start, write_sweep
from tests.trainers import role_of, roles, write_trainer
from yacs_sweep.trial.inside.guard import descendants

IDLE = "import time\n(out.parent / 'up').touch()\ntime.sleep(1000)\n"
LOOP = "import subprocess, sys\nsubprocess.run([sys.executable, 'train.py', 'trial'])\n"
OPTUNA = """
import subprocess, sys
import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

def objective(trial):
    trial.suggest_float("lr", 0, 1)
    subprocess.run([sys.executable, "train.py", "trial"])
    return 1.0

optuna.create_study(storage=JournalStorage(JournalFileBackend("journal"))).optimize(objective, n_trials=1)
"""

TRAINER = """
import time
print("up", flush=True)
time.sleep(1)
lines = ["INFO: Epoch[1] Iteration[%d/100] a line that is no metric" % i for i in range(999)] + ["loss: 0.5"]
for _ in range(COUNT // 1000):
    sys.stdout.write("\\n".join(lines) + "\\n")
print("mAP: 1.0%", flush=True)
time.sleep(1)
"""
SWEEP = {
    "method": "grid",
    "metric": {"name": "val/mAP", "goal": "maximize"},
    "parameters": {"base_lr": {"values": [0.001]}},
}


def resident(pid: int) -> int:
    """Reads a process's resident memory in KiB; 0 for a process that has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmRSS:")), 0)


def idle(options: list[str] | str, settle: float) -> dict[str, tuple[float, float]]:
    """Measures the processes beside an idle trial: of a sweep with these options, or of a script."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        trainer, spec = write_trainer(folder, IDLE), write_sweep(folder, SWEEP)
        words = [sys.executable, "-c", options] if isinstance(options, str) else []
        words = words or command("--sweep-config", spec, *options, trainer=trainer, config=None)
        process = subprocess.Popen(words, cwd=folder, env=environment(folder), stdout=subprocess.DEVNULL)
        try:
            while not list(folder.rglob("up")):
                time.sleep(0.1)
            time.sleep(settle)
            found = {"main process": memory(process.pid)}
            for pid in descendants(process.pid):
                if role_of(pid) != "child":
                    found[role_of(pid) or "W&B's service"] = memory(pid)
        finally:
            below = descendants(process.pid)
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(30 if isinstance(options, list) else 0)
            for pid in (process.pid, *below):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            process.wait()
    return found


def beside_idle_trials(settle: float) -> bool:
    """Prints the table; returns whether the targets are met."""
    ways: dict[str, tuple[list[str] | str, float | None]] = {
        "subprocess loop": (LOOP, None),
        "Optuna, journal": (OPTUNA, None),
        "product": (["--controller", "local", "--wandb-mode", "disabled"], 50.0),
        "product, offline runs": (["--controller", "local", "--wandb-mode", "offline"], 95.0),
    }
    met, reference = True, 1.0
    print(
        "| one idle trial | unique MB | proportional MB | of Optuna's | processes, proportional MB |\n|---|---|---|---|---|"
    )
    for name, (options, target) in ways.items():
        found = idle(options, settle)
        unique, share = (sum(figures) for figures in zip(*found.values(), strict=True))
        reference = share if name.startswith("Optuna") else reference
        ratio = "" if name == "subprocess loop" else f"{share / reference:.2f} ×"
        goal = f" (target: at most {target:g})" if target else ""
        parts = ", ".join(f"{role} {figures[1]:.1f}" for role, figures in found.items())
        print(f"| {name} | {unique:.1f} | {share:.1f}{goal} | {ratio} | {parts} |", flush=True)
        met = met and (target is None or share <= target)
    return met


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=5_000_000)
    parser.add_argument("--settle", type=float, default=8.0, help="seconds before idle processes are measured")
    arguments = parser.parse_args()
    light, count = beside_idle_trials(arguments.settle), arguments.lines
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        trainer = write_trainer(folder, TRAINER.replace("COUNT", str(count)))
        spec = write_sweep(folder, SWEEP)
        words = ["--sweep-config", spec, "--wandb-mode", "disabled"]
        launcher = start(folder, *words, trainer=trainer, config=None)
        assert launcher.stdout is not None
        if not any(line == "up\n" for line in launcher.stdout):
            raise SystemExit("the trainer never started")
        time.sleep(0.5)
        watched = {"supervisor": launcher.pid, "agent": roles(folder)["agent"][0], "guard": roles(folder)["guard"][0]}
        before = {role: resident(pid) for role, pid in watched.items()}
        most = dict(before)
        # The terminal, meanwhile, is as slow as this loop: what it does not take is left out on the screen alone.
        for line in launcher.stdout:
            if line.startswith("mAP"):
                break
            if "[99/100]" in line:
                most = {role: max(most[role], resident(pid)) for role, pid in watched.items()}
        most = {role: max(most[role], resident(pid)) for role, pid in watched.items()}
        launcher.stdout.read()
        code = launcher.wait(60)
        (log,) = folder.glob("log/sweep/sweep/*/trial-0000/stdout.log")
        written = log.read_bytes().count(b"\n")
    print(f"{count:,} lines printed, {written:,} in stdout.log, exit status {code}")
    print("| process | before MB | most MB | growth MB (target: below 5) |\n|---|---|---|---|")
    for role in watched:
        grown = (most[role] - before[role]) / 1024
        print(f"| {role} | {before[role] / 1024:.1f} | {most[role] / 1024:.1f} | {grown:.1f} |")
    met = all(most[role] - before[role] < 5 * 1024 for role in watched) and written == count + 2 and code == 0
    print("met" if met and light else "missed")
    return 0 if met and light else 1


if __name__ == "__main__":
    sys.exit(main())
