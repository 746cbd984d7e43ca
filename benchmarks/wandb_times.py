"""Measures a sweep on the W&B server: seconds between starts, until a stop, after an outage; heartbeats a second.

    python benchmarks/wandb_times.py [--starts 30] [--stops 10] [--outages 5,30]

The launcher on the toy trainer against the loopback server of the tests, with the unmodified client. Targets: trials that
take no time start 1.0 s apart with at most one heartbeat a second; a stopped trial's processes are gone within 5 s.
"""

from __future__ import annotations

import argparse
import itertools
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.sweeping import processes_with
from tests.wandb_server import WandbServer, start_server
from tests.wandb_server.launching import end_of, grid, new_sweep, read_until, runs, started, steps, until

OFTEN = {"WANDB_X_FILE_STREAM_TRANSMIT_INTERVAL": "1"}  # of rows; the client's default is 15 s


@contextmanager
def sweep(trials: int, *words: str) -> Iterator[tuple[WandbServer, subprocess.Popen[str], Path]]:
    """Starts a sweep of a number of trials; yields the server, the launcher and the sweep's folder."""
    with tempfile.TemporaryDirectory() as name, start_server() as server:
        folder = Path(name)
        definition = grid(*(n / 1e6 for n in range(1, trials + 1)))
        with started(server, folder, *new_sweep(folder, definition, *words), env=OFTEN) as launcher:
            yield server, launcher, folder


def beats(server: WandbServer, *, busy: bool) -> list[float]:
    """Lists the times of heartbeats: those that report a run, or all."""
    return [item.time for item in server.record.requests("Heartbeat") if not busy or item.body["runState"] != "{}"]


def starts(count: int) -> bool:
    """Measures the starts of trials that take no time; returns whether the target is met."""
    with sweep(count + 1, "TOY.ITERATIONS", "1", "SOLVER.MAX_EPOCHS", "1") as (server, launcher, _):
        times = []
        for _ in range(count + 1):
            read_until(launcher, "▶")
            times.append(time.monotonic())
        code, out = end_of(launcher)
        assert code == 0, out
        heard = beats(server, busy=False)
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    mean, rate = statistics.mean(gaps), (len(heard) - 1) / (heard[-1] - heard[0])
    print(f"| seconds between two starts of {count}: mean, median, worst |", end="")
    print(f" {mean:.3f}, {statistics.median(gaps):.3f}, {max(gaps):.3f} |")
    print(f"| heartbeats per second, meanwhile | {rate:.3f} |", flush=True)
    return mean < 1.01 and rate < 1.01


def stops(count: int, mode: str) -> bool:
    """Measures stops by a user, at moments independent of heartbeats; returns whether the target is met."""
    draw, seconds = random.Random(0), []
    words = ("TOY.MODE", mode, "TOY.SECONDS", "0.2", "SOLVER.MAX_EPOCHS", "1000")
    with sweep(count, *words) as (server, launcher, folder):
        for number in range(count):
            read_until(launcher, "deaf" if mode == "deaf" else "Epoch[1]")
            until(lambda number=number: len(runs(server)) == number + 1 and runs(server)[-1].state == "running")
            time.sleep(draw.uniform(0.0, 2.5))
            trial = set(processes_with("TOY.MODE")) & set(processes_with(str(folder / "log")))
            assert trial
            pressed = time.monotonic()
            server.control.stop_run(runs(server)[-1].name)
            until(lambda trial=trial: not trial & set(processes_with(str(folder / "log"))))
            seconds.append(time.monotonic() - pressed)
        code, out = end_of(launcher)
        assert code == 0, out
        assert [run.state for run in runs(server)] == ["finished"] * count
        heard = beats(server, busy=True)
    what = "a trial that ignores SIGTERM and prints nothing" if mode == "deaf" else "an ordinary trial"
    print(f"| seconds from stop to the end of {what}, of {count}: median, worst |", end="")
    print(f" {statistics.median(seconds):.2f}, {max(seconds):.2f} |")
    gaps = [later - earlier for earlier, later in itertools.pairwise(heard)]
    print(f"| shortest time between heartbeats while it runs | {min(gaps):.2f} |", flush=True)
    return max(seconds) < 5.0


def outage(length: float) -> None:
    """Measures an outage of the server of `length` seconds, from the middle of the first trial on."""
    with sweep(2, "TOY.SECONDS", "0.2") as (server, launcher, _):
        read_until(launcher, "Epoch[2]")
        with server.outage():
            time.sleep(length)
        back = time.monotonic()
        read_until(launcher, "▶")
        took = time.monotonic() - back
        code, out = end_of(launcher)
        assert code == 0, out
        assert [steps(run) for run in runs(server)] == [list(range(8))] * 2
    print(f"| seconds from the end of an outage of {length:g} s to the next trial | {took:.1f} |", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--starts", type=int, default=30)
    parser.add_argument("--stops", type=int, default=10)
    parser.add_argument("--outages", default="5,30", help="seconds")
    options = parser.parse_args()
    print("| | |\n|---|---|")
    met = [starts(options.starts), stops(options.stops, "train"), stops(options.stops, "deaf")]
    for length in options.outages.split(","):
        outage(float(length))
    if not all(met):
        print("a target was missed")
    return int(not all(met))


if __name__ == "__main__":
    sys.exit(main())
