"""One rule of what can be compared: the best trial is the same in ranking, target, search, screen, summary, report and W&B."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from tests.patterns import compile_pattern
from tests.report_sweeps import spec_of
from yacs_sweep.base.values import to_json
from yacs_sweep.logs.parser import LogParser
from yacs_sweep.logs.patterns import LogFormat
from yacs_sweep.logs.sources import Row
from yacs_sweep.records.folder import SweepPaths, TrialRecord, best_of, better, rank
from yacs_sweep.records.launch_file import LaunchFile, save_spec
from yacs_sweep.records.metrics import MetricsFile, Objective, read_metrics
from yacs_sweep.records.points import target_reached
from yacs_sweep.records.summary import Summary
from yacs_sweep.search.models.shown import counted_value
from yacs_sweep.search.stored import state_of, stored_value
from yacs_sweep.show.live.board import Sweep as Board
from yacs_sweep.show.report.data import read_local
from yacs_sweep.spec.sweep import Metric, SweepSpec
from yacs_sweep.trial.process import Exit
from yacs_sweep.trial.verdict import classify
from yacs_sweep.wandb.run_rows import ending_summary

NOT_COMPARABLE = [math.nan, math.inf, -math.inf, None]
GOALS = ["minimize", "maximize"]


def record(number: int, value: float | None, state: str = "finished") -> TrialRecord:
    return TrialRecord(f"s-{number}", f"trial-{number:04d}", number, {"base_lr": 0.1 * number}, state, value=value)


@pytest.mark.parametrize("goal", GOALS)
@pytest.mark.parametrize("odd", NOT_COMPARABLE)
def test_what_cannot_be_compared_is_nowhere_the_best(odd: float | None, goal: str) -> None:  # D2
    records = [record(0, odd), record(1, 5.0), record(2, odd, "failed"), record(3, 4.0, "stopped")]
    best = best_of(records, goal)
    assert best is not None and best.number == 1
    assert best_of([records[0], records[2]], goal) is None
    assert [item.number for item in rank(records, goal)] == [1, 3, 0, 2]
    target = Metric("m", goal, 1e9 if goal == "minimize" else -1e9)
    assert not target.reached(odd) and target.reached(5.0)
    assert not target_reached(SweepSpec("grid", (), target), records[:1])
    board = Board("s", "", "grid", "local", "", "m", goal, 4)
    board.see_end(records[0])
    assert board.best is None
    assert state_of(records[0]) == TrialState.FAIL and state_of(records[1]) == TrialState.COMPLETE
    assert counted_value(stopped=True, own=odd, finished=[1.0, 2.0], goal=goal) == (2.0 if goal == "minimize" else 1.0)
    if odd is not None:
        assert better(goal, 5.0, odd) and not better(goal, odd, 5.0) and not better(goal, odd, odd)
        assert math.isnan(stored_value(odd))


@pytest.mark.parametrize("goal", GOALS)
@pytest.mark.parametrize("odd", NOT_COMPARABLE[:3])
def test_a_trials_best_value_is_one_that_can_be_compared(odd: float, goal: str) -> None:
    objective = Objective("m", goal, "best")
    objective.see({"m": odd})
    assert objective.best is None and repr(objective.value) == repr(odd)
    for value in (5.0, odd):
        objective.see({"m": value})
    assert (objective.best, objective.value) == (5.0, 5.0)
    assert repr(objective.last) == repr(odd)


def test_a_boolean_is_no_value() -> None:
    objective = Objective("m", "maximize", "last")
    objective.see({"m": True})
    assert objective.value is None


NULL = "null"


@dataclass(frozen=True)
class Printed:
    """A value as a trainer prints it, and what that means: None for no value at all, `NULL` for JSON's."""

    text: str
    value: float | str | None


def structured(source: random.Random) -> Printed:
    """A METRIC line with a value that people, JSON writers and libraries write; some hold none."""
    number = round(source.uniform(-50, 50), source.choice([0, 1, 3]))
    comma = f"{abs(number):.1f}"
    texts: list[tuple[str, float | str | None]] = [
        (str(number), number),
        (f'"{number}"', number),
        (f"\"tensor({number}, device='cuda:0')\"", number),
        (f'"{comma.replace(".", ",")}"', float(comma)),
        ("null", NULL),
        ("NaN", math.nan),
        ('"Infinity"', math.inf),
        ("-Infinity", -math.inf),
        ("1e999", math.inf),
        (str(10**400), math.inf),
        ('"12.5ms"', None),
        ("true", None),
        ("[1]", None),
        (f"{number}]", None),  # no JSON
    ]
    text, value = source.choice(texts)
    return Printed(f'METRIC {{"val/mAP": {text}}}', value)


def logged(source: random.Random) -> Printed:
    """A line that a pattern reads."""
    number = round(source.uniform(-50, 50), source.choice([0, 1, 3]))
    comma = f"{number:.1f}"
    texts: list[tuple[str, float | str | None]] = [
        (str(number), number),
        (f"{number}%", number),
        (comma.replace(".", ","), float(comma)),
        (f"np.float32({number})", number),
        (f"tensor({number}, device='cuda:0', grad_fn=<MeanBackward0>)", number),
        ("nan", math.nan),
        ("-inf", -math.inf),
        ("12.5ms", None),
        ("1.2k", None),
        ("None", None),
    ]
    text, value = source.choice(texts)
    return Printed(f"mAP: {text}", value)


