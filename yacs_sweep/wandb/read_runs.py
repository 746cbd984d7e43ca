"""Reads the runs of a sweep from the W&B server, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ..base.errors import ConfigError, SweepError
from ..base.shipped import IMPORT_ROOT
from ..base.values import to_json
from .client import client_environment, reason_of
from .sweeps import RemoteSweep

TIMEOUT = 900.0  # seconds for everything
THREADS = 8  # requests at the same time; a run's history is one or two
SAMPLES = 500  # rows of a run's history; the server thins longer ones
CODE = "import sys; sys.path.insert(0, {root!r}); from yacs_sweep.wandb.read_runs import main; main()"


def _runs(remote: RemoteSweep, metric: str | None) -> list[dict[str, Any]]:
    root = str(IMPORT_ROOT)
    request = json.dumps({"path": f"{remote.entity}/{remote.project}/{remote.id}", "metric": metric})
    command = [sys.executable, "-c", CODE.format(root=root)]
    try:
        done = subprocess.run(
            command, input=request, env=client_environment(os.environ), capture_output=True, text=True, timeout=TIMEOUT
        )
    except subprocess.TimeoutExpired:
        raise SweepError(f"W&B did not give the runs of {remote.id} within {TIMEOUT / 60:.0f} min") from None
    try:
        answer = json.loads(done.stdout.rstrip("\n").rpartition("\n")[2])  # not splitlines: texts hold other separators
    except ValueError:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise SweepError(f"W&B's client failed: {lines[-1][:300]}") from None
    if "error" in answer:
        raise SweepError(f"the runs of {remote.id} cannot be read from W&B: {answer['error']}")
    runs: list[dict[str, Any]] = answer["runs"]
    return runs


# -- in the process of its own ----------------------------------------------------------------------------------------
def main() -> None:
    """Answers one request (JSON on stdin) with one line of JSON on stdout."""
    answer_to = os.dup(1)
    os.dup2(2, 1)  # what the client prints is not the answer
    request = json.loads(sys.stdin.read())
    try:
        answer: dict[str, Any] = {"runs": _read(request["path"], request["metric"])}
    except Exception as error:
        answer = {"error": reason_of(error)}
    data = memoryview(to_json(answer).encode() + b"\n")
    while data:
        data = data[os.write(answer_to, data) :]
    os._exit(0)  # the client's own exit can wait for a server that does not answer


def _read(path: str, metric: str | None) -> list[dict[str, Any]]:
    import wandb

    api: Any = wandb.Api(timeout=60)
    runs: Iterable[Any] = api.sweep(path).runs
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(lambda run: _run(run, metric), list(runs)))


def _run(run: Any, metric: str | None) -> dict[str, Any]:
    rows = run.history(samples=SAMPLES, pandas=False) or []
    if (
        metric and len(rows) >= SAMPLES
    ):  # thinned: the sweep's metric, logged more rarely than others, has gone with them
        rows = [{key: value for key, value in row.items() if key != metric} for row in rows]
        rows += run.history(samples=SAMPLES, keys=["epoch", metric], pandas=False) or run.history(
            samples=SAMPLES, keys=[metric], pandas=False
        )
        rows.sort(key=lambda row: row.get("_step") or 0)
    summary = {str(key): value for key, value in dict(run.summary_metrics or {}).items()}
    return {
        "id": run.id,
        "name": run.name,
        "state": run.state,
        "params": dict(run.config),
        "summary": summary,
        "rows": [dict(row) for row in rows],
        "created": run.created_at,
        "heartbeat": run._attrs.get("heartbeatAt"),
        "commit": run._attrs.get("commit"),
        "url": run.url,
    }


REMOTE_TIMEOUT = 120.0  # seconds W&B gets to list a sweep's runs
REMOTE_CODE = """
import json, os, sys
out = os.dup(1); os.dup2(2, 1)
import wandb
runs = wandb.Api(timeout=20).sweep(sys.argv[1]).runs
rows = [
    {"state": run.state, "params": dict(run.config), "summary": {k: run.summary.get(k) for k in sys.argv[2:]}}
    for run in runs
]
os.write(out, json.dumps(rows, default=str).encode()); os._exit(0)
"""


def remote_runs(path: str, metric: str) -> list[dict[str, Any]]:
    """A W&B sweep's runs: state, params and the metric's summary value, by a process that can be given up.

    Raises:
        ConfigError: no answer, or no such sweep.
    """
    command = [sys.executable, "-c", REMOTE_CODE, path, metric]
    env = {**os.environ, "WANDB_SILENT": "true"}
    try:
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=REMOTE_TIMEOUT)
        rows: list[dict[str, Any]] = json.loads(done.stdout)
        return rows
    except subprocess.TimeoutExpired:
        raise ConfigError(f"--from-sweep {path}: W&B did not answer within {REMOTE_TIMEOUT:.0f} s") from None
    except ValueError:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        text = f"--from-sweep {path}: no local sweep of that id, and W&B gives none: {lines[-1][:300]}"
        raise ConfigError(text) from None
