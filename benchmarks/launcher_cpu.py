"""Measures the launcher's cost of reading a trainer's output.

1. CPU time of the launcher's processes (supervisor, agent, guard, W&B's service; each one's is shown) while a trainer
   prints 1,000 lines a second, beside a plain loop over the lines of `subprocess.Popen`. It is that of the steady state:
   counting begins `--warm-up` seconds after the trainer was seen, when the agent has imported W&B's client and opened
   the run.
2. Lines/s from a child that writes as fast as it can to stdout.log, which must be its copy byte for byte, and through
   the patterns; beside a plain loop that copies lines.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from yacs_sweep.logs.parser import LogParser  # noqa: E402
from yacs_sweep.records.folder import TrialPaths  # noqa: E402
from yacs_sweep.trainers.load import load_profile  # noqa: E402
from yacs_sweep.trial.inside.guard import descendants  # noqa: E402
from yacs_sweep.trial.output import Output  # noqa: E402
from yacs_sweep.trial.process import Guard, Limits, run_child  # noqa: E402

EVERY = 20  # 5 % of the lines match
PREFIX = b"2026-01-01 12:00:00,123 reid_baseline.train INFO: "
PRINTER = """
import sys, time
lines = open({log!r}, "rb").read().splitlines(keepends=True)
began = time.perf_counter()
for number, line in enumerate(lines):
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()
    if number % 10 == 9:
        time.sleep(max(0.0, began + (number + 1) / {rate} - time.perf_counter()))
print("mAP: 1%")
"""
TICKS = os.sysconf("SC_CLK_TCK")
TARGET_SHARE, TARGET_LINES = 3.0, 300_000  # % of a core; lines a second


def training_log(lines: int, every: int) -> bytes:
    """Makes a log in the original trainer's format; one line in `every` holds metrics, the others do not."""
    out = []
    for number in range(lines):
        if number % (20 * every) == 0:
            out.append(PREFIX + b"mAP: 4.4%")
        elif number % every == 0:
            out.append(PREFIX + b"Epoch[1] Iteration[%d/9999] Loss: 10.012, Acc: 0.017, Base Lr: 1.09e-05" % number)
        else:
            out.append(PREFIX + b"step %d took 0.123 s, data 0.004 s, 128 samples, memory 10240 MB" % number)
    return b"\n".join(out) + b"\n"


def cpu(pid: int) -> float:
    """Reads the seconds of CPU time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def role(pid: int) -> str:
    """Names the role of a process below the launcher."""
    words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    known = {"sweep.py": "supervisor", "guard.py": "guard", "wandb-core": "wandb-core", "yacs_sweep": "agent"}
    return next((name for part, name in known.items() if part in words), "loop")


def share(process: subprocess.Popen[bytes], printer: str, warm_up: float, seconds: float) -> dict[str, float]:
    """Measures the CPU time of a process and its descendants, without the printing trainer, in cores."""
    deadline = time.monotonic() + 60
    trial: list[int] = []
    while not trial and time.monotonic() < deadline:
        time.sleep(0.1)
        below = descendants(process.pid)
        trial = [pid for pid in below if printer.encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")]
    assert trial, "the trainer did not start"
    time.sleep(warm_up)
    pids = [process.pid, *(pid for pid in descendants(process.pid) if pid not in trial)]
    before, began = {pid: cpu(pid) for pid in pids}, time.perf_counter()
    time.sleep(seconds)
    took = time.perf_counter() - began
    shares: dict[str, float] = {}
    for pid in pids:
        shares[role(pid)] = shares.get(role(pid), 0.0) + (cpu(pid) - before[pid]) / took
    return shares


def launcher_share(folder: Path, script: Path, warm_up: float, seconds: float, *options: str) -> dict[str, float]:
    (folder / "profile.yaml").write_text(
        (ROOT / "configs" / "trainers" / "reid.yaml").read_text().split("metrics:")[1].join(
            [f"command: [python, {script}]\noverrides: argparse\nmetrics:", ""]
        )
    )  # fmt: skip
    metric = {"name": "val/mAP", "goal": "maximize"}
    spec = {"method": "grid", "metric": metric, "parameters": {"lr": {"values": [1.0]}}}
    (folder / "one.yaml").write_text(json.dumps(spec))
    words = ["--controller", "local", "--trainer", str(folder / "profile.yaml"), "--sweep-config", "one.yaml", *options]
    with subprocess.Popen(
        [sys.executable, str(ROOT / "tools" / "sweep.py"), *words], cwd=folder, stdout=subprocess.DEVNULL
    ) as launcher:
        try:
            return share(launcher, str(script), warm_up, seconds)
        finally:
            launcher.terminate()
            launcher.wait(30)


LOOP = """
import subprocess, sys
with subprocess.Popen([sys.executable, sys.argv[1]], stdout=subprocess.PIPE) as child:
    with open(sys.argv[2], "wb", buffering=0) as file:
        for line in child.stdout:
            file.write(line)
