"""Counts what is done of a sweep and what is left. Status, resuming, --count, batches and the exit all count here."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..base.values import finite_number
from ..spec.sweep import Metric, Repeats
from .folder import OWN_FAILURES, REPLACED, STATES, TrialRecord


def retried_trials(records: Iterable[TrialRecord]) -> dict[str, TrialRecord]:
    """Finds the trials whose points were tried again: the later trial, by the earlier one's id."""
    return {record.retry_of: record for record in records if record.retry_of is not None}


def unretried(records: Iterable[TrialRecord]) -> list[TrialRecord]:
    """Lists the trials that were not tried again."""
    found = list(records)
    again = retried_trials(found)
    return [record for record in found if record.id not in again]


@dataclass(frozen=True)
class Tally:
    """Counts trials by state, each point by its last trial, and beside them the trials that were tried again."""

    counts: dict[str, int]  # without states that no trial has
    again: int  # trials that were tried again,
    cut: Mapping[str, int] = field(default_factory=dict)  # and those of them that had not ended by themselves, by state

    @classmethod
    def of(cls, records: Collection[TrialRecord], retry: Iterable[str] = ()) -> Tally:
        """Counts the trials.

        Args:
            retry: ids of trials that are not counted, as they are to be tried again and have not been yet.
        """
        tried = retried_trials(records)
        owed = set(retry)
        found = Counter(record.state for record in records if record.id not in tried and record.id not in owed)
        again = Counter(record.state for record in records if record.id in tried)
        return cls(_in_order(found), again.total(), _cut(again))

    @classmethod
    def without(cls, counts: Mapping[str, int], retried: Mapping[str, int]) -> Tally:
        """Takes the trials that were tried again, by state, out of the counts of all trials, as summary.json has both."""
        found = {state: number - retried.get(state, 0) for state, number in counts.items()}
        return cls(_in_order(found), sum(retried.values()), _cut(retried))

    @property
    def text(self) -> str:
        """The counts in words: `6 finished, 1 failed (2 tried again)`; empty without trials.

        Trials that were lost or killed are named though they were tried again: something is wrong with the machine.
        """
        shown = _in_order(Counter(self.counts) + Counter(self.cut))
        return ", ".join(f"{number} {state}" for state, number in shown.items()) + self.again_text

    @property
    def again_text(self) -> str:
        """How many trials were tried again, in words, to stand behind the counts; empty where none was."""
        return f" ({self.again} tried again)" if self.again else ""


def _cut(retried: Mapping[str, int]) -> dict[str, int]:
    """Picks the states of trials that had not ended by themselves."""
    return {state: number for state, number in retried.items() if state in ("killed", "lost")}


def _in_order(counts: Mapping[str, int]) -> dict[str, int]:
    """Orders counts by state, without those that are zero."""
    order = (*STATES, *sorted(set(counts) - set(STATES)))
    return {state: counts[state] for state in order if counts.get(state)}


def count_retried(records: Collection[TrialRecord]) -> dict[str, int]:
    """Counts the trials that were tried again, by state."""
    tried = retried_trials(records)
    return _in_order(Counter(record.state for record in records if record.id in tried))


def count_settled(records: Collection[TrialRecord], retry: Iterable[str] = ()) -> int:
    """Counts the points that have been evaluated; one whose trial is paused needs no new trial, and counts too.

    A trial that another has replaced counts by that one.

    Args:
        retry: ids of the trials whose points are to be tried again (`LaunchFile.retry`). Such a point, and one that was
            tried again, counts by its later trial.
    """
    return sum(record.settled or record.state == "paused" for record in _points_last(records, retry))


def count_paused(records: Collection[TrialRecord], retry: Iterable[str] = ()) -> int:
    """Counts the trials that are paused, each of which `count_settled` counts, too."""
    return sum(record.state == "paused" for record in _points_last(records, retry))


def _points_last(records: Collection[TrialRecord], retry: Iterable[str]) -> list[TrialRecord]:
    """Lists the trial of each point by which it counts."""
    again = {*retry, *retried_trials(records)}
    replaced = {record.replaces for record in records}  # some of them are still paused
    return [
        record
        for record in records
        if record.id not in again and record.cause != REPLACED and record.name not in replaced
    ]


def never_logged(records: Iterable[TrialRecord]) -> bool:
    """Tells whether the metric's name is to be doubted: trials failed for want of the metric, and no trial has logged it."""
    found = list(records)
    return any(record.cause == "no_metric" for record in found) and all(record.value is None for record in found)


