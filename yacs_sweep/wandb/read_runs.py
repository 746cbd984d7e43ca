"""Reads the runs of a sweep from the W&B server, in a process of its own."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from ..base.ask_process import NoAnswer, TimedOut
from ..base.errors import ConfigError, SweepError
from .ask_client import ClientError, ask_client
from .sweeps import RemoteSweep, find_remote, split_path

TIMEOUT = 900.0  # seconds for a sweep's runs with their histories
RESULTS_TIMEOUT = 120.0  # seconds for a sweep's runs without them
THREADS = 8  # requests at the same time; a run's history is one or two
SAMPLES = 500  # rows of a run's history; the server thins longer ones


def read_runs(remote: RemoteSweep, metric: str | None, *, repeats: bool = False) -> list[dict[str, Any]]:
    """Reads the sweep's runs with their histories, in which every row of `metric` is kept.

    Args:
        repeats: whether the sweep's runs are points, and those of their seeds are runs of a group.

    Returns:
        For each run `id`, `name`, `state`, `params`, `summary`, `rows`, `created`, `heartbeat`, `commit`, `url`; with repeats
        those of the seeds, which have a `point`, and those of the sweep that no seed has a run for.

    Raises:
        SweepError: no answer, or one that is an error.
    """
    path = f"{remote.entity}/{remote.project}/{remote.id}"
    try:
        arguments = {"path": path, "metric": metric, "repeats": repeats}
        return ask_client(_read_runs, arguments, timeout=TIMEOUT)
    except TimedOut:
        raise SweepError(f"W&B did not give the runs of {remote.id} within {TIMEOUT / 60:.0f} min") from None
    except NoAnswer as error:
        raise SweepError(f"W&B's client failed: {error}") from None
    except ClientError as error:
        raise SweepError(f"the runs of {remote.id} cannot be read from W&B: {error}") from None


def read_results(path: str, project: str | None, entity: str | None, metrics: Sequence[str]) -> list[dict[str, Any]]:
    """Reads the results of the sweep that `--from-sweep` names: `state`, `params` and `values` (by metric) of each run.

    Args:
        path: `ID`, `PROJECT/ID` or `ENTITY/PROJECT/ID`.
        metrics: names of the summary's values.

    Raises:
        ConfigError: no answer, or no such sweep.
    """
    unknown = f"--from-sweep {path}: no local sweep of that id, and W&B gives none"
    names = split_path(path, f"--from-sweep {path}")
    arguments = {"names": names, "project": project, "entity": entity, "metrics": list(metrics)}
    try:
        return ask_client(_read_results, {**arguments, "label": unknown}, timeout=RESULTS_TIMEOUT)
    except TimedOut:
        raise ConfigError(f"--from-sweep {path}: W&B did not answer within {RESULTS_TIMEOUT:.0f} s") from None
    except (NoAnswer, ClientError, ConfigError) as error:
        text = str(error)
        raise ConfigError(text if text.startswith(unknown) else f"{unknown}: {text}") from None


# -- in the process of its own ----------------------------------------------------------------------------------------
def _read_runs(path: str, metric: str | None, repeats: bool) -> list[dict[str, Any]]:
    """Reads the runs of a sweep, several at the same time."""
    from concurrent.futures import ThreadPoolExecutor

    import wandb

    api: Any = wandb.Api(timeout=60)
    runs, points = list(api.sweep(path).runs), dict[str, str]()
    if repeats:
        place, _, sweep_id = path.rpartition("/")
        group = re.compile(rf"{re.escape(sweep_id)}-(point-\d+)")
        seeds = list(api.runs(place, filters={"group": {"$regex": f"^{re.escape(sweep_id)}-point-"}}))
        points = {run.id: found[1] for run in seeds if (found := group.fullmatch(str(run.group)))}
        # The first seed of a point is named after the run that the point is on the server.
        runs = [run for run in runs if f"{run.id}-1" not in points] + [run for run in seeds if run.id in points]
    with ThreadPoolExecutor(THREADS) as pool:
        read = list(pool.map(lambda run: _read_run(run, metric), runs))
    return [{**run, "point": points.get(run["id"])} for run in read]


def _read_run(run: Any, metric: str | None) -> dict[str, Any]:
    """Reads a run with its history."""
    rows = run.history(samples=SAMPLES, pandas=False) or []
    if metric and len(rows) >= SAMPLES:  # thinned: rows of the sweep's metric, rarer than others, went with them
        rows = [{key: value for key, value in row.items() if key != metric} for row in rows]
        rows += run.history(samples=SAMPLES, keys=["epoch", metric], pandas=False) or run.history(
            samples=SAMPLES, keys=[metric], pandas=False
        )
        rows.sort(key=lambda row: row.get("_step") or 0)
    return {
        "id": run.id,
        "name": run.name,
        "state": run.state,
        "params": dict(run.config),
        "summary": dict(run.summary_metrics or {}),
        "rows": [dict(row) for row in rows],
        "created": run.created_at,
        "heartbeat": getattr(run, "heartbeat_at", None),
        "commit": getattr(run, "commit", None),
        "url": run.url,
    }


def _read_results(
    names: list[str], project: str | None, entity: str | None, metrics: list[str], label: str
) -> list[dict[str, Any]]:
    """Finds the sweep; reads state, parameters and results of its runs."""
    runs: Iterable[Any] = find_remote(names, project, entity, label).runs
    return [
        {
            "state": run.state,
            "params": dict(run.config),
            "values": {metric: run.summary.get(metric) for metric in metrics},
        }
        for run in runs
    ]
