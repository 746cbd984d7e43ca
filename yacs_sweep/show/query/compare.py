"""Compares two sweeps (`--compare`): the best of each, what it took, what was searched, and which best is better."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...base.errors import ConfigError
from ...base.streams import output_width, print_lines
from ...base.values import finite_number, utc_seconds
from ...base.wording import counted, wrap
from ...records.folder import SweepPaths, better
from ...records.points import Estimate, Point, group_points, noun_of, point_of_seeds
from ...records.progress import Tally
from ...records.standings import best_by, rivals, student_tail
from ..lines import duration_text, parameter_text
from ..point_table import estimate_text
from ..snapshot import Snapshot, read_snapshot
from ..table import text_table
from .as_json import best_object, print_json
from .sweeps import find_sweeps

CLEAR = 0.05  # the chance below which a difference is more than chance


@dataclass(frozen=True)
class Difference:
    """Holds by how much the second sweep's best is larger than the first one's, over their seeds.

    Attributes:
        metric: that both sweeps optimise.
        value: the difference of the values or means.
        error: its standard error; None where that is not known.
        chance: the probability of so large a difference, in either direction, were there none; None likewise.
        pairs: the seeds that both have, over which it was taken; 0: over the means.
        better: 0 or 1, the sweep whose best is better; None for equal ones.
    """

    metric: str
    value: float
    error: float | None
    chance: float | None
    pairs: int
    better: int | None

    @property
    def clear(self) -> bool:
        """Whether it is more than chance."""
        return self.chance is not None and self.chance < CLEAR


def best_point(snapshot: Snapshot) -> Point | None:
    """Returns the best point of a sweep; of the seeds with which `--train-best` trains, all of them."""
    if snapshot.seed is not None:
        return point_of_seeds(snapshot.records, snapshot.seed)
    return best_by(snapshot, group_points(snapshot.records))


def difference(snapshots: Sequence[Snapshot]) -> Difference | None:
    """Compares the best of two sweeps by their first objective; None where they have no common one, or no value.

    The values of seeds that both have are compared in pairs, if there are two or more; else the means are (Welch).
    """
    one, other = snapshots
    points = [best_point(snapshot) for snapshot in snapshots]
    if one.objective is None or other.metric != one.metric or one.goal != other.goal or None in points:
        return None
    values = [_by_seed(point) for point in points if point is not None]
    means = [statistics.fmean(each.values()) if each else math.nan for each in values]
    if any(map(math.isnan, means)):
        return None
    common = [key for key in values[0] if key in values[1] and key[0] == "seed"]
    paired = [values[1][key] - values[0][key] for key in common]
    found = _judged(paired) if len(paired) > 1 else _welch([list(each.values()) for each in values])
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


def _judged(values: Sequence[float]) -> tuple[float | None, float | None]:
    """Returns the standard error of a mean, and the chance of so large a one were it 0 (Student's t, two-sided)."""
    error = statistics.stdev(values) / math.sqrt(len(values))
    return error, _chance(statistics.fmean(values), error, len(values) - 1)


def _welch(values: Sequence[Sequence[float]]) -> tuple[float | None, float | None]:
    """Returns the standard error of the difference of two means, and its chance (Welch's t); None with single values."""
    if min(map(len, values)) < 2:
        return None, None
    parts = [statistics.variance(each) / len(each) for each in values]
    error = math.sqrt(sum(parts))
    spread = sum(part**2 / (len(each) - 1) for part, each in zip(parts, values, strict=True))
    freedom = max(1, math.floor(error**4 / spread)) if spread else 1
    return error, _chance(statistics.fmean(values[1]) - statistics.fmean(values[0]), error, freedom)


def _chance(value: float, error: float, freedom: int) -> float | None:
    """Returns the two-sided probability of a mean; None where nothing scatters, which says nothing of chance."""
    return 2 * student_tail(abs(value / error), freedom) if error else None


# -- as text and JSON -------------------------------------------------------------------------------------------------
def sweep_summary(snapshot: Snapshot) -> dict[str, Any]:
    """Describes one of the sweeps for programs."""
    records = snapshot.records
    starts = [found for record in records if (found := utc_seconds(record.started)) is not None]
    ends = [found for record in records if (found := utc_seconds(record.ended)) is not None]
    busy = [seconds for record in records if (seconds := record.seconds) is not None]
    gpus = [seconds * len(record.gpu_ids) for record in records if (seconds := record.seconds) and record.gpu_ids]
    close = rivals(snapshot, group_points(records))
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
        "seconds": max(ends) - min(starts) if starts and ends else None,
        "trial_seconds": sum(busy),
        "gpu_hours": sum(gpus) / 3600 if gpus else None,
        "searched": _searched(snapshot),
    }


def _searched(snapshot: Snapshot) -> dict[str, str]:
    """Describes the distribution of each parameter; empty where sweep.yaml cannot be read."""
    from ..report.findings import described  # reads much else

    return {item.name: described(item) for item in snapshot.spec.parameters} if snapshot.spec else {}


