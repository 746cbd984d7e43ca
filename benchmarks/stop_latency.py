"""Measures the seconds from a request to end a trial until its processes are gone: median and worst of 50.

    python benchmarks/stop_latency.py [--runs 50]

From the request (a flag that is polled, as for early termination and interrupts) to the moment the kernel knows no
process of the trial any more. Targets: median below 1 s; a child that ignores SIGTERM, below its grace period and 1 s at
worst.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from yacs_sweep.base.processes import marked_processes
from yacs_sweep.trial.process import Guard, Limits, Stop, run_child

GRACE = 2.0
QUIET = "import time; print('up', flush=True); time.sleep(1000)"
BUSY = "import sys\nprint('up', flush=True)\nwhile True: sys.stdout.write('a line of output\\n' * 1000)"
DEAF = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(1000)"
FAMILY = (
    "import os, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0: time.sleep(1000)\n    os._exit(0)\n"
    "print('up', flush=True); time.sleep(1000)"
)


def latency(guard: Guard, code: str) -> float:
    """Measures the seconds from the request to the end of all processes."""
    up: list[float] = []

    def poll() -> Stop | None:
        return Stop("stopped") if up and time.monotonic() > up[0] else None

    def see(data: bytes) -> None:
        if not up:
            up.append(time.monotonic() + 0.15)  # asked for at a moment that has nothing to do with its output

    run_child(
        guard, [sys.executable, "-c", code], dict(os.environ), "/", limits=Limits(grace=GRACE), on_output=see, poll=poll
    )
    ended = time.monotonic()
    if left := [pid for pid in marked_processes(guard.token) if pid != guard.pid]:
        raise SystemExit(f"processes are left: {left}")
    return ended - up[0]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=50)
    runs = parser.parse_args().runs
    missed = False
    print(f"| child | median s | worst s | of {runs} |\n|---|---|---|---|")
    with Guard() as guard:
        for name, code, median_limit, worst_limit in (
            ("quiet", QUIET, 1.0, GRACE + 1),
            ("busy", BUSY, 1.0, GRACE + 1),
            ("with a grandchild in another session", FAMILY, 1.0, GRACE + 1),
            (f"ignores SIGTERM, grace {GRACE:g} s", DEAF, GRACE + 1, GRACE + 1),
        ):
            seconds = [latency(guard, code) for _ in range(runs)]
            median, worst = statistics.median(seconds), max(seconds)
            missed |= median >= median_limit or worst >= worst_limit
            print(f"| {name} | {median:.2f} | {worst:.2f} | {'missed' if missed else 'met'} |", flush=True)
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
