"""Formats the points of a sweep with repeats: their means, with the spread over seeds, as a table for a terminal. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ..base.wording import counted, wrap
from ..records.points import Aims, Estimate, Point, mean_of, noun_of
from .left_out import threshold_text
from .lines import LEAST, NAMED, Contrast, params_line
from .table import text_table


def estimate_text(found: Estimate) -> str:
    """Formats a mean with its standard deviation over seeds: `82.1 ± 0.4`; empty without a value."""
    if found.mean is None:
        return ""
    return f"{found.mean:.5g}" + ("" if found.sd is None else f" ± {found.sd:.2g}")


def estimate_of(point: Point, metric: str, aims: Aims) -> Estimate:
    """Returns one of the sweep's objectives over the seeds of a point."""
    return point.estimate if len(aims.objectives) == 1 else point.objective(metric)


def spread_note(found: Estimate, noun: str) -> str:
    """Says behind `estimate_text` what its ± is, and over how many: `(sd, 3 seeds)`; `(1 seed)` where it has none."""
    return f"({'' if found.sd is None else 'sd, '}{counted(found.n, noun)})"


def means_text(point: Point, aims: Aims) -> str:
    """Formats what is known of a point: `val/mAP 82.1 ± 0.4 (sd, 3 seeds)`; empty without a value."""
    each = [
        f"{metric.name} {estimate_text(estimate_of(point, metric.name, aims))}"
        for metric in aims.objectives
        if mean_of(point, metric.name, aims) is not None
    ]
    return f"{', '.join(each)} {spread_note(point.estimate, noun_of(aims))}" if each else ""


def points_text(points: Sequence[Point], contrast: Contrast) -> str:
    """Lists the first of some points, each with the parameters that tell it apart, and says how many more there are."""
    differing = [{name: value for name, value in point.params.items() if name in contrast.varied} for point in points]
    each = [
        f"{point.name} ({params_line(params, contrast)})" if params else point.name
        for point, params in zip(points[:NAMED], differing[:NAMED], strict=True)
    ]
    return ", ".join([*each, *([f"+{len(points) - NAMED} more"] if len(points) > NAMED else [])])


def point_table(
    points: Sequence[Point],
    aims: Aims,
    width: int,
    *,
    most: int | None = None,
    file: object = "",
    front: Collection[str] = (),
) -> str:
    """Formats points, in the order given, as a table of `width` columns; the trials of a point are one row.

    Where a mean has a spread, a line below the table says that it is the standard deviation.

    Args:
        most: rows at most; a line below says how many are left out. None: all.
        file: where all of them are.
        front: names of the points on the front of several objectives, which are marked.
    """
    contrast, shown = Contrast.of_trials([point.trials[0] for point in points]), points[:most]
    metrics = [metric.name for metric in aims.objectives]
    rows = [["point", *metrics, f"{noun_of(aims)}s", *(["front"] if front else []), "state", "parameters"]]
    for point in shown:
        means = [estimate_text(estimate_of(point, name, aims)) for name in metrics]
        marked = ["●" if point.name in front else ""] if front else []
        rows.append(
            [point.name, *means, _seeds(point), *marked, _state(point, aims), params_line(point.params, contrast)]
        )
    last = len(rows[0]) - 1
    values, seeds = range(1, 1 + len(metrics)), 1 + len(metrics)
    shrink = [(last, LEAST), (last - 1, 12), (last, 8), *((place, 12) for place in values), (last - 1, 4), (0, 8)]
    shrink += [(last, 5), *((place, 4) for place in values), (seeds, 1), (0, 5), (last - 1, 2), (last, 1)]
    lines = text_table(rows, width=width, shrink=shrink)
    left_out = len(points) - len(shown)
    lines += [f"+{left_out} more; {file} has all"] if left_out else []
    spread = any("±" in text for row in rows[1:] for text in row[1 : 1 + len(metrics)])
    lines += wrap(f"±: standard deviation (sd) of a point's {noun_of(aims)}s", width) if spread else []
    return "\n".join(lines)


def _seeds(point: Point) -> str:
    """Says how many seeds count, and how many there are where some do not: `2 of 3`."""
    counted_in, tried = point.estimate.n, len(point.trials)
    return str(tried) if counted_in == tried else f"{counted_in} of {tried}"


def _state(point: Point, aims: Aims) -> str:
    """Returns the point's state, and what keeps it from being the best."""
    if point.state != "finished":
        return point.state
    feasible, violated = point.judge(aims.constraints)
    if feasible:
        return threshold_text(point.values, aims.objectives) or point.state
    return f"violates {', '.join(violated)}" if violated else "its constraints could not be judged"
