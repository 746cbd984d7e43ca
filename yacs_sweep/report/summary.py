"""What every form of a report says, as plain values: rows of trials, failures, the search, how to repeat it."""

from __future__ import annotations

import shlex
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from ..parameter import Parameter
from .columns import column
from .data import Sweep, Trial, finite, moment, text_of
from .statistics import Effect, Verdict, compare_best, effects, shaky

LAST_LINES = 8  # of the first failed trial of a reason
NUMBERS = ("min", "max", "mu", "sigma", "a", "b", "q")


@dataclass(frozen=True)
class Failures:
    """Trials that ended for one reason other than being finished."""

    state: str
    cause: str
    reason: str  # of the first
    names: list[str]
    last_lines: list[str]


@dataclass(frozen=True)
class Findings:
    """A sweep and what was worked out of it, once for all forms of the report."""

    sweep: Sweep
    effects: list[Effect]
    shaky: str
    verdict: Verdict | None

    @classmethod
    def of(cls, sweep: Sweep) -> Findings:
        found = effects(sweep)
        return cls(sweep, found, shaky(sweep, found), compare_best(sweep))


def counts(sweep: Sweep) -> dict[str, int]:
    """Trials by state, in the order of states."""
    found: dict[str, int] = defaultdict(int)
    for record in sweep.records:
        found[record.state] += 1
    order = ("finished", "stopped", "failed", "killed", "lost", "running")
    return {state: found[state] for state in (*order, *(set(found) - set(order))) if found[state]}


def failures(sweep: Sweep) -> list[Failures]:
    """Reasons for which trials ended, other than being finished; most frequent first."""
    groups: dict[tuple[str, str], list[Trial]] = defaultdict(list)
    for trial in sweep.trials:
        if trial.record.state not in ("finished", "running"):
            groups[trial.record.state, trial.record.cause or trial.record.state].append(trial)
    found = []
    for (state, cause), trials in groups.items():
        first = trials[0].record
        names = [trial.record.name for trial in trials]
        lines = first.last_lines[-LAST_LINES:] if state in ("failed", "lost") else []
        found.append(Failures(state, cause, first.reason, names, lines))
    return sorted(found, key=lambda group: (group.state == "stopped", -len(group.names)))


def described(item: Parameter) -> str:
    """What a parameter could be, in words."""
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
    return f"{item.distribution}: {numbers}"


def searched_rows(sweep: Sweep) -> list[dict[str, str]]:
    """One row a parameter: what it could be, what was tried, its value in the best trial."""
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
    """Seconds from the first start to the last end."""
    starts = [start for record in sweep.records if (start := moment(record.started)) is not None]
    ends = [end for record in sweep.records if (end := moment(record.ended)) is not None]
    return max(ends) - min(starts) if starts and ends else None


def busy(sweep: Sweep) -> float:
    """Seconds of all trials together."""
    return sum(trial.seconds or 0.0 for trial in sweep.trials)


def commands(sweep: Sweep) -> list[tuple[str, str]]:
    """How to repeat the sweep and its best trial: what it does, and the line."""
    launch, best = sweep.launch, sweep.best
    found = []
    base = ["python", "tools/sweep.py"]
    if launch and sweep.folder:
        again = [*base]
        if launch.get("config_file"):
            again += ["--config_file", str(launch["config_file"])]
        if str(launch.get("trainer", "reid")) not in ("reid", "(sweep file)"):
            again += ["--trainer", str(launch["trainer"])]
        again += [
            "--sweep-config",
            f"{sweep.folder}/sweep.yaml",
            "--count",
            str(launch.get("target", len(sweep.trials))),
        ]
        again += ["--seed", str(launch.get("seed", 0)), "--controller", str(launch.get("controller", "local"))]
        if trailing := launch.get("trailing"):
            again += [str(word) for word in trailing]
        found.append(("The sweep again", shlex.join(again)))
    if best is not None:
        found.append(
            ("The best configuration with several seeds", shlex.join([*base, "--train-best", sweep.id, "--seeds", "3"]))
        )
        if best.command:
            found.append((f"The best trial ({best.name}) as it was run", shlex.join(map(str, best.command))))
    return found


def trial_rows(sweep: Sweep) -> list[dict[str, Any]]:
    """Every trial as a flat row, best first: the columns of trials.csv."""
    names = sweep.parameters()
    metrics = sorted({name for trial in sweep.trials for name in trial.curves})
    rows = []
    for rank, trial in enumerate(sweep.ranked(), start=1):
        record = trial.record
        row: dict[str, Any] = {
            "rank": rank if record.state == "finished" and finite(record.value) else None,
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
            "host": record.host,
            "gpu_ids": ",".join(record.gpu_ids),
            "git_commit": record.git_commit,
        }
        row.update({f"param:{name}": record.params.get(name) for name in names})
        row.update({f"last:{name}": trial.curves[name].y[-1] if name in trial.curves else None for name in metrics})
        rows.append(row)
    return rows


def commits(sweep: Sweep) -> list[tuple[str, int]]:
    """The trainer's commits and how many trials ran on each."""
    found: dict[str, int] = defaultdict(int)
    for record in sweep.records:
        found[record.git_commit or ""] += 1
    return sorted(found.items(), key=lambda pair: -pair[1])
