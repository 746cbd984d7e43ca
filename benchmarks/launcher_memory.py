"""Measures the memory the launcher gains over one trial that prints five million lines.

    python benchmarks/launcher_memory.py [--lines 5000000]

Resident memory of the supervisor and of the agent, from the trial's first line to its last. Target: below 5 MB each.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.sweeping import start, write_sweep
from tests.trainers import roles, write_trainer

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


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=5_000_000)
    count = parser.parse_args().lines
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
    print("met" if met else "missed")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
