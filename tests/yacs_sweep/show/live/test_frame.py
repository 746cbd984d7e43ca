"""What the live screen shows, as text of a fixed size, from recorded states and a clock that stands still."""

from __future__ import annotations

import io
from datetime import datetime

import pytest
from rich.console import Console
from rich.text import Text

from yacs_sweep.records.folder import TrialRecord
from yacs_sweep.records.progress import Tally
from yacs_sweep.show.cells import Line, plain, width_of
from yacs_sweep.show.live.board import POINTS, Board, Course, Sweep
from yacs_sweep.show.live.frame import end_time, frame, numbers

NOW = 1000.0
TODAY = datetime(2026, 5, 4, 16, 20)  # a Monday


def record(number: int, state: str = "running", **fields: object) -> TrialRecord:
    row = {
        "id": f"t{number}",
        "name": f"trial-{number:04d}",
        "number": number,
        "params": {"base_lr": 0.00035, "margin": 0.3},
        "state": state,
        "started": "2026-01-01T00:00:00.000Z",
        "ended": None if state == "running" else "2026-01-01T00:10:00.000Z",
        **fields,
    }
    return TrialRecord.from_row(row)


def sweep(**fields: object) -> Sweep:
    told: dict[str, object] = {
        "sweep_id": "k3v9x2ab", "name": "lr", "method": "bayes", "controller": "local", "where": "log/sweep/sweep/k3v9x2ab",
        "metric": "val/mAP", "goal": "maximize", "total": 12,
    }  # fmt: skip
    return Sweep(**{**told, **fields})  # type: ignore[arg-type]


def running_board(trials: int = 3) -> Board:
    shown = sweep(left=6, counts={"finished": 2, "failed": 1})
    for number, value in ((0, 41.5), (1, 40.25)):
        shown.trial(record(number, "finished", value=value), NOW)
    shown.trial(record(2, "failed", reason="exit code 1"), NOW)
    for number in range(3, 3 + trials):
        shown.trial(record(number, gpu_ids=[str(number - 3)]), NOW - 120 * (number - 2))
        for epoch in range(1, 4):
            shown.row({"id": f"t{number}", "step": epoch, "epoch": epoch, "iteration": 7, "train/loss": 10 / epoch})
            shown.row({"id": f"t{number}", "step": epoch, "epoch": epoch, "val/mAP": 10.0 * epoch})
    return Board([shown], trials, NOW - 3600)


def texts(lines: list[Line]) -> list[str]:
    return [plain(line) for line in lines]


def test_points_that_are_to_be_tried_again_are_no_part_of_the_bar() -> None:
    failed = [record(number, "failed") for number in range(6)]
    later = [record(number + 6, "finished", retry_of=f"t{number}", value=1.0) for number in range(2)]
    tally = Tally.of([*failed, *later, record(8, retry_of="t2")], [f"t{number}" for number in range(6)])
    assert (tally.counts, tally.again) == ({"running": 1, "finished": 2}, 3)
    shown = sweep(total=6, left=3, counts=tally.counts, again=tally.again)
    shown.trial(record(8, retry_of="t2"), NOW)
    lines = texts(frame(Board([shown], 1, NOW - 60), 100, 40, NOW, TODAY))
    assert (
        lines[2].lstrip("━─").startswith("  2/6  1:00") and round(lines[2].count("─") / lines[2].count("━"), 1) == 2.0
    )
    assert lines[3] == "2 finished  1 running  3 to go  (3 tried again)"


def test_the_whole_screen() -> None:
    shown = texts(frame(running_board(), 120, 40, NOW, TODAY))
    assert shown == [
        "",
        "lr  k3v9x2ab  bayes, local" + " " * 69 + "log/sweep/sweep/k3v9x2ab",
        "━" * 18 + "─" * 54 + "  3/12  1:00:00  about 30 min left, until 16:48",
        "2 finished  1 failed  3 running  6 to go",
        "best  trial-0000  val/mAP 41.5  base_lr=0.00035 margin=0.3",
        "",
        "trial       epoch  val/mAP                train/loss                GPU   time  parameters",
        "trial-0005      3    30.00  ▁▅█                3.333  █▃▁           2     6:00  base_lr=0.00035 margin=0.3",
        "trial-0004      3    30.00  ▁▅█                3.333  █▃▁           1     4:00  base_lr=0.00035 margin=0.3",
        "trial-0003      3    30.00  ▁▅█                3.333  █▃▁           0     2:00  base_lr=0.00035 margin=0.3",
    ]


def test_rich_writes_it_as_it_was_meant() -> None:
    console = Console(file=io.StringIO(), width=120, force_terminal=True, color_system="standard", record=True)
    lines = frame(running_board(), 120, 40, NOW, TODAY)
    for line in lines:
        console.print(Text.assemble(*line), soft_wrap=True)
    assert [line.rstrip() for line in console.export_text(clear=False).splitlines()] == texts(lines)
    assert "\x1b[32m━" in console.export_text(styles=True)


@pytest.mark.parametrize(
    ("columns", "rows"), [(120, 40), (100, 30), (80, 24), (60, 15), (40, 10), (20, 6), (9, 3), (1, 1)]
)
@pytest.mark.parametrize("trials", [0, 1, 3, 40])
def test_it_fits_every_terminal(columns: int, rows: int, trials: int) -> None:
    for board in (
        running_board(trials),
        Board([sweep(sweep_id=f"s{place}", name="a" * 50) for place in range(30)], 4, NOW),
    ):
        lines = frame(board, columns, rows, NOW, TODAY)
        assert len(lines) <= max(1, rows - 1)
        assert all(width_of(line) <= max(8, columns - 1) for line in lines)
        assert all("\n" not in text for text in texts(lines))


