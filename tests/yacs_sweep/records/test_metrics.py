"""Rows of metrics.jsonl: their steps, what is read of a file that others write to, and the value that a trial has."""

from __future__ import annotations

import errno
import json
import math
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from yacs_sweep.records.folder import TrialPaths
from yacs_sweep.records.metrics import (
    MetricsFile,
    Objective,
    foreign_rows,
    last_values,
    metric_value,
    new_rows,
    read_metrics,
    readable_metrics,
    row_of,
    rows_of,
)

NAN, INF = math.nan, math.inf


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "metrics.jsonl"


def write(path: Path, *rows: dict[str, Any], first_step: int = 0) -> list[int]:
    """Appends rows by one writer; returns their steps."""
    file = MetricsFile(path, first_step)
    try:
        return [file.append(row) for row in rows]
    finally:
        file.close()


# -- steps --------------------------------------------------------------------------------------------------------------


def test_steps_count_rows_from_the_first_step_on_and_continue_a_file(path: Path) -> None:
    assert write(path, {"a": 1}, {"a": 2}, first_step=5) == [5, 6]
    assert write(path, {"a": 3}, first_step=0) == [7]
    assert path.read_text() == '{"step": 5, "a": 1}\n{"step": 6, "a": 2}\n{"step": 7, "a": 3}\n'


def test_a_file_with_step_0_is_continued_too(path: Path) -> None:
    assert write(path, {"a": 1}) == [0]
    assert write(path, {"a": 2}, first_step=5) == [1]


def test_a_new_file_begins_with_step_0(path: Path) -> None:
    file = MetricsFile(path)
    assert file.step == -1
    assert [file.append({}), file.step] == [0, 0]
    file.close()


def test_a_step_that_the_trainer_prints_is_the_rows_as_far_as_steps_grow(path: Path) -> None:
    rows = [{"step": 10, "a": 1, "z": 5}, {"a": 2}, {"step": 12, "a": 3}, {"step": 3, "a": 4}, {"step": 100}]
    assert write(path, *rows) == [10, 11, 12, 13, 100]
    assert read_metrics(path)[0] == {"step": 10, "a": 1, "z": 5}


@pytest.mark.parametrize("step", [True, 3.0, "7", None, 1 << 53, -(1 << 53)])
def test_what_is_no_count_is_no_step(path: Path, step: Any) -> None:
    assert write(path, {"step": step, "a": 1}, {"a": 2}) == [0, 1]
    assert read_metrics(path) == [{"step": 0, "a": 1}, {"step": 1, "a": 2}]


def test_the_largest_step_is_below_2_to_the_53(path: Path) -> None:
    assert write(path, {"step": (1 << 53) - 1}) == [(1 << 53) - 1]


def test_steps_of_a_run_that_begins_again_are_all_moved_up_by_as_much(path: Path) -> None:
    file = MetricsFile(path)
    steps = [file.append({"a": 1}, ("one", own)) for own in (0, 5, 6)]
    steps += [file.append({"a": 1}, ("two", own)) for own in (0, 10, 11)]
    steps += [file.append({"a": 1}, ("three", own)) for own in (50, 60)]  # later than the file: as they are
    file.close()
    assert steps == [0, 5, 6, 7, 17, 18, 50, 60]


def test_a_run_that_repeats_a_step_moves_on_by_one(path: Path) -> None:
    file = MetricsFile(path)
    assert [file.append({}, ("one", own)) for own in (4, 4, 2, 7)] == [4, 5, 6, 7]
    file.close()


# -- files that end in the middle, or that others have written to -------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "kept", "step"),
    [
        (b'{"step": 4, "a": 1}\n{"step": 5, "a"', b'{"step": 4, "a": 1}\n', 5),
        (b'{"step": 4, "a": 1}\n', b'{"step": 4, "a": 1}\n', 5),
        (b'{"step": 7}\nnonsense\n{"a": 1}\n{"step": "x"}\n{"step": null}\n', b'{"step": 7}\n', 8),
        (b'{"step": 3}\n\n', b'{"step": 3}\n', 4),
        (b"nonsense\nmore", b"", 0),
        (b'{"step": 9}', b"", 0),  # its end is missing: it may be half of 90
        (b"", b"", 0),
    ],
)
def test_a_writer_goes_on_after_the_last_whole_row(path: Path, content: bytes, kept: bytes, step: int) -> None:
    path.write_bytes(content)
    assert write(path, {"a": 2}) == [step]
    assert path.read_bytes() == kept + f'{{"step": {step}, "a": 2}}\n'.encode()


