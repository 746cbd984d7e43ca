"""Reports the spread over the seeds with which the best configuration was trained (`--train-best`)."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from functools import partial
from typing import Any

from ..base.files import write_atomically
from ..base.streams import print_lines
from ..base.values import finite_number, to_json
from ..records.folder import SEEDS_FILE, SweepPaths
from ..records.metrics import last_values
from ..show.table import text_table
from .accessories import Accessories
from .plan.plan import Plan
from .plan.train_best import SEED


def summarize_seeds(paths: SweepPaths, metric: str, origin: str) -> dict[str, Any]:
    """Computes mean and standard deviation (n - 1) over the finished trials, of each metric's last value.

    Of the sweep's own metric, the value counts that the sweep optimises.
    """
    trials = list(paths.records())
    finished = [record for record in trials if record.state == "finished"]
    values: dict[str, list[float]] = {}
    for record in finished:
        row = {**last_values(paths.trial(record.name)), metric: record.value}
        for name, value in row.items():
            if isinstance(value, int | float) and not isinstance(value, bool) and name != "epoch":
                values.setdefault(name, []).append(float(value))
    return {
        "sweep_id": paths.sweep_id,
        "best": origin,
        "metric": metric,
        "trials": [
            {
                "name": item.name,
                "seed": item.params.get(SEED),
                "state": item.state,
                "value": item.value,
                "dir": item.dir,
            }
            for item in trials
        ],
        "metrics": {name: spread(values[name]) for name in sorted(values, key=lambda name: (name != metric, name))},
    }


def spread(values: list[float]) -> dict[str, Any]:
    """Returns mean and standard deviation; None for those that the values do not determine."""
    usable = all(finite_number(value) for value in values)
    return {
        "mean": statistics.fmean(values) if usable else None,
        "std": statistics.stdev(values) if usable and len(values) > 1 else None,
        "values": values,
    }


def seeds_table(content: Mapping[str, Any]) -> str:
    """Formats the metrics of `summarize_seeds` for a terminal."""
    rows = [["metric", "mean", "± std", "n"]]
    for name, found in content["metrics"].items():
        cells = ["–" if found[key] is None else f"{found[key]:.4g}" for key in ("mean", "std")]
        rows.append([name, *cells, str(len(found["values"]))])
    return "\n".join(text_table(rows, right=(1, 2, 3)))


def report_seeds(plan: Plan, accessories: Accessories) -> None:
    """Writes seeds.json and prints the table, as far as that is possible."""
    paths, metric = plan.paths, plan.spec.metric
    assert paths is not None and metric is not None
    origin = paths.sweep_id.rpartition("-best")[0]
    content = summarize_seeds(paths, metric.name, origin)
    path = paths.dir / SEEDS_FILE
    write = partial(write_atomically, path, to_json(content, indent=1) + "\n")
    written = accessories.attempt("seeds.json is not written", write)
    print_lines(seeds_table(content) if content["metrics"] else "no seed has finished")
    if written:
        print_lines(f"[sweep] mean and standard deviation over seeds: {path}")