def test_more_trials_than_rows_are_counted() -> None:
    shown = texts(frame(running_board(40), 80, 24, NOW, TODAY))
    listed = [line for line in shown if line.startswith("trial-00")]
    assert shown[-1] == f"+{40 - len(listed)} more running"
    assert len(listed) == 13 and len(shown) <= 21
    assert listed[0].startswith("trial-0042")  # the oldest


def test_a_narrow_terminal_keeps_the_most_important_columns() -> None:
    for columns, titles in ((60, "trial epoch val/mAP GPU time parameters"), (38, "trial epoch val/mAP time")):
        assert texts(frame(running_board(), columns, 15, NOW, TODAY))[-4].split() == titles.split()


def test_before_the_first_trial_and_without_values() -> None:
    assert frame(Board([], 2, NOW), 80, 24, NOW, TODAY) == []
    shown = texts(frame(Board([sweep(left=12)], 2, NOW - 5), 80, 24, NOW, TODAY))
    assert shown[-3:] == ["best  no finished trial yet", "", "starting"]
    assert "left" not in "".join(shown)


def test_values_that_are_no_numbers_are_shown_and_do_no_harm() -> None:
    board = running_board(1)
    for value in (float("nan"), float("inf"), "text", None, True):
        board.sweeps[0].row({"id": "t3", "epoch": float("nan"), "val/mAP": value})
    shown = texts(frame(board, 120, 40, NOW, TODAY))
    assert "trial-0003" in shown[-1]


def test_several_sweeps_have_a_line_each() -> None:
    one, two = running_board(2).sweeps[0], sweep(sweep_id="b", name="wd", total=4, left=4)
    board = Board([one, two], 2, NOW - 60, "batch-x: 2 sweeps")
    shown = texts(frame(board, 110, 30, NOW, TODAY))
    assert shown[1] == "batch-x: 2 sweeps  2 running  1:00"  # no end is told: of one sweep nothing is known
    assert shown[2].startswith("k3v9x2ab  lr") and "3/12  1 failed" in shown[2] and "best 41.5" in shown[2]
    assert shown[3].startswith("b  wd") and "0/4" in shown[3]
    assert any(line.startswith("k3v9x2ab/trial-0003") for line in shown)


def test_names_from_elsewhere_cannot_reach_the_terminal() -> None:
    shown = sweep(name="\x1b[2Jx", where="http://\x1b]0;t\x07h", metric="m\x1b[31m")
    shown.trial(record(0, name="\x1b[5mt", params={"\x1b[1mp": "\x1b[31mv", "q": "\x9b1m"}, gpu_ids=["\x1b7"]), NOW)
    shown.row({"id": "t0", "m\x1b[31m": 1.0, "o\x07": 2.0})
    for line in frame(Board([shown], 1, NOW), 120, 40, NOW, TODAY):
        assert plain(line).isprintable(), line


@pytest.mark.parametrize(
    ("left", "text"),
    [
        (None, ""),
        (20, "less than a minute left"),
        (100, "about 2 min left, until 16:21"),
        (4000, "about 1 h 5 min left, until 17:26"),
        (7 * 3600 + 2000, "about 7 h 30 min left, until 23:53"),
        (20 * 3600, "about 20 h left, until Tue 12:20"),
        (9 * 86400, "about 216 h left, until 13 May 16:20"),
    ],
)
def test_the_end_is_told_no_more_exactly_than_it_is_known(left: float | None, text: str) -> None:
    assert end_time(left, TODAY) == text


def test_a_column_of_numbers_has_the_same_decimals() -> None:
    assert numbers([7.0, 22.95, None]) == ["7.00", "22.95", ""]
    assert numbers([0.02, 0.0151]) == ["0.02000", "0.01510"]
    assert numbers([1e-9, 2.0e12]) == ["1e-09", "2e+12"]
    assert numbers([float("nan"), 1.0]) == ["nan", "1.000"]


def test_a_course_of_any_length_keeps_its_shape_in_bounded_memory() -> None:
    course = Course()
    for step in range(100_000):
        course.add(float(step))
    assert POINTS <= len(course.values) < 2 * POINTS
    assert course.last == 99_999
    assert course.values == sorted(course.values)
    assert course.values[0] < 1000 and course.values[-1] > 98_000


def test_losses_stand_first_among_other_metrics() -> None:
    shown = sweep()
    shown.trial(record(0), NOW)
    shown.row({"id": "t0", "val/mAP": 1, "a": 1, "b": 1, "c": 1, "d": 1, "train/loss": 2})
    assert shown.others[0] == "train/loss" and len(shown.others) == 4
    shown.row({"id": "unknown", "a": 1})


def test_a_trial_that_was_replaced_counts_by_the_one_in_its_place() -> None:
    shown = sweep(total=2, counts={"finished": 1, "paused": 1, "running": 1}, trials=[record(0), record(1, "paused")])
    assert shown.done == 2
    shown.trial(record(2, parent_trial="trial-0000", begun_at=3, replaces="trial-0001"), NOW)
    assert shown.done == 1
    shown.counts = {"finished": 2, "stopped": 1}
    assert shown.done == 2
    again = sweep(counts={"finished": 2, "stopped": 1}, trials=[record(2, "finished", replaces="trial-0001")])
    assert again.done == 2
