"""Reads a sweep and its runs from the W&B server for the report."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

from ...base.errors import ConfigError
from ...base.values import finite_number, from_json, utc_seconds, utc_text
from ...base.wording import sentence
from ...records.folder import TrialRecord
from ...spec.constraints import DURATION, judge, names_in
from ...spec.read_sweep import sweep_from_dict
from ...spec.sweep import SweepSpec
from ...spec.sweep_files import with_numbers
from ...wandb.judged_here import with_judged
from ...wandb.read_runs import read_runs
from ...wandb.sweeps import RemoteSweep, look_up
from ..same_seeds import same_seeds_of
from .data import Sweep, Trial, trial_of

STATES = {"crashed": "failed", "preempted": "killed", "preempting": "running", "pending": "running"}
CAUSES = {"crashed": "its agent stopped reporting", "failed": "the run failed", "killed": "the run was killed"}


def read_remote(path: str, project: str | None, entity: str | None, known: SweepSpec | None = None) -> Sweep:
    """Reads the sweep and all its runs.

    Args:
        known: the sweep as this machine's folder describes it; None: there is no folder.

    Raises:
        ConfigError: no such sweep, or W&B cannot be used.
        SweepError: its runs cannot be read.
    """
    remote = look_up(path, project or os.environ.get("WANDB_PROJECT"), entity or os.environ.get("WANDB_ENTITY"))
    described = {key: value for key, value in remote.config.items() if key != "description"}
    notes = []
    spec = known
    try:
        spec = known or _spec_of(remote)
    except ConfigError as error:
        notes.append(f"The sweep's description is one this version cannot read ({error.problems[0]}).")
    given = described.get("metric")
    metric: Mapping[str, Any] = given if isinstance(given, dict) else {}
    name = spec.metric.name if spec and spec.metric else metric.get("name")
    goal = spec.metric.goal if spec and spec.metric else str(metric.get("goal", "minimize"))
    runs = read_runs(remote, name, repeats=spec is not None and spec.repeats is not None)
    runs.sort(key=lambda run: (str(run["created"]), str(run["id"])))
    trials = [run_as_trial(run, place, name, goal, spec) for place, run in enumerate(runs)]
    notes += _alike(trials, runs, spec) if spec is not None else []
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


def _spec_of(remote: RemoteSweep) -> SweepSpec:
    """Reads the description of a sweep, with what the launcher has added to it for keys that the server lacks.

    Raises:
        ConfigError: it cannot be read.
    """
    return sweep_from_dict(with_numbers(with_judged(remote.config)), f"W&B sweep {remote.id}")


def run_as_trial(
    run: Mapping[str, Any], place: int, metric: str | None, goal: str, spec: SweepSpec | None = None
) -> Trial:
    """Converts a run to a trial.

    The end that the launcher recorded in the run's summary counts more than the state that W&B concluded, and the values it
    has judged the trial by more than the last ones that were logged.
    """
    summary: Mapping[str, Any] = run["summary"]
    remote_state = str(run["state"])
    state = str(summary.get("sweep/state") or STATES.get(remote_state, remote_state))
    steps = [row.get("_step") for row in run["rows"]]
    rows = [{"step": step, **row} for step, row in zip(steps, _logged(run["rows"]), strict=True)]
    value = _summary_value(summary, metric, goal) if metric else None
    params = {str(key): item for key, item in run["params"].items() if not str(key).startswith("_")}
    seed = params.pop(spec.repeats.name, None) if run.get("point") and spec is not None and spec.repeats else None
    code = summary.get("sweep/exit_code")
    lines = summary.get("sweep/last_lines")
    record = TrialRecord(
        id=str(run["id"]),
        name=str(run["name"] or run["id"]),
        number=place,
        params=params,
        state=state,
        cause="" if state == "finished" else state if summary.get("sweep/state") else remote_state,
        reason=str(summary.get("sweep/reason") or ("" if state == "finished" else CAUSES.get(remote_state, ""))),
        exit_code=code if isinstance(code, int) else None,
        started=str(run["created"] or ""),
        ended=None if state == "running" else _end_time(run),
        value=value,
        point=run.get("point"),
        seed=seed,
        retry_of=summary.get("sweep/retry_of"),
        rows=len(rows),
        git_commit=run.get("commit"),
        last_lines=str(lines).splitlines() if lines and state != "finished" else [],
    )
    if spec is not None:
        _judge(record, summary, spec)
    return trial_of(record, rows, metric, str(run.get("url") or ""))


def _summary_value(summary: Mapping[str, Any], metric: str, goal: str) -> float | None:
    """Returns a metric of a run's summary as a number; None where it is none."""
    value = from_json(summary.get(metric))
    if isinstance(value, dict):  # of a metric that was defined with a summary
        value = value.get("max" if goal == "maximize" else "min", value.get("last"))
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _judge(record: TrialRecord, summary: Mapping[str, Any], spec: SweepSpec) -> None:
    """Gives a trial's record the values of several objectives, and whether it keeps the constraints."""
    known: dict[str, Any] = {DURATION: record.seconds, **{name: from_json(summary[name]) for name in summary}}
    if spec.more_metrics:
        sent = _mapping(summary, "sweep/values")
        last = {metric.name: _summary_value(known, metric.name, metric.goal) for metric in spec.objectives}
        record.values = {name: from_json(sent.get(name, value)) for name, value in last.items()}
        known.update({name: value for name, value in record.values.items() if value is not None})
    if spec.constraints:
        known.update(_mapping(summary, "sweep/facts"))
        facts = {name: from_json(known.get(name)) for name in names_in(spec.constraints)}
        record.facts = {name: value for name, value in facts.items() if isinstance(value, int | float | str)}
        if record.state == "finished":
            record.feasible, record.violated = judge(spec.constraints, record.facts)


def _mapping(summary: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Returns a mapping of a run's summary; empty where it has none."""
    found = summary.get(name)
    return found if isinstance(found, dict) else {}


def _alike(trials: Sequence[Trial], runs: Sequence[Mapping[str, Any]], spec: SweepSpec) -> list[str]:
    """Writes a note where all seeds of a point logged the same."""
    rows = {str(run["id"]): run["rows"] for run in runs}
    text = same_seeds_of(spec, [trial.record for trial in trials], lambda record: _logged(rows[record.id]))
    return [sentence(text)] if text else []


def _logged(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Returns rows without what W&B has added to them."""
    return [{name: from_json(item) for name, item in row.items() if not name.startswith("_")} for row in rows]


def _end_time(run: Mapping[str, Any]) -> str | None:
    """Returns the run's start plus its running time, else its last heartbeat."""
    start, seconds = utc_seconds(run["created"]), run["summary"].get("_runtime")
    if start is not None and finite_number(seconds) and 0 <= seconds < math.inf:
        return utc_text(start + float(seconds))
    return run.get("heartbeat")