"""


def loop_share(folder: Path, script: Path, warm_up: float, seconds: float) -> dict[str, float]:
    with subprocess.Popen([sys.executable, "-c", LOOP, str(script), str(folder / "copy.log")]) as loop:
        try:
            return share(loop, str(script), warm_up, seconds)
        finally:
            for pid in [*descendants(loop.pid), loop.pid]:
                os.kill(pid, 15)
            loop.wait(30)


def whole_path(folder: Path, log: Path) -> tuple[float, int]:
    """Reads a log through the guard's child, stdout.log and the patterns; returns seconds and the number of rows."""
    paths = TrialPaths(folder)
    paths.stdout.unlink(missing_ok=True)
    rows: list[object] = []
    output = Output(paths, LogParser(load_profile("reid", project_root=ROOT).metrics), rows.append)
    with Guard() as guard:
        began = time.perf_counter()
        end = run_child(
            guard, ["cat", str(log)], dict(os.environ), folder,
            limits=Limits(), on_output=output.write, on_quiet=output.flush,
        )  # fmt: skip
        output.close()
        seconds = time.perf_counter() - began
    assert end.status == 0
    assert paths.stdout.read_bytes() == log.read_bytes(), "stdout.log differs from what was printed"
    return seconds, len(rows)


def plain_copy(folder: Path, log: Path) -> tuple[float, int]:
    began = time.perf_counter()
    with (
        subprocess.Popen(["cat", str(log)], stdout=subprocess.PIPE) as child,
        (folder / "plain.log").open("wb") as file,
    ):
        assert child.stdout is not None
        count = sum(bool(file.write(line)) for line in child.stdout)
    return time.perf_counter() - began, count


def throughput(folder: Path, lines: int, repeats: int) -> None:
    log = folder / "log.txt"
    log.write_bytes(training_log(lines, EVERY))
    ways: dict[str, Callable[[Path, Path], tuple[float, int]]] = {"launcher": whole_path, "plain copy loop": plain_copy}
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(repeats):
        for way, run in ways.items():
            taken, count = run(folder, log)
            seconds[way].append(taken)
            assert count == (lines // EVERY if run is whole_path else lines), count
    for way, values in seconds.items():
        rate = lines / statistics.median(values)
        target = f"(target: at least {TARGET_LINES:,})" if way == "launcher" else "(reference)"
        print(f"{lines:,} lines, byte for byte  {way:<18}{rate:>12,.0f} lines/s  {target}", flush=True)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--lines", type=int, default=1_000_000)
    arguments.add_argument("--repeats", type=int, default=5)
    arguments.add_argument("--rate", type=int, default=1000, help="lines a second")
    arguments.add_argument("--warm-up", type=float, default=15.0, help="seconds before CPU time is counted")
    arguments.add_argument("--seconds", type=float, default=20.0, help="for which it is")
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        throughput(folder, options.lines, options.repeats)
        log, script = folder / "slow.txt", folder / "printer.py"
        log.write_bytes(training_log(int(options.rate * (options.seconds + options.warm_up + 30)), EVERY))
        script.write_text(PRINTER.format(log=str(log), rate=options.rate))
        times = options.warm_up, options.seconds
        ways: dict[str, Callable[[], dict[str, float]]] = {
            "launcher, runs recorded offline": lambda: launcher_share(folder, script, *times),
            "launcher, --wandb-mode disabled": lambda: launcher_share(
                folder, script, *times, "--wandb-mode", "disabled"
            ),
            "plain loop over Popen": lambda: loop_share(folder, script, *times),
        }
        print(f"CPU time of {options.seconds:g} s, after {options.warm_up:g} s to warm up")
        for way, measure in ways.items():
            shares = measure()
            target = f"(target: at most {TARGET_SHARE:g} %)" if "launcher" in way else "(reference)"
            parts = ", ".join(f"{name} {100 * part:.1f}" for name, part in shares.items())
            total = 100 * sum(shares.values())
            print(f"{options.rate:,} lines/s  {way:<33}{total:5.1f} % of a core  {target}  {parts}", flush=True)


if __name__ == "__main__":
    main()