def compare_object(snapshots: Sequence[Snapshot]) -> dict[str, Any]:
    """Describes the comparison for programs."""
    found = difference(snapshots)
    row = None
    if found is not None:
        ids = [snapshot.paths.sweep_id for snapshot in snapshots]
        row = {
            "metric": found.metric,
            "value": found.value,
            "error": found.error,
            "chance": found.chance,
            "pairs": found.pairs,
            "clear": found.clear,
            "better": None if found.better is None else ids[found.better],
        }
    return {
        "sweeps": [sweep_summary(snapshot) for snapshot in snapshots],
        "difference": row,
        "text": verdict_text(snapshots, found),
    }


def verdict_text(snapshots: Sequence[Snapshot], found: Difference | None) -> str:
    """Says which sweep's best is better, and how sure that is."""
    if found is None:
        names = [snapshot.metric for snapshot in snapshots]
        if names[0] != names[1] or snapshots[0].goal != snapshots[1].goal:
            return "the sweeps optimise different metrics, so neither is better"
        return "no comparison: not both sweeps have a finished trial with a value"
    if found.better is None:
        return f"both are as good in {found.metric}"
    winner = snapshots[found.better].paths.sweep_id
    how = f"{winner} is better in {found.metric} by {abs(found.value):.4g}"
    if found.chance is None or found.error is None:
        if not found.pairs and found.error is None:
            ids = " and ".join(snapshot.paths.sweep_id for snapshot in snapshots)
            return (
                f"{how}; whether that is chance is not known: train the best of {ids} with several seeds (--train-best)"
            )
        return f"{how}; the seeds do not differ, which says nothing of chance"
    over = f"over {counted(found.pairs, 'common seed')}" if found.pairs else "over means of different seeds"
    sure = "more than chance" if found.clear else "may be chance"
    return f"{how} ± {found.error:.2g} (standard error) {over}: {sure} (p = {found.chance:.2g})"


def compare_lines(snapshots: Sequence[Snapshot], width: int) -> list[str]:
    """Formats the comparison as a table of `width` columns, the parameters of the best below it, and the verdict."""
    found = [sweep_summary(snapshot) for snapshot in snapshots]
    heads = ["", *(each["sweep_id"] for each in found)]
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
    lines = text_table([heads, *(row for row in rows if any(row[1:]))], width=width, shrink=_shrink(3))
    lines += ["", *_parameters(found, width)]
    return [*lines, "", *wrap(verdict_text(snapshots, difference(snapshots)), width, indent=4)]


def _shrink(columns: int) -> list[tuple[int, int]]:
    """Returns how a table becomes narrower: from its last column on, in steps."""
    return [(place, least) for least in (24, 12, 5) for place in reversed(range(columns))]


def _best_text(snapshot: Snapshot) -> str:
    """Formats the best value, with its spread over seeds: `val/mAP 82.1 ± 0.4 (3 seeds)`."""
    point = best_point(snapshot)
    if point is None or point.estimate.mean is None:
        return "none yet"
    found: Estimate = point.estimate
    seeds = f" ({counted(found.n, noun_of(snapshot))})" if snapshot.repeats or snapshot.seed is not None else ""
    text = estimate_text(found) if seeds else f"{found.mean:.6g}"
    return f"{snapshot.metric} {text}{seeds}"


def _alike_text(found: Mapping[str, Any], noun: str) -> str:
    """Says how many points cannot be told apart from the best; empty where nothing is known."""
    others = len(found["alike"])
    return f"{counted(others, 'point')} cannot be told apart from it" if others else ""


def _parameters(found: Sequence[Mapping[str, Any]], width: int) -> list[str]:
    """Formats what was searched: each parameter's distribution, and its value in the best, of both sweeps."""
    names = dict.fromkeys(
        name for each in found for name in (*each["searched"], *((each["best"] or {}).get("params") or ()))
    )
    rows = [["parameter", *(head for each in found for head in (each["sweep_id"], "best"))]]
    for name in names:
        row = [name]
        for each in found:
            params = (each["best"] or {}).get("params") or {}
            row += [each["searched"].get(name, ""), parameter_text(params[name]) if name in params else ""]
        rows.append(row)
    return text_table(rows, width=width, shrink=[(3, 16), (1, 16), *_shrink(5)])


def show_comparison(ids: Sequence[str], results_dir: str | None, *, as_json: bool) -> int:
    """Prints the comparison of two sweeps; returns the exit status.

    Raises:
        ConfigError: no such sweep, or twice the same.
    """
    sweeps: list[SweepPaths] = []
    for sweep_id in ids:
        found = find_sweeps(sweep_id, results_dir, "--compare")
        if found.batch:
            names = ", ".join(paths.sweep_id for paths in found.sweeps)
            raise ConfigError(f"--compare {sweep_id}: is a batch; name two of its sweeps: {names}")
        sweeps += found.sweeps
    if sweeps[0].dir.resolve() == sweeps[1].dir.resolve():
        raise ConfigError(f"--compare {' '.join(ids)}: is one sweep; --status shows it, --diff compares its trials")
    snapshots = [read_snapshot(paths) for paths in sweeps]
    if as_json:
        print_json(compare_object(snapshots))
    else:
        print_lines("\n".join(compare_lines(snapshots, output_width())))
    return 0
