"""Compares two sweeps (`--compare`): the best of each, what it took, what was searched, and which best is better."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from ...base.errors import ConfigError
from ...base.streams import output_width, print_lines
from ...base.values import finite_number, utc_seconds
from ...base.wording import counted, wrap
from ...records.folder import SweepPaths, TrialRecord, better
from ...records.points import Estimate, Point, noun_of
from ...records.progress import Tally
from ...records.standings import rivals
from ..lines import Contrast, duration_text
from ..point_table import estimate_text, spread_note
from ..snapshot import Snapshot, read_snapshot
from ..table import text_table
from .as_json import best_object, print_json
from .difference import Difference, common_difference, difference_text, judged, welch
from .sweeps import find_sweeps


def difference(snapshots: Sequence[Snapshot]) -> Difference | None:
    """Compares the best of two sweeps by their first objective; None where they have no common one, or no value.

    The values of seeds that both have are compared in pairs, if there are two or more; else the means are (Welch).
    """
    one, other = snapshots
    points = [snapshot.best_point for snapshot in snapshots]
    if one.objective is None or other.metric != one.metric or one.goal != other.goal or None in points:
        return None
    values = [_by_seed(point) for point in points if point is not None]
    means = [statistics.fmean(each.values()) if each else math.nan for each in values]
    if any(map(math.isnan, means)):
        return None
    common = [key for key in values[0] if key in values[1] and key[0] == "seed"]
    paired = [values[1][key] - values[0][key] for key in common]
    found = judged(paired) if len(paired) > 1 else welch([list(each.values()) for each in values])
    value = statistics.fmean(paired) if len(paired) > 1 else means[1] - means[0]
    which = None if value == 0 else int(better(one.goal, value, 0.0))
    return Difference(str(one.metric), value, *found, len(paired) if len(paired) > 1 else 0, which)


def _by_seed(point: Point) -> dict[tuple[str, Any], float]:
    """Returns the values of a point by their seeds; without seeds by the trial."""
    return {
        ("trial", record.name) if record.seed is None else ("seed", record.seed): record.value
        for record in point.finished
        if finite_number(record.value)
    }


# -- as text and JSON -------------------------------------------------------------------------------------------------
def sweep_summary(snapshot: Snapshot) -> dict[str, Any]:
    """Describes one of the sweeps for programs."""
    records = snapshot.records
    busy = [seconds for record in records if (seconds := record.seconds) is not None]
    gpus = [seconds * len(record.gpu_ids) for record in records if (seconds := record.seconds) and record.gpu_ids]
    close = rivals(snapshot, snapshot.points)
    return {
        "sweep_id": snapshot.paths.sweep_id,
        "name": snapshot.name,
        "dir": str(snapshot.paths.dir),
        "method": snapshot.method,
        "metrics": [{"name": metric.name, "goal": metric.goal} for metric in snapshot.objectives],
        "running": snapshot.at_work,
        "counts": snapshot.counts,
        "best": best_object(snapshot),
        "alike": [point.name for point in close],  # points that cannot be told apart from the best
        "seconds": seconds_run(records),
        "trial_seconds": sum(busy),
        "gpu_hours": sum(gpus) / 3600 if gpus else None,
        "searched": _searched(snapshot),
    }


def seconds_run(records: Sequence[TrialRecord]) -> float | None:
    """Returns the seconds in which any trial ran, as `--for` counts; None before the first trial has ended."""
    spans = [(utc_seconds(record.started), utc_seconds(record.ended)) for record in records]
    known = sorted((start, end) for start, end in spans if start is not None and end is not None)
    total, until = 0.0, -math.inf
    for start, end in known:
        total += max(0.0, end - max(start, until))
        until = max(until, end)
    return total if known else None


def _searched(snapshot: Snapshot) -> dict[str, str]:
    """Describes the distribution of each parameter; empty where sweep.yaml cannot be read."""
    from ..report.findings import described  # reads much else

    return {item.name: described(item) for item in snapshot.spec.parameters} if snapshot.spec else {}


def compare_object(snapshots: Sequence[Snapshot]) -> dict[str, Any]:
    """Describes the comparison for programs."""
    found, common = difference(snapshots), common_of(snapshots)
    return {
        "sweeps": [sweep_summary(snapshot) for snapshot in snapshots],
        "difference": _row(snapshots, found),
        "text": verdict_text(snapshots, found),
        "common": _row(snapshots, common),
        "common_text": common_text(snapshots, common),
    }


def _row(snapshots: Sequence[Snapshot], found: Difference | None) -> dict[str, Any] | None:
    """Describes a difference for programs."""
    if found is None:
        return None
    return {
        "metric": found.metric,
        "value": found.value,
        "error": found.error,
        "chance": found.chance,
        "pairs": found.pairs,
        "clear": found.clear,
        "better": None if found.better is None else snapshots[found.better].paths.sweep_id,
    }


def verdict_text(snapshots: Sequence[Snapshot], found: Difference | None) -> str:
    """Says which sweep's best is better, and how sure that is."""
    if found is None:
        names = [snapshot.metric for snapshot in snapshots]
        if names[0] != names[1] or snapshots[0].goal != snapshots[1].goal:
            return "the sweeps optimise different metrics, so neither is better"
        return "no comparison: not both sweeps have a finished trial with a value"
    ids = [snapshot.paths.sweep_id for snapshot in snapshots]
    if (text := difference_text(ids, found)) is not None or found.better is None:
        return text or ""
    how = f"{ids[found.better]} is better in {found.metric} by {abs(found.value):.4g}"
    if not found.pairs and found.error is None:
        both = " and ".join(ids)
        return f"{how}; whether that is chance is not known: train the best of {both} with several seeds (--train-best)"
    return f"{how}; the seeds do not differ, which says nothing of chance"