def test_lines_that_are_no_rows_are_passed_over(path: Path) -> None:
    path.write_bytes(b'{"step": 0, "a": "NaN", "b": "x"}\nnonsense\n[1]\n{"step": 1, "a": "-Infinity"}\n{"step": 2')
    first, second = read_metrics(path)
    assert math.isnan(first.pop("a")) and first == {"step": 0, "b": "x"}
    assert second == {"step": 1, "a": -INF}
    assert row_of(b"[1]") is None and row_of(b"{}") == {}


def test_a_missing_file_has_no_rows_and_an_unreadable_one_is_an_error_where_it_matters(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert read_metrics(path) == readable_metrics(path) == []
    assert foreign_rows(path) == 0

    def fail(path: Path) -> Any:
        raise PermissionError(errno.EACCES, "no", str(path))

    monkeypatch.setattr("yacs_sweep.records.metrics.open_regular", fail)
    with pytest.raises(OSError):
        read_metrics(path)
    assert readable_metrics(path) == []
    assert foreign_rows(path) == 0
    assert new_rows(path, 7) == ([], 7)


LINES = [
    b'{"step": 1, "a": 2.5}',
    b'{"step": 1, "a": NaN, "b": "NaN", "c": "\\u004eaN"}',
    b'{"a": 12345678901234567890123, "b": true, "c": null}',
    b'  {"a": 1} \r',
    b'\xef\xbb\xbf{"a": "\xc3\xa9"}',
    b'{"a": "\xff"}',
    b'{"a": [1',
    b'2]},{"b": 1}',
    b'{"a": 1}, {"b": 2}',
    b'{"a": 1,',
    b'"b": 2}',
    b"{" * 3000,
    b"[1]",
    b"",
]


def test_rows_of_a_whole_file_are_those_of_its_lines() -> None:
    source = random.Random(1)
    for end in (b"", b"\n"):
        for _ in range(300):
            data = b"\n".join(source.choices(LINES, k=source.randint(0, 4))) + end
            found = [row for line in data.split(b"\n")[:-1] if (row := row_of(line)) is not None]
            assert repr(rows_of(data)) == repr(found)


def test_new_rows_are_read_from_where_the_last_ones_ended(path: Path) -> None:
    assert new_rows(path) == ([], 0)
    path.write_bytes(b'{"step": 0}\n{"step": 1}\n{"st')
    rows, end = new_rows(path)
    assert (rows, end) == ([{"step": 0}, {"step": 1}], 24)
    assert new_rows(path, end) == ([], 24)
    with path.open("ab") as file:
        file.write(b'ep": 2}\n')
    assert new_rows(path, end) == ([{"step": 2}], 36)
    path.write_bytes(b'{"step": 9}\n')  # written again, and shorter
    assert new_rows(path, 36) == ([{"step": 9}], 12)


def test_of_many_new_rows_the_last_256_kibibytes_are_read(path: Path) -> None:
    line = json.dumps({"step": 1, "x": "y" * 1003}).encode() + b"\n"  # 1024 bytes
    assert len(line) == 1024
    path.write_bytes(line * 256)
    rows, end = new_rows(path)
    assert (len(rows), end) == (256, 256 * 1024)
    path.write_bytes(line * 300)
    rows, end = new_rows(path)
    assert (len(rows), end) == (255, 300 * 1024)  # one is cut; whether it is whole cannot be told
    rows, end = new_rows(path, 44 * 1024)
    assert (len(rows), end) == (256, 300 * 1024)


def test_the_last_value_of_each_metric_is_that_of_the_last_row_that_has_it(tmp_path: Path) -> None:
    trial = TrialPaths(tmp_path)
    assert last_values(trial) == {}
    write(trial.metrics, {"a": 1, "b": 2.5}, {"a": NAN}, {"c": "x"})
    values = last_values(trial)
    assert math.isnan(values.pop("a")) and values == {"b": 2.5, "c": "x"}


def test_rows_that_something_else_has_written_are_counted(path: Path) -> None:
    write(path, {"a": 1}, {"a": 2})
    assert foreign_rows(path) == 0
    with path.open("ab") as file:
        file.write(b'{"loss": 1}\n{"step":1}\nx')
    assert foreign_rows(path) == 3


# -- a trial's value ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "found"), [(3, 3.0), (0.5, 0.5), (INF, INF), (True, None), ("0.5", None), (None, None)]
)
def test_a_metrics_value_is_a_number(value: Any, found: float | None) -> None:
    assert metric_value({"m": value}, "m") == found
    assert metric_value({"m": 1}, "n") is None
    assert metric_value({"m": 1}, None) is None
    assert type(metric_value({"m": 3}, "m")) is float


