"""Measures the lines a second that the log parser reads, of each profile's sample log, with metrics in 1 line of 20."""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.yacs_sweep.logs.trainer_logs import LOGS, sample  # noqa: E402
from yacs_sweep.logs.parser import LogParser  # noqa: E402
from yacs_sweep.logs.patterns import LogFormat  # noqa: E402
from yacs_sweep.trainers.load import load_profile  # noqa: E402

CHUNK = 1 << 16  # bytes, as much as a Linux pipe holds


def rate(log_format: LogFormat, log: bytes, repeats: int) -> tuple[float, int]:
    """Measures the median lines a second, and counts the rows found."""
    rates, rows = [], 0
    for _ in range(repeats):
        parser = LogParser(log_format)
        start = time.perf_counter()
        rows = sum(len(parser.feed_chunk(log[at : at + CHUNK])) for at in range(0, len(log), CHUNK))
        rows += len(parser.close())
        rates.append(log.count(b"\n") / (time.perf_counter() - start))
    return statistics.median(rates), rows


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--lines", type=int, default=200_000)
    arguments.add_argument("--repeats", type=int, default=3)
    options = arguments.parse_args()
    print(f"{options.lines:,} lines, 5 % with metrics; median of {options.repeats}")
    for name in LOGS:
        log_format = load_profile(name, project_root=ROOT).metrics
        mixed, rows = rate(log_format, sample(name, options.lines), options.repeats)
        dense, _ = rate(log_format, sample(name, options.lines // 20, every=1), options.repeats)
        print(f"{name:<22}{mixed:>12,.0f} lines/s{rows:>8,} rows; every line a metric line: {dense:>9,.0f} lines/s")


if __name__ == "__main__":
    main()