_CUT = ("stopped", "paused")  # states of trials that have not trained to their end


@dataclass(frozen=True)
class Saved:
    """Says how much a sweep has trained, beside the same sweep in which each trial runs to its end.

    Attributes:
        trained: iterations (logged values of the compared metric) that were trained, those trained again each time.
        full: iterations of the same trials if all of them had run to their end, each once.
        seconds: of training that the difference would have taken, at the median speed of the finished trials.
        gpu_hours: the same on the GPUs of each trial; None where trials have none.
        again: those of `trained` that were trained again after a restart, or by trials that another has tried again.
    """

    trained: int
    full: int
    seconds: float
    gpu_hours: float | None = None
    again: int = 0

    @property
    def percent(self) -> float:
        """The share of the full training that was saved, in %; 0 where more was trained than that."""
        return max(0.0, 100 * (self.full - self.trained) / self.full)


def savings(records: Collection[TrialRecord]) -> Saved | None:
    """Computes what was saved; None where no trial ended early, none was fully trained, or some began from checkpoints.

    A trial that was cut is taken to need as many iterations as the median of the finished ones; a failed one needs what
    it has made.
    """
    known = [record for record in records if record.iterations]
    tried = retried_trials(records)
    inherits = any(record.until is not None for record in records)  # of a trial tried again the later one has the rows
    full = [record for record in known if record.state == "finished"]
    lengths = [record.iterations or 0 for record in full]
    # A short trial's time is mostly that of its start, which the iterations it lacks would not have taken.
    paces = [
        seconds / ((record.iterations or 0) + record.repeated)
        for record in full
        if (seconds := record.seconds) is not None
    ]
    copied = any(record.parent_trial is not None for record in known)
    if copied or not lengths or not paces or not any(record.state in _CUT for record in known):
        return None
    length, pace = statistics.median_low(lengths), statistics.median(paces)
    total, missing, again, gpu_seconds, gpus = 0, 0, 0, 0.0, 0
    for record in known:
        made, left, twice = record.iterations or 0, 0, record.repeated
        if record.id not in tried:
            total += made
        elif not inherits or record.cause in OWN_FAILURES:
            twice += made
        if record.state in _CUT:
            left = max(0, length - made)
            gpus += len(record.gpu_ids)
        missing += left
        again += twice
        gpu_seconds += (left - twice) * pace * len(record.gpu_ids)
    seconds, gpu_hours = max(0.0, (missing - again) * pace), max(0.0, gpu_seconds / 3600)
    return Saved(total + again, total + missing, seconds, gpu_hours if gpus else None, again)


@dataclass(frozen=True)
class Progress:
    """Says how far a sweep is."""

    settled: int  # points that have been evaluated
    target: int  # points that the sweep is to have
    reached: bool = False  # whether a trial has reached the metric's target

    @property
    def left(self) -> int:
        """Returns the number of points that are still to be tried."""
        return 0 if self.reached else max(0, self.target - self.settled)


def read_metric(described: Mapping[str, Any]) -> Metric | None:
    """Makes a metric of the mapping in sweep.yaml or summary.json; None without a name."""
    if not described.get("name"):
        return None
    goal = str(described.get("goal") or "minimize")
    target, threshold = (
        float(value) if finite_number(value := described.get(key)) else None for key in ("target", "threshold")
    )
    return Metric(str(described["name"]), goal, target, threshold=threshold)


def read_objectives(described: Mapping[str, Any]) -> tuple[Metric, ...]:
    """Makes the metrics of what sweep.yaml or summary.json says of a sweep; empty without any."""
    several = described.get("metrics")
    bodies = several if isinstance(several, list) else [described.get("metric") or {}]
    found = [read_metric(body) for body in bodies if isinstance(body, Mapping)]
    return tuple(metric for metric in found if metric is not None)


def read_repeats(described: Mapping[str, Any]) -> Repeats | None:
    """Makes the repeats of what sweep.yaml or summary.json says of a sweep; None without any."""
    body = described.get("repeats")
    if isinstance(body, int) and not isinstance(body, bool):
        body = {"n": body}
    values = tuple(body.get("values") or ()) if isinstance(body, Mapping) else ()
    n = body.get("n", len(values)) if isinstance(body, Mapping) else None
    if not isinstance(body, Mapping) or not isinstance(n, int) or n < 2:
        return None
    return Repeats(n, body.get("key"), values, bool(body.get("race")), str(body.get("seeds") or "common"))
