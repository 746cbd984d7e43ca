"""Records a trial in an open W&B run: rows, the objective's value in the summary, how the trial ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..base.files import read_json, write_atomically
from ..base.values import to_json
from ..recorders.interface import Rows
from ..records.environment import DIRTY
from ..records.folder import TrialRecord
from ..records.metrics import Objective
from .client_parts import row_sender

METADATA = "wandb-metadata.json"  # of a run's files, the one that its page's overview is made of


@dataclass(frozen=True)
class Axes:
    """Says which metric is the x-axis, and which value of the objective the run's summary holds."""

    axis: str = "epoch"  # the metric that is the x-axis of the others
    metric: str | None = None  # the sweep's
    goal: str = "minimize"
    optimize: str = "last"  # or best: which of its values is the metric's in the summary


class WandbTrial:
    """`recorders.interface.TrialRun` of an open W&B run."""

    def __init__(self, run: Any, axes: Axes, objective: Objective) -> None:
        """Prepares the run for rows.

        Args:
            objective: follows the rows before they are logged.
        """
        self.run, self.axes, self.objective = run, axes, objective
        self._best = axes.metric if axes.optimize == "best" else None  # the metric of which the summary has the best
        self._logged_best: float | None = None
        self._defined = False
        if self._best is not None:  # before any row
            run.define_metric(self._best, summary="none")

    def log(self, rows: Rows) -> None:
        """Logs the rows that the run lacks."""
        log_rows(self.run, [(step, row) for step, row in rows if step >= self.run.starting_step])
        # W&B would give every row an x-axis, 0 where there is none.
        if not self._defined and any(self.axes.axis in row for _, row in rows):
            self._defined = True
            define_metrics(self.run, self.axes)
        if self._best is not None and self.objective.best != self._logged_best:
            self._logged_best = self.run.summary[self._best] = self.objective.best

    def finish(self, record: TrialRecord, objective: Objective) -> None:
        """Writes how the trial has ended into the run's summary."""
        self.run.summary.update(ending_summary(record, objective))
        metric = self.axes.metric
        if metric is not None and record.value not in (None, objective.value):
            self.run.summary[metric] = record.value  # the trainer has defined another summary of it


def log_rows(run: Any, rows: Rows) -> None:
    """Logs rows as ``run.log(row, step=step, commit=True)`` does for each, in one go where the client can.

    tests/yacs_sweep/wandb/test_recorder.py compares the two, since nothing else holds this together when the client
    changes. When it fails, some rows have not been sent; they are on disk, and the run is opened again.
    """
    if rows:
        row_sender(run)(rows)


def explain_run(run: Any, record: Mapping[str, Any]) -> None:
    """Uploads how the trial was started, in the file of which W&B makes the overview of a run's page."""
    command = record.get("command") or [""]
    commit = str(record.get("git_commit") or "").removesuffix(DIRTY)
    content = {"host": record.get("host"), "program": command[0], "args": command[1:]}
    path = Path(run.dir) / METADATA
    write_atomically(path, to_json({**content, **({"git": {"commit": commit}} if commit else {})}), durable=False)
    run.save(str(path), base_path=run.dir, policy="now")


def define_metrics(run: Any, axes: Axes) -> None:
    """Defines for W&B which metrics are axes, and which value of the objective is the run's."""
    run.define_metric(axes.axis, hidden=True)
    run.define_metric("iteration", hidden=True)
    run.define_metric("*", step_metric=axes.axis)
    if axes.metric is not None and axes.optimize == "best":  # written by us; W&B would put {"max": …} in its place
        run.define_metric(axes.metric, step_metric=axes.axis, summary="none")


def describe_run(run: Any, path: Path, given: Mapping[str, Any]) -> None:
    """Gives the run the name and the config that the trainer has given its own, by the file at `path`."""
    content = read_json(path)
    if config := content.get("config"):
        run.config.update({key: config[key] for key in config if key not in given}, allow_val_change=True)
    if name := content.get("name"):
        run.name = name


def ending_summary(record: TrialRecord, objective: Objective) -> dict[str, Any]:
    """Returns the entries of the run's summary that describe how the trial ended."""
    summary: dict[str, Any] = {
        "sweep/state": record.state,
        "sweep/reason": record.reason,
        "sweep/exit_code": record.exit_code,
        "sweep/last_lines": "\n".join(record.last_lines),
        "sweep/best": objective.best,
        "sweep/last": objective.last,
    }
    if record.state == "stopped":
        summary["sweep/stopped_early"] = True
    measured = {"sweep/values": record.values, "sweep/facts": record.facts, "sweep/retry_of": record.retry_of}
    summary.update({name: found for name, found in measured.items() if found})
    return summary