def meaning(seen: list[Printed]) -> list[float]:
    """The values that a trial's lines mean: null is nan unless a number has followed one."""
    values: list[float] = []
    nulls, missing = False, False
    for each in seen:
        if isinstance(each.value, str):
            nulls = True
            values += [math.nan] if values and not missing else []
        elif each.value is not None:
            missing |= nulls
            values.append(each.value)
    return values or [math.nan] * nulls


def parsed(lines: list[str]) -> list[Row]:
    pattern = compile_pattern("mAP: (?P<v>{number})", {"val/mAP": "v"})
    parser = LogParser(LogFormat((pattern,)))
    rows = parser.feed_chunk("".join(f"{line}\n" for line in lines).encode()) + parser.close()
    return [*rows, *filter(None, [parser.sources.only_null()])]


def run_trial(paths: SweepPaths, spec: SweepSpec, number: int, source: random.Random) -> float | None:
    """Writes a trial as an agent does, from what its trainer prints; returns its value by the rule: None if there is none."""
    assert spec.metric is not None
    printed = source.choice([structured, logged])
    seen = [printed(source) for _ in range(source.randrange(7))]
    item = record(number, None)
    folder = paths.trial(item.name)
    folder.dir.mkdir()
    metrics = MetricsFile(folder.metrics)
    for row in parsed([each.text for each in seen]):
        metrics.append(row)
    metrics.close()
    objective = Objective(spec.metric.name, spec.metric.goal, spec.optimize)
    for row in read_metrics(folder.metrics):
        objective.see(row)
    verdict = classify(
        Exit(0, None),
        "",
        metric=spec.metric.name,
        metric_seen=objective.last is not None,
        value=objective.value,
        last_values={},
    )
    item.state, item.cause, item.reason, item.value = verdict.state, verdict.cause, verdict.reason, objective.value
    folder.record.write_text(to_json(item.row()))

    values = meaning(seen)
    finite = [value for value in values if math.isfinite(value)]
    if spec.optimize == "best" and finite:
        meant: float | None = max(finite) if spec.metric.goal == "maximize" else min(finite)
    else:
        meant = values[-1] if values and math.isfinite(values[-1]) else None
    cause = "finished" if meant is not None else "diverged" if values else "no_metric"
    assert item.cause == cause, seen
    summary = ending_summary(item, objective)  # W&B's
    best = (max if spec.metric.goal == "maximize" else min)(finite, default=None)
    assert summary["sweep/best"] == best
    assert summary["sweep/state"] == ("finished" if meant is not None else "failed")
    return meant


@pytest.mark.parametrize("seed", range(40))
def test_everything_that_chooses_the_best_agrees_whatever_trainers_print(tmp_path: Path, seed: int) -> None:
    source = random.Random(seed)
    goal, optimize = source.choice(GOALS), source.choice(["last", "best"])
    metric = {"name": "val/mAP", "goal": goal, "target": 3.0}
    spec = spec_of({"base_lr": {"min": 0.0, "max": 10.0}}, metric=metric, optimize=optimize)
    assert spec.metric is not None
    paths = SweepPaths(tmp_path, "s")
    paths.agents.mkdir(parents=True)
    save_spec(paths, spec)
    LaunchFile("local", None, "reid", None, (), 7, None, "offline", None, None, str(tmp_path), 9).save(paths)
    meant = {number: run_trial(paths, spec, number, source) for number in range(source.randrange(1, 9))}
    values = {number: value for number, value in meant.items() if value is not None}
    wanted = (max if goal == "maximize" else min)(values.values(), default=None)

    records = list(paths.records())
    found = best_of(records, goal)
    assert (found.value if found else None) == wanted
    assert [item.value for item in rank(records, goal)][: len(values)] == sorted(
        values.values(), reverse=goal == "maximize"
    )
    reached = any(value >= 3 if goal == "maximize" else value <= 3 for value in values.values())
    assert target_reached(spec, records) == reached

    summary = Summary(paths, name="n", controller="local", method="random", metric="val/mAP", goal=goal)
    best = summary.best()
    assert (best.value if best else None) == wanted
    board = Board("s", "", "random", "local", "", "val/mAP", goal, 9)
    for item in records:
        board.see_end(item)
    assert (board.best.value if board.best else None) == wanted

    study = optuna.create_study(direction=goal)  # as the samplers see it
    for item in records:
        state = state_of(item)
        study.add_trial(
            optuna.trial.create_trial(state=state, value=item.value if state == TrialState.COMPLETE else None)
        )
    complete = study.get_trials(states=(TrialState.COMPLETE,))
    assert sorted(trial.value for trial in complete if trial.value is not None) == sorted(values.values())
    assert (study.best_value if complete else None) == wanted

    report = read_local(paths)
    assert {trial.record.number: trial.record.value for trial in report.finished} == values
    assert (report.best.value if report.best else None) == wanted
