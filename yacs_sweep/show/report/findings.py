"""Works out the findings of a report as plain values: rows of trials, failures, the search."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...base.values import utc_seconds
from ...records.folder import TrialRecord
from ...records.points import group_points, is_plain
from ...spec.parameter import Parameter
from ..left_out import left_out, words_of
from .columns import column
from .data import Sweep, Trial, is_finished, text_of
from .importance import Effect, caveat, effects
from .points import by_points
from .scores import Sample, sample
from .statistics import Verdict, compare_best

WORDS = {"log_uniform_values": "log scale", "q_log_uniform_values": "log scale"}  # of distributions with long names
LAST_LINES = 8  # last lines of output that a failed trial shows
NUMBER = re.compile(r"0x[0-9a-f]+|\d+(\.\d+)?(e[-+]?\d+)?", re.IGNORECASE)


@dataclass(frozen=True)
class Failures:
    """The trials that ended for one reason other than being finished."""

    state: str
    cause: str
    reason: str  # of the first
    names: list[str]
    last_lines: list[str]
    lines_of: str  # the trial that printed them: the first that printed any
    again: bool = False  # whether all of them were tried again, so that nothing of it is open


@dataclass(frozen=True)
class Findings:
    """A sweep and its statistics, computed once for all forms of the report.

    Attributes:
        sweep: what statistics and plots are of: with repeats its trials are the points, with means.
        whole: the sweep with every trial.
        front: names of the trials, or points, on the front of several objectives.
    """

    sweep: Sweep
    used: Sample  # the trials that importance and correlation are computed from
    effects: list[Effect]
    caveat: str  # what they do not tell
    verdict: Verdict | None
    whole: Sweep
    front: list[str]

    @classmethod
    def of(cls, sweep: Sweep) -> Findings:
        """Computes the statistics of a sweep."""
        whole, sweep = sweep, by_points(sweep)
        used = sample(sweep)
        found = effects(sweep, used)
        return cls(sweep, used, found, caveat(sweep, used, found), compare_best(sweep), whole, sweep.front())


def places(ranked: Sequence[Trial]) -> list[int | None]:
    """Numbers the finished ones of ranked trials, 1 for the best; equal values have the same number, others none."""
    found: list[int | None] = []
    for place, trial in enumerate(ranked):
        before = ranked[place - 1].record.value if place else None
        equal = bool(found) and before == trial.record.value
        found.append((found[-1] if equal else place + 1) if is_finished(trial) else None)
    return found


def counts(sweep: Sweep) -> dict[str, int]:
    """Counts trials by state, in a fixed order of states."""
    found: dict[str, int] = defaultdict(int)
    for record in sweep.records:
        found[record.state] += 1
    order = ("finished", "stopped", "paused", "failed", "killed", "lost", "running")
    return {state: found[state] for state in (*order, *(set(found) - set(order))) if found[state]}


def failures(sweep: Sweep) -> list[Failures]:
    """Groups the trials that did not finish by reason, most frequent first.

    Reasons that differ in numbers alone are one group; exit codes are kept apart, and trials that were tried again, which
    come last.
    """
    groups: dict[tuple[Any, ...], list[TrialRecord]] = defaultdict(list)
    retried = sweep.retried
    for record in sweep.records:
        if record.state not in ("finished", "paused", "running"):
            code = record.exit_code if record.cause == "exit" else None
            reason = NUMBER.sub("#", record.reason)
            groups[record.id in retried, record.state, record.cause or record.state, code, reason].append(record)
    found = []
    for (again, state, cause, *_), records in groups.items():
        printed = [record for record in records if record.last_lines and state in ("failed", "lost")]
        lines, of = (printed[0].last_lines[-LAST_LINES:], printed[0].name) if printed else ([], "")
        names = [record.name for record in records]
        found.append(Failures(state, cause, records[0].reason, names, lines, of, again))
    return sorted(found, key=lambda group: (group.again, group.state == "stopped", -len(group.names)))


def described(item: Parameter) -> str:
    """Describes a parameter's distribution in words."""
    if item.distribution == "constant":
        return text_of(item.value)
    if item.values:
        texts = [text_of(value) for value in item.values]
        if item.probabilities:
            texts = [f"{text} ({share:.2g})" for text, share in zip(texts, item.probabilities, strict=True)]
        return ", ".join(texts)
    numbers = ", ".join(f"{key} {value:.6g}" for key, value in item.numbers().items() if key not in ("min", "max"))
    if item.min is not None and item.max is not None:
        numbers = f"{item.min:.6g} to {item.max:.6g}" + (f", {numbers}" if numbers else "")
    if word := WORDS.get(item.distribution):
        return f"{word}, {numbers}"
    return f"{item.distribution}: {numbers}"