def common_of(snapshots: Sequence[Snapshot]) -> Difference | None:
    """Compares the trials whose point and seed both sweeps have; None where that says no more than `difference`."""
    one, other = snapshots
    if one.metric is None or (one.metric, one.goal) != (other.metric, other.goal):
        return None
    found = common_difference(one.metric, one.goal, [one.records, other.records])
    return None if found is None or found == difference(snapshots) else found


def common_text(snapshots: Sequence[Snapshot], found: Difference | None) -> str:
    """Says which sweep is better at what both have trained; empty where that is not known."""
    text = difference_text([snapshot.paths.sweep_id for snapshot in snapshots], found) if found is not None else None
    return f"of what both have trained, {text}" if text else ""


def compare_lines(snapshots: Sequence[Snapshot], width: int) -> list[str]:
    """Formats the comparison as a table of `width` columns, the parameters of the best below it, and the verdict."""
    found = [sweep_summary(snapshot) for snapshot in snapshots]
    heads = ["", *(each["sweep_id"] for each in found)]
    lines = text_table([heads, *summary_rows(snapshots, found)], width=width, shrink=_shrink(3))
    lines += ["", *_parameters(found, width)]
    texts = verdict_text(snapshots, difference(snapshots)), common_text(snapshots, common_of(snapshots))
    return [*lines, "", *(line for text in texts if text for line in wrap(text, width, indent=4))]


