"""Describes for `--notify` what has happened in a launch: one JSON object, a line of text, the command's environment."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...base.wording import counted
from ...records.folder import TrialRecord
from ...records.points import noun_of
from ...records.progress import Tally
from ...records.standings import rank_points
from ...show.lines import best_value, trial_ended_line, trial_table
from ...show.point_table import point_table
from .events import END, FIRST_FAILURE

if TYPE_CHECKING:
    from ..sweep_run import Results

TOP = 5  # trials of the table
WIDTH = 76  # columns of the table
BEFORE = "before all trials were done"
HOW = {0: "all trials ended well", 1: "not every trial ended well", 130: "interrupted"}


_OF_POINT = ("point", "n", "mean", "sd", "values")  # keys of the best where the sweep has repeats or several objectives


def describe_ending(sweeps: Sequence[Results], status: int, error: str | None) -> dict[str, Any]:
    """Returns the JSON object that says how the launch has ended."""
    return _described(END, [_sweep_row(results) for results in sweeps], status, error)


def describe_trial(event: str, results: Results, record: TrialRecord) -> dict[str, Any]:
    """Returns the JSON object that says what a trial's end means: the first failure, or a new best."""
    spec = results.plan.spec
    line = trial_ended_line(record, results.metric, spec.objectives, noun=noun_of(spec))
    keys = ("name", "state", "cause", "reason", "value", "params")
    trial = {**{key: getattr(record, key) for key in keys}, "line": line}
    return _described(event, [_sweep_row(results)], None, None, trial)


def _described(
    event: str,
    sweeps: list[dict[str, Any]],
    status: int | None,
    error: str | None,
    trial: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Makes the object of its parts, with the one-line summary as its text."""
    about = {} if trial is None else {"trial": trial}
    content: dict[str, Any] = {
        "text": "",
        "event": event,
        "exit_status": status,
        "error": error,
        "sweeps": sweeps,
        **about,
    }
    content["text"] = summary(content)
    return content


def _sweep_row(results: Results) -> dict[str, Any]:
    """Describes a sweep, its best, and the table of its best trials."""
    best, outcome = results.summary.result()["best"], results.outcome
    keys = ("name", "value", "params", *_OF_POINT)
    return {
        "sweep_id": results.paths.sweep_id,
        "name": results.plan.spec.name or results.paths.sweep_id,
        "controller": results.plan.launch.controller,
        "counts": results.summary.counts(),
        "retried": results.summary.retried(),
        "metric": results.metric,
        "best": best and {key: best[key] for key in keys if key in best},
        **({"repeat": noun_of(results.plan.spec)} if results.plan.spec.repeats else {}),
        **({"pareto": results.summary.front_names()} if results.summary.objectives else {}),
        "table": best_table(results),
        "message": outcome.message if outcome is not None else None,
        "ended_by": outcome.ended_by if outcome is not None else None,
        "left": 0 if results.complete else results.work_left[0],
        "dir": str(results.paths.dir),
    }


def best_table(results: Results) -> str:
    """Formats the best trials, or with repeats the best points, as a table of `WIDTH` columns; empty without any."""
    summary, spec = results.summary, results.plan.spec
    front = summary.front_names()
    if spec.repeats:
        ranked = [point for point in rank_points(spec, summary.points()) if point.estimate.mean is not None]
        return point_table(ranked[:TOP], spec, WIDTH, front=front) if ranked else ""
    valued = [record for record in summary.ranked() if record.value is not None and record.state != "running"]
    if not valued:
        return ""
    return trial_table(
        valued[:TOP], results.metric, WIDTH, beside=summary.records.values(), front=front, objectives=spec.objectives
    )


def summary(content: Mapping[str, Any], clean: Callable[[str], str] = str) -> str:
    """Says in one line how the launch has ended; `clean` is for the texts that others may have chosen."""
    status, sweeps = content["exit_status"] or 0, content["sweeps"]
    cut = [
        sweep for sweep in sweeps if content.get("event", END) == END and sweep.get("ended_by") and sweep.get("left")
    ]
    how = clean(content["error"] or "") or HOW.get(status, f"exit status {status}")
    if cut and not status and not content["error"]:
        how = BEFORE
    parts = []
    for sweep in sweeps:
        counts = Tally.without(sweep["counts"], sweep.get("retried") or {}).text or "no trials"
        best = sweep["best"]
        value = (
            f"; best {clean(sweep['metric'])} {_best_text(best, sweep.get('repeat', 'seed'), clean)}" if best else ""
        )
        front = f"; {len(sweep['pareto'])} on the front" if sweep.get("pareto") else ""
        why = f"; {clean(sweep['ended_by'])}, {counted(sweep['left'], 'trial')} to be done" if sweep in cut else ""
        parts.append(f"{clean(sweep['name'])} ({sweep['sweep_id']}): {counts}{value}{front}{why}")
    text = f"{_happened(content, how, clean)}. {'; '.join(parts)}"
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _happened(content: Mapping[str, Any], how: str, clean: Callable[[str], str]) -> str:
    """Says what has happened, for the beginning of the summary."""
    trial, event = content.get("trial"), content.get("event", END)
    if trial is None:
        return f"sweep ended{' ' if how == BEFORE else ', '}{how}"
    return f"{'first failure' if event == FIRST_FAILURE else 'new best'}: {clean(trial['line'])}"


def _best_text(best: Mapping[str, Any], noun: str, clean: Callable[[str], str]) -> str:
    """Says how good the best trial is, or with repeats, of which one is called `noun`, the best point on average."""
    seeds = f", mean of {counted(best['n'], noun)}" if "n" in best else ""
    return f"{best_value(best):.6g} ({clean(best.get('point', best['name']))}{seeds})"


def environment(content: Mapping[str, Any]) -> dict[str, str]:
    """Returns the variables that the command gets; ids of several sweeps are joined by commas."""
    sweeps = content["sweeps"]
    best = sweeps[0]["best"] if len(sweeps) == 1 else None
    return {
        "SWEEP_MESSAGE": content["text"],
        "SWEEP_EVENT": content.get("event", END),
        "SWEEP_EXIT_STATUS": "" if content["exit_status"] is None else str(content["exit_status"]),
        "SWEEP_ID": ",".join(sweep["sweep_id"] for sweep in sweeps),
        "SWEEP_NAME": ",".join(sweep["name"] for sweep in sweeps),
        "SWEEP_DIR": ",".join(sweep["dir"] for sweep in sweeps),
        "SWEEP_BEST_TRIAL": best["name"] if best else "",
        "SWEEP_BEST_VALUE": f"{best_value(best):.6g}" if best else "",
    }
