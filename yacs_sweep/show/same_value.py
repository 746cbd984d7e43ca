"""Finds that every trial ends with the same value: its parameters do not reach the trainer, or trials share a folder."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..base.values import finite_number
from ..records.folder import SweepPaths, TrialRecord
from ..records.metrics import readable_metrics
from ..spec.parameter import equality_key

ENOUGH = 3  # finished trials of different parameters; two may meet by chance
# Metrics that differ between two trials that do the same, and those that only repeat a parameter.
_OF_THE_RUN = re.compile(
    r"(?:^|[/_. ])(?:time|seconds?|secs?|eta|speed|throughput|samples_per_sec|fps|mem(?:ory)?|max_mem|data_time|iter_time|"
    r"batch_time|timestamp|runtime|duration|latency|ms|lr|learning_rate|wd|weight_decay)(?:$|[/_. ])",
    re.IGNORECASE,
)
_SAME_ROWS = (
    "{count} trials with different parameters ended with the same {metric}, {value}, and logged the same rows: the parameters "
    "do not reach the trainer, or change nothing beside its fixed seed; compare a trial's command with the configuration that "
    "the trainer prints"
)
_SAME_FOLDER = (
    "{count} trials with different parameters ended with the same {metric}, {value}, and all but one logged only its last "
    "rows: they share a folder and resume its checkpoint; the profile's output_dir_key, or {{output_dir}} in its command, "
    "gives each trial its own"
)


def same_value_text(records: Iterable[TrialRecord], metric: str | None, paths: SweepPaths) -> str | None:
    """Says that all finished trials ended with one value though their parameters differ, and why that may be.

    None where values differ, where fewer than `ENOUGH` points have finished, and where other metrics differ: then the
    parameters do reach the trainer.
    """
    finished = [record for record in records if record.state == "finished"]
    if metric is None or len(finished) < ENOUGH or not finite_number(finished[0].value):
        return None
    if any(record.value != finished[0].value for record in finished):
        return None
    points = {equality_key(record.params): record for record in finished}
    if len(points) < ENOUGH:
        return None
    rows = [readable_metrics(paths.trial(record.name).metrics) for record in list(points.values())[:ENOUGH]]
    logged = [values_by_metric(each) for each in rows]
    if any(not each.get(metric) for each in logged):  # of another machine
        return None
    text = _SAME_ROWS if _agree(logged) else _SAME_FOLDER if _continue(logged, metric) else None
    return text and text.format(count=len(points), metric=metric, value=f"{finished[0].value:.6g}")


def is_of_the_run(metric: str) -> bool:
    """Tells whether a metric, by its name, is of the run itself: a time, memory, a rate, or a repeated parameter."""
    return _OF_THE_RUN.search(metric) is not None


def values_by_metric(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Collects each metric's values in their order, without those of the run itself: times, memory, rates."""
    found: dict[str, list[Any]] = {}
    for row in rows:
        for name, value in row.items():
            if name != "step" and not is_of_the_run(name):
                found.setdefault(name, []).append(value)
    return found


def _agree(logged: Sequence[Mapping[str, list[Any]]]) -> bool:
    """Tells whether all trials logged the same values."""
    return all(repr(each) == repr(logged[0]) for each in logged)


def _continue(logged: Sequence[Mapping[str, list[Any]]], metric: str) -> bool:
    """Tells whether all trials but the longest logged no more than the end of what that one did."""
    series = sorted((each[metric] for each in logged), key=len)
    longest, others = series[-1], series[:-1]
    shorter = all(len(each) < len(longest) for each in others)
    return shorter and all(repr(longest[-len(each) :]) == repr(each) for each in others)
