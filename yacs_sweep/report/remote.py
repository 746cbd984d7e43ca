"""A sweep of the W&B server, read in a process of its own: its client retries for minutes, and a process can be ended."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from ..controllers.wandb_sweep import RemoteSweep, look_up
from ..errors import ConfigError, SweepError
from ..results import TrialRecord, number, to_json
from ..spec_model import SweepSpec
from ..wandb_client import client_environment, reason_of
from .data import Sweep, Trial, finite, moment, trial_of

TIMEOUT = 900.0  # seconds for everything
THREADS = 8  # requests at the same time; a run's history is one or two
SAMPLES = 500  # rows of a run's history; the server thins longer ones
STATES = {"crashed": "failed", "preempted": "killed", "preempting": "running", "pending": "running"}
CAUSES = {"crashed": "its agent stopped reporting", "failed": "the run failed", "killed": "the run was killed"}
CODE = "import sys; sys.path.insert(0, {root!r}); from yacs_sweep.report.remote import main; main()"


def read_remote(path: str, project: str | None, entity: str | None) -> Sweep:
    """The sweep and all its runs.

    Raises:
        ConfigError: no such sweep, or W&B cannot be used.
        SweepError: its runs cannot be read.
    """
    remote = look_up(path, project or os.environ.get("WANDB_PROJECT"), entity or os.environ.get("WANDB_ENTITY"))
    described = {key: value for key, value in remote.config.items() if key != "description"}
    notes = []
    spec = None
    try:
        spec = SweepSpec.from_dict(described, f"W&B sweep {remote.id}")
    except ConfigError as error:
        notes.append(f"The sweep's description is one this version cannot read ({error.problems[0]}).")
    given = described.get("metric")
    metric: Mapping[str, Any] = given if isinstance(given, dict) else {}
    name = spec.metric.name if spec and spec.metric else metric.get("name")
    goal = spec.metric.goal if spec and spec.metric else str(metric.get("goal", "minimize"))
    runs = _runs(remote, name)
    trials = [
        run_as_trial(run, place, name, goal)
        for place, run in enumerate(sorted(runs, key=lambda run: str(run["created"])))
    ]
    return Sweep(
        id=remote.id,
        name=str(described.get("name") or remote.id),
        source=remote.url or f"{remote.entity}/{remote.project}/{remote.id}",
        controller="wandb",
        method=str(described.get("method", "")),
        metric=name,
        goal=goal,
        trials=trials,
        spec=spec,
        notes=notes,
    )


def run_as_trial(run: Mapping[str, Any], place: int, metric: str | None, goal: str) -> Trial:
    """A run as a trial. What the launcher told W&B of its end counts more than what W&B concluded."""
    summary: Mapping[str, Any] = run["summary"]
    there = str(run["state"])
    state = str(summary.get("sweep/state") or STATES.get(there, there))
    rows = [
        {"step": row.get("_step"), **{name: number(item) for name, item in row.items() if not name.startswith("_")}}
        for row in run["rows"]
    ]
    value = number(summary.get(metric)) if metric else None
    if isinstance(value, dict):  # of a metric that was defined with a summary
        value = value.get("max" if goal == "maximize" else "min", value.get("last"))
    code = summary.get("sweep/exit_code")
    lines = summary.get("sweep/last_lines")
    record = TrialRecord(
        id=str(run["id"]),
        name=str(run["name"] or run["id"]),
        number=place,
        params={str(key): item for key, item in run["params"].items() if not str(key).startswith("_")},
        state=state,
        cause="" if state == "finished" else state if summary.get("sweep/state") else there,
        reason=str(summary.get("sweep/reason") or ("" if state == "finished" else CAUSES.get(there, ""))),
        exit_code=code if isinstance(code, int) else None,
        started=str(run["created"] or ""),
        ended=None if state == "running" else _ended(run),
        value=float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None,
        rows=len(rows),
        git_commit=run.get("commit"),
        last_lines=str(lines).splitlines() if lines and state != "finished" else [],
    )
    return trial_of(record, rows, metric, str(run.get("url") or ""))


def _ended(run: Mapping[str, Any]) -> str | None:
    """Its last sign of life, or its start and how long it says it ran."""
    start, seconds = moment(run["created"]), run["summary"].get("_runtime")
    if start is not None and finite(seconds) and 0 <= seconds < math.inf:
        end = datetime.fromtimestamp(start, timezone.utc) + timedelta(seconds=float(seconds))
        return end.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return run.get("heartbeat")


def _runs(remote: RemoteSweep, metric: str | None) -> list[dict[str, Any]]:
    root = str(Path(__file__).resolve().parent.parent.parent)
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
