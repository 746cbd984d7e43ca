"""Lines a second that the log parser reads, beside a plain loop over the same patterns."""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from yacs_sweep.parsing import LogFormat, LogParser  # noqa: E402
from yacs_sweep.trainer import load_profile  # noqa: E402

CHUNK = 1 << 16  # bytes, as much as a Linux pipe holds
PREFIX = b"2026-01-01 12:00:00,123 reid_baseline.train INFO: "


def training_log(lines: int, every: int) -> bytes:
    """The original trainer's format; one line in `every` holds metrics, the others are chatter."""
    out = []
    for number in range(lines):
        if number % (20 * every) == 0:
            out.append(PREFIX + b"mAP: 4.4%")
        elif number % every == 0:
            out.append(PREFIX + b"Epoch[1] Iteration[%d/9999] Loss: 10.012, Acc: 0.017, Base Lr: 1.09e-05" % number)
        else:
            out.append(PREFIX + b"step %d took 0.123 s, data 0.004 s, 128 samples, memory 10240 MB" % number)
    return b"\n".join(out) + b"\n"


def in_chunks(log_format: LogFormat, log: bytes) -> int:
    parser = LogParser(log_format)
    rows = sum(len(parser.feed_chunk(log[at : at + CHUNK])) for at in range(0, len(log), CHUNK))
    return rows + len(parser.close())


def line_by_line(log_format: LogFormat, log: bytes) -> int:
    parser = LogParser(log_format)
    return sum(len(parser.feed(line)) for line in log.split(b"\n")) + len(parser.close())


def plain_loop(log_format: LogFormat, log: bytes) -> int:
    """The reference: every line decoded, every pattern searched."""
    rows = 0
    for line in log.split(b"\n"):
        text = line.decode("utf-8", "replace")
        for entry in log_format.entries:
            match = entry.regex.search(text)
            if match:
                rows += bool({name: float(match[group]) for name, group in entry.names if group != "rank"})
                break
    return rows


def measure(
    run: Callable[[LogFormat, bytes], int], log_format: LogFormat, log: bytes, lines: int, repeats: int
) -> float:
    """Median lines/s; `run` returns the number of rows."""
    rates = []
    for _ in range(repeats):
        start = time.perf_counter()
        rows = run(log_format, log)
        rates.append(lines / (time.perf_counter() - start))
    assert rows == lines // 20, rows
    return statistics.median(rates)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--trainer", default="reid")
    arguments.add_argument("--lines", type=int, default=200_000)
    arguments.add_argument("--repeats", type=int, default=5)
    options = arguments.parse_args()
    log_format = load_profile(options.trainer, project_root=ROOT).metrics
    log = training_log(options.lines, every=20)
    runs = (in_chunks, line_by_line, plain_loop)
    rates = {run: measure(run, log_format, log, options.lines, options.repeats) for run in runs}
    print(f"{options.lines:,} lines, {len(log) / 1e6:.1f} MB, 5 % with metrics; median of {options.repeats}")
    for run, rate in rates.items():
        ratio = rate / rates[plain_loop]
        print(f"{run.__name__:<14}{rate:>12,.0f} lines/s {1e6 / rate:>8.2f} µs/line {ratio:>8.1f} x plain_loop")


if __name__ == "__main__":
    main()
