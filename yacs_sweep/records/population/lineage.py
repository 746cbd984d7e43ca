"""Follows a trial's line of descent, and writes best_schedule.yml: which parameters in which iterations led to the best."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import yaml

from ...base.files import write_atomically
from ...spec.sweep import SweepSpec
from ..folder import SweepPaths, TrialRecord
from ..metrics import Iterations, readable_metrics


@dataclass(frozen=True)
class Stretch:
    """Holds the iterations that one trial of a line of descent has trained, `first` to `last`, from 1 on."""

    trial: str
    first: int
    last: int
    params: dict[str, Any]


def lineage(record: TrialRecord, records: Iterable[TrialRecord]) -> list[Stretch]:
    """Returns what led to a trial, oldest first; of a trial that began from no checkpoint itself alone.

    A line ends where the trial it leads to is not among the records, on another machine perhaps. A trial whose
    checkpoint was copied before it had trained further than its own parent has no stretch.
    """
    known = {other.name: other for other in records}
    found: list[Stretch] = []
    current: TrialRecord | None = record
    last, seen = record.iterations or record.begun_at, set[str]()
    while current is not None and current.name not in seen:
        seen.add(current.name)
        if current.begun_at < last:
            found.append(Stretch(current.name, current.begun_at + 1, last, dict(current.params)))
        last, current = current.begun_at, known.get(current.parent_trial or "")
    return found[::-1]


def schedule_of(
    paths: SweepPaths, spec: SweepSpec, record: TrialRecord, records: Iterable[TrialRecord], axis: str = "epoch"
) -> dict[str, Any]:
    """Returns the content of best_schedule.yml.

    Args:
        record: the best trial.
        axis: the metric that is the x-axis; where it is logged, each stretch has its first and last place on it too.
    """
    metric = spec.compared.name if spec.compared else None
    counter = Iterations(metric, axis, record.starts)
    counter.values(readable_metrics(paths.trial(record.name).metrics))
    stretches = []
    for stretch in lineage(record, records):
        ends = [counter.places[at - 1] if at <= counter.count else None for at in (stretch.first, stretch.last)]
        place = {axis: [int(end) if end == int(end) else end for end in ends if end is not None]}
        stretches.append(
            {
                "iterations": [stretch.first, stretch.last],
                **({} if None in ends else place),
                "trial": stretch.trial,
                "params": stretch.params,
            }
        )
    return {
        "sweep": paths.sweep_id,
        "trial": record.name,
        "metric": metric,
        "value": record.value,
        "schedule": stretches,
    }


def write_schedule(
    paths: SweepPaths, spec: SweepSpec, record: TrialRecord, records: Iterable[TrialRecord], axis: str
) -> None:
    """Writes best_schedule.yml, whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    content = schedule_of(paths, spec, record, records, axis)
    head = (
        f"# The parameters with which {record.name}, the best of sweep {paths.sweep_id}, was trained, by its line of\n"
        f"# descent: best.yml has the last ones alone. Iterations are values of {content['metric']}, counted from 1.\n"
    )
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, default_flow_style=None)
    write_atomically(paths.schedule, head + text)
