"""Measures `report.py --serve` on a sweep of 1,000 trials with 4 running: the server's load, and how late a row is.

python benchmarks/served_page.py [--trials 1000] [--seconds 30]
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.report_sweeps import write_sweep  # noqa: E402
from tests.yacs_sweep.serve.serving import Server, serving  # noqa: E402
from yacs_sweep.base.locks import create_locked  # noqa: E402
from yacs_sweep.base.values import utc_now  # noqa: E402
from yacs_sweep.records.folder import SweepPaths, TrialRecord  # noqa: E402

RUNNING, RATE = 4, 5.0  # trials, and rows a second of each
TICKS = os.sysconf("SC_CLK_TCK")


def make_sweep(base: Path, trials: int) -> SweepPaths:
    """Writes the sweep's folder, with trials that run, and a launch that lives as long as this process."""
    paths = write_sweep(base, "k3v9x2ab", trials, 200)
    for number in range(trials, trials + RUNNING):
        record = TrialRecord(f"r-{number}", f"trial-{number:04d}", number, {"base_lr": 0.001}, started=utc_now())
        paths.trial(record.name).dir.mkdir()
        record.save(paths.trial(record.name))
    content = {"host": os.uname().nodename, "pid": os.getpid(), "started": utc_now(), "workers": RUNNING}
    create_locked(paths.agents / "launcher-bench.json", json.dumps(content).encode())
    return paths


def cpu_seconds(pid: int) -> float:
    """Returns the processor time that a process has used."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / TICKS


class Browser(threading.Thread):
    """Reads the stream of events; notes how many bytes came, and how long after it was written each row was there."""

    def __init__(self, server: Server, path: str) -> None:
        super().__init__(daemon=True)
        self.connection = http.client.HTTPConnection("127.0.0.1", server.port)
        self.connection.request("GET", path, headers=server.cookie)
        self.size, self.late = 0, list[float]()

    def run(self) -> None:
        """Reads until the process ends."""
        for line in self.connection.getresponse():
            self.size += len(line)
            if line.startswith(b"data: "):
                rows = [row for each in json.loads(line[6:]).get("rows", {}).values() for row in each]
                self.late += [time.time() - row["written"] for row in rows if "written" in row]


def main() -> None:
    """Prints what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=30.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        paths = make_sweep(Path(folder), options.trials)
        with serving(Path(folder), "--sweep_id", paths.sweep_id, "--results_dir", folder) as server:
            pid = server.process.pid
            browsers = {**server.cookie, "Sec-Fetch-Dest": "document"}
            for name, headers in (
                ("what a browser is shown", browsers),
                ("page, first", None),
                ("page, again", browsers),
            ):
                begun = time.perf_counter()
                size = len(server.ask(f"/sweep/{paths.sweep_id}", headers=headers).body)
                print(f"{name:24} {time.perf_counter() - begun:6.2f} s, {size / 1e6:.2f} MB")
            browser = Browser(server, f"/sweep/{paths.sweep_id}/events")
            browser.start()
            time.sleep(3)
            used, size, begun, step = cpu_seconds(pid), browser.size, time.time(), 0
            files = [paths.trial(f"trial-{options.trials + n:04d}").metrics.open("a") for n in range(RUNNING)]
            while time.time() - begun < options.seconds:
                for file in files:
                    row = {
                        "step": step,
                        "epoch": step // 10,
                        "train/loss": 0.5,
                        "val/mAP": 30.0,
                        "written": time.time(),
                    }
                    file.write(json.dumps(row) + "\n")
                    file.flush()
                step += 1
                time.sleep(1 / RATE)
            took = time.time() - begun
            late = sorted(browser.late)
            print(f"{'server':24} {100 * (cpu_seconds(pid) - used) / took:6.2f} % of a core")
            print(f"{'to one browser':24} {(browser.size - size) / took / 1000:6.2f} kB/s")
            print(f"{'a row is there after':24} {late[len(late) // 2]:6.2f} s (median), {late[-1]:.2f} s (longest)")


if __name__ == "__main__":
    main()
