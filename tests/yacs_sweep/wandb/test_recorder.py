"""Rows handed over together arrive as rows logged one by one do."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.wandb_server import WandbServer, start_server
from tests.wandb_server.launching import environment, runs
from yacs_sweep.search.local_hooks import LocalHooks
from yacs_sweep.trial.contract import Assignment
from yacs_sweep.wandb.recorder import Run, RunIdentity

ROOT = Path(__file__).resolve().parents[3]
# Logs the same rows in both ways, online and offline; each run's id says how.
BOTH_WAYS = """
import json, sys
from pathlib import Path
from yacs_sweep.wandb import client
from yacs_sweep.wandb.recorder import Run, RunIdentity
from yacs_sweep.wandb.run_rows import Axes, define_metrics, log_rows
client.prepare()
rows = json.loads(sys.argv[1])
for optimize in ("last", "best"):
    axes = Axes(metric="val/mAP", goal="maximize", optimize=optimize)
    for mode in ("online", "offline"):
        for way in ("one-by-one", "together"):
            follower = Run(RunIdentity(f"{optimize}-{mode}-{way}", mode, project="p", entity="tester"), axes)
            run = follower._open(Path("."), mode)
            define_metrics(run, axes)
            if way == "together":
                log_rows(run, rows[:3])
                log_rows(run, [])
                log_rows(run, rows[3:])
            else:
                for step, row in rows:
                    run.log(row, step=step, commit=True)
            if optimize == "best":
                run.summary["val/mAP"] = 41.5
            run.summary.update({"sweep/state": "finished"})
            run.finish(exit_code=0)
client.end_service(client.SERVICE_EXIT)
"""
ROWS: list[tuple[int, dict[str, Any]]] = [
    (0, {"epoch": 1, "train/loss": 10.012, "train/lr": 1.09e-05}),
    (1, {"epoch": 1, "train/loss": float("nan"), "count": 2**53 + 1, "wide": 2**70}),
    (2, {"epoch": 1, "val/mAP": 41.5, "up": float("inf"), "down": float("-inf")}),
    (5, {"epoch": 2, "iteration": 7, "text": 'é "quoted" \\ \ud800', "flag": True, "none": None}),
    (6, {"epoch": 2, "_step": 99, "integral": 3.0, "list": [1, 2.5, "x"], "a.b": 1}),
    (7, {"epoch": 2, "_timestamp": 1700000000.5, "val/mAP": 40}),
]
CLOCKS = ("_timestamp", "_runtime")


def told(server: WandbServer, name: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Rows and summary of a run, without what a clock says, which is checked."""
    (run,) = [run for run in runs(server) if run.name == name]
    rows, summary = run.history(), json.loads(run.summary)
    for place, row in enumerate([*rows, summary]):
        if place not in (5, 6):  # the row that has a time of its own, and the summary, which is of that
            assert abs(row["_timestamp"] - time.time()) < 300
        assert 0 <= row["_runtime"] < 300 if place != 5 else "_runtime" in row
    assert rows[5]["_timestamp"] == 1700000000.5
    without = [{key: value for key, value in row.items() if key not in CLOCKS} for row in [*rows, summary]]
    without[-1].pop("_wandb", None)  # seconds the run took
    return without[:-1], without[-1]


def test_rows_arrive_as_by_run_log(tmp_path: Path) -> None:
    with start_server() as server:
        env = environment(server, tmp_path)
        words = [sys.executable, "-c", BOTH_WAYS, json.dumps(ROWS)]
        env["PYTHONPATH"] = str(ROOT)
        logged = subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=200, check=False)
        assert logged.returncode == 0, logged.stdout + logged.stderr
        folders = sorted(str(path) for path in (tmp_path / "wandb").glob("offline-run-*"))
        assert len(folders) == 4
        words = [sys.executable, "-m", "wandb", "sync", *folders]
        synced = subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=200, check=False)
        assert synced.returncode == 0, synced.stdout + synced.stderr
        for optimize in ("last", "best"):
            for mode in ("online", "offline"):
                rows, summary = together = told(server, f"{optimize}-{mode}-together")
                # As text, which tells 3 from 3.0 and from True.
                one_by_one = told(server, f"{optimize}-{mode}-one-by-one")
                assert json.dumps(together, sort_keys=True) == json.dumps(one_by_one, sort_keys=True)
                assert [row["_step"] for row in rows] == [step for step, _ in ROWS]
                assert math.isnan(rows[1]["train/loss"])
                assert rows[1]["count"] == 2**53 + 1
                assert summary["val/mAP"] == (41.5 if optimize == "best" else 40)
                assert summary["epoch"] == 2


def test_the_run_of_an_agent_that_fails_ends() -> None:
    # Otherwise the agent waits a minute for it before it leaves.
    class Failing:
        def run(self, assignment: Assignment, hooks: LocalHooks) -> None:
            hooks.wandb_run = Run(RunIdentity("x", "offline"))
            raise OSError("no space left")

    trial: Any = None
    coordinator: Any = None
    agent: Any = Failing()
    hooks = LocalHooks(trial, coordinator, end=lambda trial, record: True, metric=None)
    with pytest.raises(OSError, match="no space left"):
        hooks.run(agent, Assignment("x", "trial-0000", 0, {}))
    assert hooks.wandb_run is not None and hooks.wandb_run.record is not None
    assert hooks.wandb_run.record.state == "lost"