def searched_rows(sweep: Sweep) -> list[dict[str, str]]:
    """Makes a row for each parameter: its distribution, the values tried, its value in the best trial."""
    best = sweep.best
    rows = []
    for name in sweep.parameters():
        declared = sweep.declared(name)
        given = [trial for trial in sweep.trials if name in trial.record.params]
        tried = ""
        if given:
            item = column(sweep, name, given)
            if item.kind == "number":
                low, high = min(item.present), max(item.present)
                tried = text_of(low) if low == high else f"{low:.4g} to {high:.4g} ({len(set(item.present))} values)"
            else:
                tried = ", ".join(item.levels)
        condition = ""
        if declared is not None and declared.parent:
            condition = (
                f"only where {declared.parent} is {' or '.join(text_of(value) for value in declared.parent_values)}"
            )
        rows.append(
            {
                "name": name,
                "search": described(declared) if declared else "",
                "condition": condition,
                "tried": tried,
                "best": text_of(best.params[name]) if best is not None and name in best.params else "",
            }
        )
    return rows


def span(sweep: Sweep) -> float | None:
    """Computes the seconds from the first trial's start to the last one's end."""
    starts = [start for record in sweep.records if (start := utc_seconds(record.started)) is not None]
    ends = [end for record in sweep.records if (end := utc_seconds(record.ended)) is not None]
    return max(ends) - min(starts) if starts and ends else None


def busy(sweep: Sweep) -> float:
    """Sums the seconds of all trials."""
    return sum(trial.seconds or 0.0 for trial in sweep.trials)


def _of_population(sweep: Sweep, record: TrialRecord) -> dict[str, Any]:
    """Makes the columns of a population: which checkpoint a trial began from, and whose place it took."""
    if sweep.spec is None or sweep.spec.pbt is None:
        return {}
    return {"parent_trial": record.parent_trial, "begun_at": record.begun_at, "replaces": record.replaces}


def trial_rows(sweep: Sweep) -> list[dict[str, Any]]:
    """Makes a flat row of each trial, best first, with the columns of trials.csv."""
    names = sweep.parameters()
    metrics = sorted({name for trial in sweep.trials for name in trial.curves})
    rows = []
    folded = by_points(sweep)
    front, ranked = set(folded.front()), folded.ranked()
    out = left_out(sweep.spec, group_points(sweep.records)) if sweep.spec is not None else {}
    numbers = places(ranked)
    if folded is not sweep:  # the seeds of the best point first, each with the point's place
        order = {trial.record.name: at for at, trial in enumerate(ranked)}
        ranked = sorted(sweep.trials, key=lambda trial: (order[_point_of(trial)], trial.record.number))
        numbers = [numbers[order[_point_of(trial)]] for trial in ranked]
    for trial, place in zip(ranked, numbers, strict=True):
        record = trial.record
        row: dict[str, Any] = {
            "rank": place,
            "trial": record.name,
            "id": record.id,
            "number": record.number,
            "state": record.state,
            "value": record.value,
            "seconds": None if trial.seconds is None else round(trial.seconds, 3),
            "started": record.started,
            "ended": record.ended,
            "cause": record.cause,
            "reason": record.reason,
            "exit_code": record.exit_code,
            "attempts": record.attempts,
            "retry_of": record.retry_of,
            **_of_population(sweep, record),
            "host": record.host,
            "gpu_ids": ",".join(record.gpu_ids),
            "git_commit": record.git_commit,
        }
        row.update(_of_several(sweep, record, front, out))
        row.update({f"param:{name}": record.params.get(name) for name in names})
        row.update({f"last:{name}": trial.curves[name].y[-1] if name in trial.curves else None for name in metrics})
        rows.append(row)
    return rows


def _point_of(trial: Trial) -> str:
    """Names the point that a trial belongs to; a trial of none is its own."""
    return trial.record.point or trial.record.name


def _of_several(sweep: Sweep, record: TrialRecord, front: Container[str], out: Mapping[str, str]) -> dict[str, Any]:
    """Makes the columns of a trial that a sweep with several objectives, constraints or repeats has.

    Args:
        front: names of what is on the front.
        out: kind of the reason why a trial or point cannot be the best or on the front, by its name.
    """
    row: dict[str, Any] = {}
    if sweep.spec is None or is_plain(sweep.spec):
        return row
    row["left_out"] = words_of(sweep.spec).get(out.get(record.point or record.name, ""), "")
    if sweep.spec.repeats is not None:
        row.update(point=record.point, seed=record.seed)
    if sweep.spec.more_metrics:
        row["front"] = (record.point or record.name) in front
        row.update(
            {f"objective:{metric.name}": (record.values or {}).get(metric.name) for metric in sweep.spec.objectives}
        )
    if sweep.spec.constraints:
        row.update(feasible=record.feasible, violated=" and ".join(record.violated))
    return row


def commits(sweep: Sweep) -> list[tuple[str, int]]:
    """Counts the trials on each of the trainer's commits."""
    found: dict[str, int] = defaultdict(int)
    for record in sweep.records:
        found[record.git_commit or ""] += 1
    return sorted(found.items(), key=lambda pair: -pair[1])
