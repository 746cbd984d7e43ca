"""`Calls`: what a trial's programs log through W&B's client becomes rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from yacs_sweep.logs.patterns import LogFormat
from yacs_sweep.logs.wandb_calls import Calls, LoggedRow
from yacs_sweep.records.folder import TrialPaths
from yacs_sweep.records.metrics import MetricsFile, Objective, read_metrics
from yacs_sweep.trainers.profile import TrainerProfile
from yacs_sweep.trial.output import MetricReader


class RunFile:
    """A run's file, as the trainer's end writes it."""

    def __init__(self, folder: Path, name: str = "1", **head: Any) -> None:
        self.path = folder / f"{name}.jsonl"
        self.say(run={"rank": 0, "counts": True, "own": True, **head})

    def say(self, **message: Any) -> None:
        with self.path.open("a") as file:
            file.write(json.dumps(message) + "\n")

    def log(self, step: int, commit: bool = True, **values: Any) -> None:
        self.say(s=step, v=values, **({"c": 1} if commit else {}))


def read(calls: Calls, *, last: bool = False) -> list[tuple[int | None, dict[str, Any]]]:
    return [(row.at and row.at[1], dict(row)) for row in calls.rows(last=last)]


@pytest.fixture
def notes() -> list[str]:
    return []


def test_a_row_is_complete_when_it_is_committed_or_another_step_begins(tmp_path: Path, notes: list[str]) -> None:
    run, calls = RunFile(tmp_path), Calls(tmp_path, notes.append)
    run.log(0, commit=False, epoch=1)
    assert read(calls) == []
    run.log(0, loss=0.5)
    assert read(calls) == [(0, {"epoch": 1, "loss": 0.5})]
    run.log(10, commit=False, loss=0.4)
    run.log(10, commit=False, loss=0.3, acc=1)
    assert read(calls) == []
    run.log(20, commit=False, loss=0.2)
    assert read(calls) == [(10, {"loss": 0.3, "acc": 1})]
    assert read(calls, last=True) == [(20, {"loss": 0.2})]


def test_half_a_line_waits_for_its_other_half(tmp_path: Path, notes: list[str]) -> None:
    run, calls = RunFile(tmp_path), Calls(tmp_path, notes.append)
    with run.path.open("a") as file:
        file.write('{"s":0,"v":{"loss":')
        file.flush()
        assert read(calls) == []
        file.write('0.5},"c":1}\n')
    assert read(calls) == [(0, {"loss": 0.5})]


def test_the_lowest_rank_that_opens_a_run_is_the_trial(tmp_path: Path, notes: list[str]) -> None:
    calls = Calls(tmp_path, notes.append)
    runs = [RunFile(tmp_path, f"{9 - rank}", rank=rank, counts=rank > 0) for rank in range(4)]
    for run in runs[::-1]:
        run.log(0, loss=1.0)
    assert [row["loss"] for row in calls.rows()] == [1.0]
    runs[1].log(1, loss=2.0)
    runs[2].log(1, loss=3.0)
    assert [row["loss"] for row in calls.rows(last=True)] == [2.0]


def test_runs_apart_from_the_sweeps_count_only_where_there_is_no_other(tmp_path: Path, notes: list[str]) -> None:
    calls = Calls(tmp_path, notes.append)
    fold = RunFile(tmp_path, "1", own=False)
    fold.log(0, acc=0.1)
    assert read(calls) == []
    whole = RunFile(tmp_path, "2")
    whole.log(0, acc=0.5)
    assert read(calls, last=True) == [(0, {"acc": 0.5})]
    whole.path.unlink()
    assert read(Calls(tmp_path, notes.append), last=True) == [(0, {"acc": 0.1})]
    fold.path.write_text("")
    assert read(Calls(tmp_path, notes.append), last=True) == []


def test_runs_that_record_nothing_give_no_rows(tmp_path: Path, notes: list[str]) -> None:
    calls = Calls(tmp_path, notes.append)
    assert not calls.disabled
    RunFile(tmp_path, counts=False).log(0, loss=1)
    assert read(calls, last=True) == []
    assert calls.disabled and not calls.opened


def test_the_summary_is_one_more_row_where_it_says_something_new(tmp_path: Path, notes: list[str]) -> None:
    run, calls = RunFile(tmp_path), Calls(tmp_path, notes.append)
    run.log(0, loss=0.5)
    run.say(summary={"loss": 0.4, "best": 0.5})
    run.log(1, loss=0.3)  # W&B's summary has this one now
    run.say(summary={"acc": 1.0})
    run.say(end=0)
    assert read(calls, last=True) == [(0, {"loss": 0.5}), (1, {"loss": 0.3}), (None, {"best": 0.5, "acc": 1.0})]


@pytest.mark.parametrize(
    ("kind", "goal", "values"),
    [
        ("max", None, [1, 3, 3]),
        ("min", None, [1, 1, 1]),
        ("mean", None, [1, 2, 2]),
        ("first", None, [1, 1, 1]),
        ("last", None, [1, 3, 2]),
        ("best", "maximize", [1, 3, 3]),
        ("best", "minimize", [1, 1, 1]),
    ],
)
def test_a_metric_may_be_named_after_its_summary(
    tmp_path: Path, notes: list[str], kind: str, goal: str | None, values: list[float]
) -> None:
    run, calls = RunFile(tmp_path), Calls(tmp_path, notes.append, f"val.acc.{kind}")
    run.say(define={"name": "val.*", "summary": [kind], "goal": goal})
    for step, value in enumerate((1, 3, 2)):
        run.log(step, **{"val.acc": value})
    assert [row[f"val.acc.{kind}"] for row in calls.rows()] == values
    assert calls.summary_of("val.acc") == (kind,) and calls.complete


def test_what_is_left_out_is_counted_and_alerts_are_told(tmp_path: Path, notes: list[str]) -> None:
    run, calls = RunFile(tmp_path), Calls(tmp_path, notes.append)
    for step in range(3):
        run.say(s=step, v={"loss": 1}, o={"image": "Image"}, c=1)
    run.say(s=3, v={}, o={"text": "str"}, c=1)
    run.say(alert=["Low", "accuracy below 0.1"])
    assert len(read(calls, last=True)) == 3
    assert notes == ["alert: Low: accuracy below 0.1"]
    assert calls.left_out == "image (Image, 3 times), text (str, once)"


def test_config_and_name_are_the_last_that_were_given(tmp_path: Path, notes: list[str]) -> None:
    run, calls = RunFile(tmp_path), Calls(tmp_path, notes.append)
    for message in ({"config": {"a": 1, "b": 2}}, {"name": "first"}, {"config": {"b": 3}}, {"name": "lr=0.1"}):
        run.say(**message)
    assert read(calls) == [] and (calls.config, calls.name) == ({"a": 1, "b": 3}, "lr=0.1")


def test_damaged_lines_are_skipped(tmp_path: Path, notes: list[str]) -> None:
    run, calls = RunFile(tmp_path), Calls(tmp_path, notes.append)
    for text in ("", "x", "[1]", "{}", '{"v": 3}', '{"v": {"a": "x", "b": null, "c": [1]}, "c": 1}', '{"define": {}}'):
        run.path.open("a").write(text + "\n")
    run.log(7, loss=float("nan"))
    ((step, row),) = read(calls, last=True)
    assert step == 7 and row["loss"] != row["loss"]


# -- beside the output ------------------------------------------------------------------------------------------------


def readings(folder: Path, metric: str | None = "loss") -> tuple[MetricReader, Calls]:
    profile = TrainerProfile("t", folder, ("t",), folder, "argparse", LogFormat((), generic=True, wandb=True))
    calls = Calls(folder, lambda text: None, metric)
    return MetricReader(profile, TrialPaths(folder), "t1", lambda text: None, calls), calls


def test_printed_and_logged_metrics_are_one_row_each(tmp_path: Path) -> None:
    """Lines that look like metrics do not count beside calls; a METRIC line does, but for names that are logged."""
    found, _ = readings(tmp_path)
    run = RunFile(tmp_path)
    rows = found.feed_chunk(b"epoch 1 loss: 0.5\n")
    run.log(0, loss=0.512)
    rows += found.feed_chunk(b'METRIC {"loss": 0.5, "lr": 0.1}\nepoch 2 loss: 0.4\n')
    run.log(1, loss=0.412)
    rows += found.read_files() + found.close()
    assert rows == [{"loss": 0.512}, {"lr": 0.1}, {"loss": 0.412}]


def test_lines_count_where_the_calls_never_log_the_metric(tmp_path: Path) -> None:
    found, _ = readings(tmp_path)
    run = RunFile(tmp_path)
    run.log(0, grad=1.0)
    rows = found.feed_chunk(b"epoch 1 loss: 0.5\nepoch 2 loss: 0.4\n") + found.read_files()
    assert rows == [{"grad": 1.0}]
    assert found.close() == [{"loss": 0.5, "epoch": 1}, {"loss": 0.4, "epoch": 2}]


def test_lines_count_from_the_second_on_where_the_calls_log_something_else(tmp_path: Path) -> None:
    """So that early termination sees the metric. Several lines of one epoch are no sign: its call comes after them."""
    found, _ = readings(tmp_path)
    run = RunFile(tmp_path)
    rows = found.feed_chunk(b"epoch 1\nloss: 0.6\n") + found.feed_chunk(b"loss: 0.5\n")
    run.log(0, grad=1.0)
    rows += found.read_files()
    assert rows == [{"grad": 1.0}]
    assert found.feed_chunk(b"epoch 2\nloss: 0.4\n") == [
        {"loss": 0.6, "epoch": 1},
        {"loss": 0.5, "epoch": 1},
        {"loss": 0.4, "epoch": 2},
    ]
    assert found.feed_chunk(b"loss: 0.3\n") + found.flush() == [{"loss": 0.3, "epoch": 2}]


def test_lines_count_at_once_where_no_run_is_opened(tmp_path: Path) -> None:
    found, _ = readings(tmp_path)
    assert found.feed_chunk(b"loss: 0.5\nloss: 0.4\n") == [{"loss": 0.5}]


# -- steps and values -------------------------------------------------------------------------------------------------


def test_rows_keep_their_steps_and_steps_only_grow(tmp_path: Path) -> None:
    file = MetricsFile(tmp_path / "metrics.jsonl")
    given: list[tuple[str, int] | None] = [("a", 0), ("a", 10), None, ("a", 20), ("b", 0), ("b", 10), ("a", 20), None]
    assert [file.append({}, at) for at in given] == [0, 10, 11, 20, 21, 31, 32, 33]
    file.close()
    resumed = MetricsFile(tmp_path / "metrics.jsonl")
    assert [resumed.append({}, at) for at in (("c", 30), ("c", 31), ("c", 40))] == [34, 35, 44]
    resumed.close()
    later = MetricsFile(tmp_path / "metrics.jsonl")
    assert later.append({}, ("d", 100)) == 100
    later.close()
    assert [row["step"] for row in read_metrics(tmp_path / "metrics.jsonl")][-2:] == [44, 100]


def test_a_row_of_a_call_is_a_row() -> None:
    assert LoggedRow({"a": 1}, ("r", 3)) == {"a": 1}


@pytest.mark.parametrize(
    ("kinds", "goal", "optimize", "value"),
    [
        ((), "maximize", "last", 2),
        (("max",), "maximize", "last", 3),
        (("min",), "maximize", "last", 1),  # what the trainer says is what W&B's summary has
        (("min", "max"), "maximize", "last", 3),
        (("min", "max"), "minimize", "last", 1),
        (("best",), "minimize", "last", 1),
        (("mean",), "minimize", "last", 2),
        (("first",), "minimize", "last", 1),
        (("min",), "maximize", "best", 3),  # the sweep's own word comes first
    ],
)
def test_a_trials_value_is_the_summary_that_the_trainer_defines(
    kinds: tuple[str, ...], goal: str, optimize: str, value: float
) -> None:
    objective = Objective("acc", goal, optimize)
    for number in (1, float("nan"), 3, 2):
        objective.see({"acc": number})
    objective.follow(kinds)
    assert objective.value == value
