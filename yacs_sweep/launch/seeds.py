"""Reports the spread over the seeds with which the best configuration was trained (`--train-best`)."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from ..base.files import write_atomically
from ..base.streams import output_width, print_lines
from ..base.values import finite_number, to_json
from ..base.wording import counted
from ..records.folder import SEEDS_FILE, SweepPaths, TrialRecord
from ..records.known_sweeps import origin_of
from ..records.metrics import last_values
from ..records.points import point_number
from ..show.lines import epochs_apart, in_search, named_in_search, over_folds
from ..show.live.terminal import say
from ..show.table import text_table
from .accessories import Accessories
from .plan.plan import Plan
from .plan.train_best import SEED, seed_name


def can_train_best(plan: Plan, paths: SweepPaths) -> bool:
    """Tells whether `--train-best` trains the best of this sweep with several seeds: it is a search, and seeds have a key."""
    return not origin_of(paths.sweep_id) and plan.profile.seed_key is not None


def summarize_seeds(
    paths: SweepPaths,
    metric: str,
    origin: str,
    searched: TrialRecord | None = None,
    *,
    seed: str = SEED,
    prefer: str | None = None,
) -> dict[str, Any]:
    """Computes mean and standard deviation (n - 1) over the finished trials, of each metric's last value.

    Of the sweep's own metric, the value counts that the sweep optimises.

    Args:
        searched: the best trial of the search, whose value stands beside them; of a point the mean. A value of None is no
            comparison.
        seed: the parameter that holds a trial's seed.
        prefer: what `--prefer` chose it by; None: it is the best.
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
        "search": None if searched is None else _of_search(searched, prefer),
        "epochs": _last_epochs(paths, origin, finished, searched),
        "trials": [
            {
                "name": item.name,
                "seed": item.params.get(seed),
                "state": item.state,
                "value": item.value,
                "dir": item.dir,
            }
            for item in trials
        ],
        "metrics": {name: spread(values[name]) for name in sorted(values, key=lambda name: (name != metric, name))},
    }


def _of_search(searched: TrialRecord, prefer: str | None) -> dict[str, Any]:
    """Returns what the search says of the configuration that is trained."""
    found: dict[str, Any] = {"name": searched.point or searched.name, "value": searched.value}
    if searched.values is not None:
        found["values"] = searched.values
    return found if prefer is None else {**found, "prefer": prefer}


def _last_epochs(
    paths: SweepPaths, origin: str, finished: Sequence[TrialRecord], searched: TrialRecord | None
) -> dict[str, Any]:
    """Reads the last epoch of the search's best trial (None where its rows are not here) and of each seed that has rows."""
    search = SweepPaths(paths.base, origin).trial(searched.name) if searched is not None else None
    ends = [last_values(paths.trial(record.name)).get("epoch") for record in finished]
    before = last_values(search).get("epoch") if search is not None else None
    return {
        "search": before if finite_number(before) else None,
        "seeds": [end for end in ends if finite_number(end)],
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
    """Formats the metrics of `summarize_seeds` for a terminal, the search's value beside them."""
    search = in_search(content)
    rows = [["metric", "mean", "± std", "n", *(["search"] if search else [])]]
    for name, found in content["metrics"].items():
        cells = ["–" if found[key] is None else f"{found[key]:.4g}" for key in ("mean", "std")]
        row = [name, *cells, str(len(found["values"]))]
        if search:
            row.append(f"{search[name]:.4g}" if name in search else "")
        rows.append(row)
    return "\n".join(text_table(rows, right=(1, 2, 3, 4), width=output_width(), shrink=[(0, 12)]))


def seeds_line(content: Mapping[str, Any]) -> str | None:
    """Formats the objective over the seeds beside what the search found; None without values."""
    found, search = content["metrics"].get(content["metric"]), content["search"]
    if found is None or found["mean"] is None:
        return None
    spread = "" if found["std"] is None else f" ± {found['std']:.4g}"
    seeds = counted(len(found["values"]), "seed")
    value = f"{content['metric']} {found['mean']:.4g}{spread} with {seeds}"
    if search is None or search["value"] is None:
        return "; ".join(filter(None, [value, over_folds(content)]))
    mean = "a mean of " if point_number(search["name"]) is not None else ""
    return f"{value}; {named_in_search(search)}, had {mean}{search['value']:.4g}"


def report_seeds(plan: Plan, accessories: Accessories, prefer: str | None = None) -> None:
    """Writes seeds.json and prints the table, as far as that is possible. `prefer`: as of `summarize_seeds`."""
    paths, metric = plan.paths, plan.spec.metric
    assert paths is not None and metric is not None
    origin = origin_of(paths.sweep_id)
    seed = plan.spec.several_values or seed_name(plan.profile, plan.spec)
    content = summarize_seeds(paths, metric.name, origin, plan.searched, seed=seed, prefer=prefer)
    path = paths.dir / SEEDS_FILE
    write = partial(write_atomically, path, to_json(content, indent=1) + "\n")
    written = accessories.attempt("seeds.json is not written", write)
    print_lines(seeds_table(content) if content["metrics"] else "no seed has finished")
    if line := seeds_line(content):
        say(line)
    if apart := epochs_apart(content):
        say(apart)
    if written:
        say(f"mean and standard deviation over seeds: {path}")
