"""Describes sweeps and trials for programs: the JSON of `--status --json`. Its keys are documented in docs/queries.md."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ...base.streams import print_lines
from ...base.values import to_json
from ...base.wording import unprintable
from ..snapshot import Snapshot
from ..trials import Trials
from .listing import Query, Row


def sweep_object(snapshot: Snapshot, status: int) -> dict[str, Any]:
    """Describes a sweep without its trials.

    Args:
        status: the exit status of `--status` for this sweep alone.
    """
    progress, objectives, order = snapshot.progress, snapshot.objectives, snapshot.standing_order
    return {
        "sweep_id": snapshot.paths.sweep_id,
        "name": snapshot.name,
        "dir": str(snapshot.paths.dir),
        "controller": snapshot.controller,
        "method": snapshot.method,
        "metrics": [{"name": metric.name, "goal": metric.goal} for metric in objectives],
        "running": snapshot.at_work,
        "launchers": [
            {
                "host": each.host,
                "pid": each.pid,
                "started": each.started,
                "workers": each.workers,
                "asleep": each.asleep,
            }
            for each in snapshot.launchers
        ],
        "budget": None if snapshot.budget is None else snapshot.budget.as_dict([]),
        "order": None if order is None else {"act": order.act, "by": order.who, "at": order.at},
        "done": progress.settled,
        "target": progress.target,
        "target_reached": progress.reached,
        "counts": snapshot.counts,
        "best": best_object(snapshot),
        "exit_status": status,
    }


def best_object(snapshot: Snapshot) -> dict[str, Any] | None:
    """Describes the best trial, or of several seeds a point the best point and the trial that stands for it."""
    point = snapshot.best_point
    record = None if point is None else point.typical
    if point is None or record is None:
        return None
    found = {"name": record.name, "value": record.value, "params": record.params, "dir": record.dir}
    if record.values is not None:
        found["values"] = record.values
    if snapshot.repeats or snapshot.seed is not None:
        row = point.row()
        found |= {"point": row["point"]} if snapshot.repeats else {}
        found |= {key: row[key] for key in ("n", "mean", "sd")}
    return found


def status_object(snapshot: Snapshot, status: int, rows: Sequence[Row] | None, query: Query | None) -> dict[str, Any]:
    """Describes a sweep with its trials: those of the query in its order, else all, best first."""
    every = Trials(snapshot.records, snapshot.metric, snapshot.goal, snapshot.paths.sweep_id, snapshot)
    trials: list[dict[str, Any]] = list(every)
    if rows is not None and query is not None:
        by_id = {row["id"]: row for row in every}
        trials = [_row(by_id[row.record.id], row, query) for row in rows if row.snapshot is snapshot]
    return {**sweep_object(snapshot, status), "trials": trials}


def _row(known: dict[str, Any], row: Row, query: Query) -> dict[str, Any]:
    """Adds to a trial the values of the names that the query mentions; null where it has none."""
    return {**known, "named": {name: row.values.get(name) for name in query.names}}


def print_json(content: Any) -> None:
    """Prints an object as strict JSON; nan and infinities are texts, as in trial.json."""
    text = to_json(content, indent=1)
    print_lines(text.translate({ord(letter): json.dumps(letter)[1:-1] for letter in unprintable(text)}))