def objective(values: Iterable[Any], goal: str, optimize: str, *kinds: str) -> Objective:
    """Follows metric m over rows of its own."""
    found = Objective("m", goal, optimize)
    if kinds:
        found.follow(kinds)
    for value in values:
        found.see({"m": value})
    return found


VALUES = [3, 1.0, NAN, 5.0, INF, 2.0]


@pytest.mark.parametrize(
    ("goal", "optimize", "kinds", "value"),
    [
        ("maximize", "last", (), 2.0),
        ("maximize", "best", (), 5.0),
        ("minimize", "best", (), 1.0),
        ("maximize", "last", ("max",), 5.0),
        ("maximize", "last", ("min",), 1.0),  # what the trainer defines, odd as it is
        ("maximize", "last", ("min", "max"), 5.0),
        ("minimize", "last", ("max", "min"), 1.0),
        ("minimize", "last", ("max", "mean"), 5.0),  # none fits the goal: the first
        ("maximize", "last", ("best",), 5.0),
        ("minimize", "last", ("last", "best"), 1.0),
        ("maximize", "last", ("mean",), 11 / 4),
        ("maximize", "last", ("first",), 3.0),
        ("maximize", "last", ("last",), 2.0),
        ("maximize", "best", ("mean",), 5.0),  # the sweep asks for the best
    ],
)
def test_the_value_is_what_the_sweep_or_else_the_trainers_summary_says(
    goal: str, optimize: str, kinds: tuple[str, ...], value: float
) -> None:
    found = objective(VALUES, goal, optimize, *kinds)
    assert found.value == value
    assert (found.last, found.count) == (2.0, 6)
    assert found.best == (5.0 if goal == "maximize" else 1.0)


def test_negative_values_have_a_best_and_a_mean_as_others_do() -> None:
    assert objective([-3.0, -1.0, -2.0], "maximize", "best").value == -1.0
    assert objective([-3.0, -1.0, -2.0], "minimize", "best").value == -3.0
    for kind, value in (("max", -1.0), ("min", -3.0), ("mean", -2.0), ("first", -3.0)):
        assert objective([-3.0, -1.0, -2.0], "maximize", "last", kind).value == (-1.0 if kind == "max" else value)


def test_without_a_finite_value_the_best_is_the_last_one_there_is() -> None:
    assert objective([], "maximize", "best").value is None
    found = objective([INF, -INF], "maximize", "best", "max")
    assert (found.best, found.value, found.count) == (None, -INF, 2)


def test_a_row_without_the_metric_changes_nothing() -> None:
    found = objective([4.0], "maximize", "last")
    for row in ({"n": 9.0}, {"m": "x"}, {"m": None}, {"m": True}):
        found.see(row)
    assert (found.value, found.best, found.count) == (4.0, 4.0, 1)
    nothing = Objective(None, "maximize", "last")
    nothing.see({"m": 1.0})
    assert (nothing.value, nothing.count) == (None, 0)