def summary_rows(snapshots: Sequence[Snapshot], found: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Makes the rows of the table of two sweeps: a name, and the cell of each; rows without anything are left out.

    Args:
        found: the sweeps as `sweep_summary` describes them.
    """
    rows = [
        ["name", *(each["name"] for each in found)],
        ["method", *(each["method"] for each in found)],
        ["trials", *(Tally(each["counts"], 0).text or "none" for each in found)],
        ["best", *map(_best_text, snapshots)],
        ["in", *(((each["best"] or {}).get("point") or (each["best"] or {}).get("name") or "") for each in found)],
        ["alike", *(_alike_text(each, noun_of(snapshot)) for each, snapshot in zip(found, snapshots, strict=True))],
        ["took", *(duration_text(each["seconds"]) for each in found)],
        ["training", *(duration_text(each["trial_seconds"]) for each in found)],
        ["GPU hours", *("" if each["gpu_hours"] is None else f"{each['gpu_hours']:.3g}" for each in found)],
    ]
    return [row for row in rows if any(row[1:])]


def _shrink(columns: int) -> list[tuple[int, int]]:
    """Returns how a table becomes narrower: from its last column on, in steps."""
    return [(place, least) for least in (24, 12, 5) for place in reversed(range(columns))]


def _best_text(snapshot: Snapshot) -> str:
    """Formats the best value, with its spread over seeds: `val/mAP 82.1 ± 0.4 (sd, 3 seeds)`."""
    point = snapshot.best_point
    if point is None or point.estimate.mean is None:
        return "none yet"
    found: Estimate = point.estimate
    seeds = f" {spread_note(found, noun_of(snapshot))}" if snapshot.repeats or snapshot.seed is not None else ""
    text = estimate_text(found) if seeds else f"{found.mean:.6g}"
    return f"{snapshot.metric} {text}{seeds}"


def _alike_text(found: Mapping[str, Any], noun: str) -> str:
    """Counts in words the points that may be as good as the best; empty where nothing is known."""
    others = len(found["alike"])
    return f"{counted(others, 'point')} cannot be told apart from it" if others else ""


def best_params(found: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns the parameters of a sweep's best; empty without one."""
    params: Mapping[str, Any] = (found["best"] or {}).get("params") or {}
    return params


def _parameters(found: Sequence[Mapping[str, Any]], width: int) -> list[str]:
    """Formats what was searched: each parameter's distribution, and its value in the best, of both sweeps."""
    best = [best_params(each) for each in found]
    names = dict.fromkeys(
        name for each, params in zip(found, best, strict=True) for name in (*each["searched"], *params)
    )
    rows = [["parameter", *(head for each in found for head in (each["sweep_id"], "best"))]]
    contrast = Contrast.of_values({name: [params[name] for params in best if name in params] for name in names})
    for name in names:
        row = [name]
        for each, params in zip(found, best, strict=True):
            row += [each["searched"].get(name, ""), contrast.text(name, params[name]) if name in params else ""]
        rows.append(row)
    return text_table(rows, width=width, shrink=[(3, 16), (1, 16), *_shrink(5)])


def sweeps_to_compare(
    ids: Sequence[str], results_dir: str | None, options: Sequence[str] = ("--compare", "--compare")
) -> list[Snapshot]:
    """Finds and reads two sweeps.

    Args:
        options: where each id was given, for messages.

    Raises:
        ConfigError: no such sweep, or twice the same.
    """
    sweeps: list[SweepPaths] = []
    for sweep_id, option in zip(ids, options, strict=True):
        found = find_sweeps(sweep_id, results_dir, option)
        if found.batch:
            names = ", ".join(paths.sweep_id for paths in found.sweeps)
            raise ConfigError(f"{option} {sweep_id}: is a batch; name two of its sweeps: {names}")
        sweeps += found.sweeps
    if sweeps[0].dir.resolve() == sweeps[1].dir.resolve():
        raise ConfigError(f"--compare {' '.join(ids)}: is one sweep; --status shows it, --diff compares its trials")
    return [read_snapshot(paths) for paths in sweeps]


def show_comparison(ids: Sequence[str], results_dir: str | None, *, as_json: bool) -> int:
    """Prints the comparison of two sweeps; returns the exit status.

    Raises:
        ConfigError: no such sweep, or twice the same.
    """
    snapshots = sweeps_to_compare(ids, results_dir)
    if as_json:
        print_json(compare_object(snapshots))
    else:
        print_lines("\n".join(compare_lines(snapshots, output_width())))
    return 0
