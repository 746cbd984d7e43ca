"""Reads a sweep and its runs from the W&B server for the report."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import Any

from ...base.errors import ConfigError
from ...base.values import finite_number, from_json, utc_seconds, utc_text
from ...records.folder import TrialRecord
from ...spec.read_sweep import sweep_from_dict
from ...spec.sweep_files import with_numbers
from ...wandb.read_runs import read_runs
from ...wandb.sweeps import look_up
from .data import Sweep, Trial, trial_of

STATES = {"crashed": "failed", "preempted": "killed", "preempting": "running", "pending": "running"}
CAUSES = {"crashed": "its agent stopped reporting", "failed": "the run failed", "killed": "the run was killed"}


def read_remote(path: str, project: str | None, entity: str | None) -> Sweep:
    """Reads the sweep and all its runs.

    Raises:
        ConfigError: no such sweep, or W&B cannot be used.
        SweepError: its runs cannot be read.
    """
    remote = look_up(path, project or os.environ.get("WANDB_PROJECT"), entity or os.environ.get("WANDB_ENTITY"))
    described = {key: value for key, value in remote.config.items() if key != "description"}
    notes = []
    spec = None
    try:
        spec = sweep_from_dict(with_numbers(described), f"W&B sweep {remote.id}")
    except ConfigError as error:
        notes.append(f"The sweep's description is one this version cannot read ({error.problems[0]}).")
    given = described.get("metric")
    metric: Mapping[str, Any] = given if isinstance(given, dict) else {}
    name = spec.metric.name if spec and spec.metric else metric.get("name")
    goal = spec.metric.goal if spec and spec.metric else str(metric.get("goal", "minimize"))
    runs = read_runs(remote, name)
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
    """Converts a run to a trial.

    The end that the launcher recorded in the run's summary counts more than the state that W&B concluded.
    """
    summary: Mapping[str, Any] = run["summary"]
    remote_state = str(run["state"])
    state = str(summary.get("sweep/state") or STATES.get(remote_state, remote_state))
    rows = [
        {"step": row.get("_step"), **{name: from_json(item) for name, item in row.items() if not name.startswith("_")}}
        for row in run["rows"]
    ]
    value = from_json(summary.get(metric)) if metric else None
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
        cause="" if state == "finished" else state if summary.get("sweep/state") else remote_state,
        reason=str(summary.get("sweep/reason") or ("" if state == "finished" else CAUSES.get(remote_state, ""))),
        exit_code=code if isinstance(code, int) else None,
        started=str(run["created"] or ""),
        ended=None if state == "running" else _end_time(run),
        value=float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None,
        rows=len(rows),
        git_commit=run.get("commit"),
        last_lines=str(lines).splitlines() if lines and state != "finished" else [],
    )
    return trial_of(record, rows, metric, str(run.get("url") or ""))


def _end_time(run: Mapping[str, Any]) -> str | None:
    """Returns the run's start plus its running time, else its last heartbeat."""
    start, seconds = utc_seconds(run["created"]), run["summary"].get("_runtime")
    if start is not None and finite_number(seconds) and 0 <= seconds < math.inf:
        return utc_text(start + float(seconds))
    return run.get("heartbeat")
