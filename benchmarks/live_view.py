"""Measures the live screen's cost, and the seconds that `--status` takes of a sweep of many trials, also with `--where`.

The cost is CPU time of the supervisor's process while 8 trials log rows, with the screen on a terminal and with --quiet,
which has no screen.

    python benchmarks/live_view.py [--seconds 30] [--rate 5] [--trials 10000]
"""

from __future__ import annotations

import argparse
import json
import os
import pty
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from launcher_cpu import cpu  # noqa: E402

from yacs_sweep.records.folder import SweepPaths, TrialRecord  # noqa: E402
from yacs_sweep.records.summary import Summary  # noqa: E402

TRAINER = """
import sys, time
step = 0
while True:
    step += 1
    place = f"Epoch[{step // 20 + 1}] Iteration[{step % 20}/20]"
    print(f"{place} Loss: {10 / step:.3f}, Acc: {step / 1e4:.3f}, Base Lr: 1e-4", flush=True)
    if step % 20 == 0:
        print(f"Validation Results - Epoch: {step // 20}\\nmAP: {step % 97}%", flush=True)
    time.sleep(1 / RATE)
"""
WARM_UP = 12.0  # seconds until all trials run


def drain(master: int, sizes: list[int]) -> None:
    try:
        while data := os.read(master, 1 << 16):
            sizes.append(len(data))
    except OSError:
        pass


def share(folder: Path, workers: int, seconds: float, *words: str) -> tuple[float, float]:
    """Measures the CPU time of the supervisor in cores, and bytes a second to the terminal."""
    master, slave = pty.openpty()
    sizes: list[int] = []
    threading.Thread(target=drain, args=(master, sizes), daemon=True).start()
    env = {key: value for key, value in os.environ.items() if key not in ("CI", "NO_COLOR")}
    env |= {"TERM": "xterm-256color", "XDG_STATE_HOME": str(folder / "state")}
    command = [
        sys.executable,
        str(ROOT / "tools" / "sweep.py"),
        "--trainer",
        "profile.yaml",
        "--sweep-config",
        "y.yaml",
    ]
    command += ["--controller", "local", "--wandb-mode", "disabled", "--workers", str(workers), "--grace", "0", *words]
    with subprocess.Popen(command, cwd=folder, env=env, stdin=slave, stdout=slave, stderr=slave) as launcher:
        os.close(slave)
        try:
            time.sleep(WARM_UP)
            before, began, written = cpu(launcher.pid), time.perf_counter(), sum(sizes)
            time.sleep(seconds)
            taken = time.perf_counter() - began
            return (cpu(launcher.pid) - before) / taken, (sum(sizes) - written) / taken
        finally:
            launcher.terminate()
            launcher.wait(60)
            os.close(master)


def screen(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "train.py").write_text(TRAINER.replace("RATE", str(options.rate)))
        patterns = (ROOT / "configs" / "trainers" / "reid.yaml").read_text().split("metrics:")[1]
        (folder / "profile.yaml").write_text(f"command: [python, train.py]\noverrides: argparse\nmetrics:{patterns}")
        spec = {"method": "random", "metric": {"name": "val/mAP", "goal": "maximize"}, "count": 100}
        (folder / "y.yaml").write_text(json.dumps({**spec, "parameters": {"lr": {"min": 0.0, "max": 1.0}}}))
        found: dict[str, list[tuple[float, float]]] = {"live screen": [], "--quiet": []}
        for _ in range(options.repeats):
            found["live screen"].append(share(folder, options.workers, options.seconds))
            found["--quiet"].append(share(folder, options.workers, options.seconds, "--quiet"))
    for way, pairs in found.items():
        cores, size = (statistics.median(values) for values in zip(*pairs, strict=True))
        rows = f"{options.workers} trials, {options.rate:g} rows/s each"
        print(f"{rows}  {way:<12}{100 * cores:5.2f} % of a core{size:8.0f} bytes/s to the terminal")


def status(trials: int, repeats: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        paths = SweepPaths(Path(name), "bench")
        paths.agents.mkdir(parents=True)
        paths.launch.write_text(json.dumps({"controller": "local", "target": trials + 8}))
        now = time.time()
        for number in range(trials):
            running = number >= trials - 8
            trial = paths.trial(f"trial-{number:05d}")
            trial.dir.mkdir()
            TrialRecord(
                id=f"t{number}",
                name=trial.dir.name,
                number=number,
                params={"base_lr": 0.1 / (number + 1), "margin": 0.3, "SOLVER.GAMMA": 0.1},
                state="running" if running else "finished" if number % 3 else "failed",
                command=[
                    "python",
                    "tools/train.py",
                    "--config_file=configs/baseline.yml",
                    *["SOLVER.BASE_LR", "0.1"] * 6,
                ],
                started="2026-01-01T00:00:00.000Z",
                ended=None if running else "2026-01-01T00:10:00.000Z",
                value=None if running else float(number),
                last_lines=[] if number % 3 else ["x" * 80] * 20,
            ).save(trial)
            os.utime(trial.record, (now - 3600,) * 2)
            lines = 9000 if running else 100
            trial.metrics.write_text(
                "".join(json.dumps({"step": n, "train/loss": 1 / (n + 1)}) + "\n" for n in range(lines))
            )
        Summary(paths, name="b", controller="local", method="random", metric="val/mAP", goal="maximize").write(
            final=True
        )
        asked, progress = ["--sweep_id", "bench", "--where"], f"{trials - 8}/{trials + 8}"
        for what, words, shown in (
            ("a sweep", ["--sweep_id", "bench"], progress),
            ("the list", [], progress),
            (
                "trials by their value and a parameter",
                [*asked, "val/mAP >= 0 and margin == 0.3"],
                f"of {trials} trials",
            ),
            ("trials by a metric in metrics.jsonl", [*asked, "train/loss < 0.5"], f"{trials} of {trials} trials"),
        ):
            command = [sys.executable, str(ROOT / "tools" / "sweep.py"), "--status", "--results_dir", name, *words]
            times = []
            for _ in range(repeats):
                began = time.perf_counter()
                done = subprocess.run(command, cwd=name, capture_output=True, text=True, check=False)
                times.append(time.perf_counter() - began)
                assert shown in done.stdout, done
            size = paths.summary.stat().st_size / 1e6
            print(f"--status of {what}, {trials:,} trials ({size:.1f} MB)  {statistics.median(times):5.2f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--rate", type=float, default=5.0, help="rows a second of each trial")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    status(options.trials, options.repeats)
    screen(options)


if __name__ == "__main__":
    main()
