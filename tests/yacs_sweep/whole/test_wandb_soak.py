"""Hundreds of trials against a server that fails all the time, and a client whose service process hangs."""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.sweeping import processes_with
from tests.wandb_server import start_server
from tests.wandb_server.launching import end_of, grid, new_sweep, read_until, runs, started, steps, until
from yacs_sweep.wandb.client import OUTAGE_VARIABLE

FLAT = 20 << 20  # bytes the memory of a launcher's process may grow or shrink by
FAULTS: tuple[dict[str, Any], ...] = (
    {"status": 503, "probability": 0.02},
    {"status": 500, "probability": 0.01},
    {"status": 429, "probability": 0.02, "retry_after": 1.0},
    {"kind": "drop", "probability": 0.015},
    {"kind": "drop_after", "probability": 0.015},
    {"kind": "delay", "delay": 1.0, "probability": 0.02},
    {"status": 401, "operation": "file_stream", "probability": 0.02},
    {"status": 403, "operation": "Heartbeat", "probability": 0.02},
)


def resident(pid: int) -> int:
    """Resident memory of a process in bytes; 0 when it is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def agent_of(folder: Path) -> int:
    """The process id of the sweep's only agent."""
    words = [path.read_text().split() for path in folder.glob("log/sweep/sweep/*/agents/*.lock")]
    (found,) = [int(word[1]) for word in words if word]
    return found


def flatness(sizes: list[int]) -> tuple[float, float]:
    """Medians of resident memory near the start and at the end, in bytes; one sample a second."""
    there = [size for size in sizes if size]
    return statistics.median(there[20:50]), statistics.median(there[-30:])


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("trials", [4, pytest.param(200, marks=pytest.mark.slow)])
def test_trials_with_random_faults(tmp_path: Path, trials: int) -> None:
    """Every trial accounted for, no grid point twice, no row lost, no process left, memory flat."""
    definition = grid(*(n / 1e6 for n in range(1, trials + 1)))
    words = new_sweep(tmp_path, definition, "TOY.ITERATIONS", "2", "SOLVER.MAX_EPOCHS", "1")
    memory: dict[str, list[int]] = {"supervisor": [], "agent": []}
    with start_server() as server, started(server, tmp_path, *words, env={OUTAGE_VARIABLE: "120"}) as launcher:
        read_until(launcher, "✓")
        began = time.monotonic()
        agent = agent_of(tmp_path)
        for seed, fault in enumerate(FAULTS):
            server.control.add_fault(**fault, seed=seed)
        over = threading.Event()

        def watch() -> None:
            while not over.wait(1.0):
                memory["supervisor"].append(resident(launcher.pid))
                memory["agent"].append(resident(agent))

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            code, out = end_of(launcher, 1700)
        finally:
            over.set()
            watcher.join()
        took = time.monotonic() - began
        server.control.clear_faults()
        assert code == 0, out[-4000:]
        found = runs(server)
        assert sorted(run.point["base_lr"] for run in found) == definition["parameters"]["base_lr"]["values"]
        assert [run.state for run in found] == ["finished"] * trials
        (folder,) = (tmp_path / "log/sweep/sweep").iterdir()
        summary = json.loads((folder / "summary.json").read_text())
        assert summary["counts"] == {"finished": trials}
        names = {trial["id"]: trial["name"] for trial in summary["trials"]}
        for run in found:
            rows = (folder / names[run.name] / "metrics.jsonl").read_text().splitlines()
            assert steps(run) == [json.loads(row)["step"] for row in rows] == [0, 1, 2]
        until(lambda: not processes_with(str(tmp_path)), 10)
        requests = server.record.requests()
        faults = sum(bool(request.fault) for request in requests)
        assert faults
        report = [f"{trials} trials in {took:.0f} s, {len(requests)} requests, {faults} faults"]
        if took > 100:
            for name, sizes in memory.items():
                first, last = flatness(sizes)
                report.append(f"{name} {first / 2**20:.1f} MiB -> {last / 2**20:.1f} MiB")
                assert abs(last - first) < FLAT, report
        print("; ".join(report))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_service_process_of_the_client_that_hangs_is_replaced(tmp_path: Path) -> None:
    words = new_sweep(tmp_path, grid(0.0001, 0.0002), "SOLVER.MAX_EPOCHS", "3", "TOY.SECONDS", "0.3")
    with start_server() as server, started(server, tmp_path, *words) as launcher:
        read_until(launcher, "Epoch[2]")
        found = subprocess.run(["pgrep", "-P", str(agent_of(tmp_path)), "wandb-core"], capture_output=True, text=True)
        service = int(found.stdout)
        os.kill(service, signal.SIGSTOP)
        code, out = end_of(launcher, 300)
        assert code == 0, out
        assert resident(service) == 0
        assert [run.state for run in runs(server)] == ["finished", "finished"]
        assert [steps(run) for run in runs(server)] == [list(range(12))] * 2
