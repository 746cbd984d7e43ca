from __future__ import annotations

import pytest

from yacs_sweep.base.wording import cells
from yacs_sweep.records.folder import TrialRecord
from yacs_sweep.show.lines import (
    MOST_SHOWN,
    batch_table,
    command_text,
    duration_text,
    epochs_apart,
    trial_ended_line,
    trial_started_line,
    trial_table,
)


def record(name: str, state: str = "finished", **fields: object) -> TrialRecord:
    row = {
        "id": name,
        "name": name,
        "number": 0,
        "params": {"base_lr": 0.00035},
        "state": state,
        "started": "2026-01-01T00:00:00.000Z",
        "ended": "2026-01-01T00:01:40.000Z",
        **fields,
    }
    return TrialRecord.from_row(row)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, ""), (0.04, "0.0 s"), (9.96, "10.0 s"), (42.4, "42 s"), (200, "3 min 20 s"), (7500, "2 h 05 min")],
)
def test_duration(seconds: float | None, text: str) -> None:
    assert duration_text(seconds) == text


def test_table_shows_reasons_only_when_there_are_some() -> None:
    good = record("a", value=40.0)
    assert "reason" not in trial_table([good], "val/mAP", 100)
    table = trial_table([good, record("b", "failed", reason="exit code 3")], "val/mAP", 100).splitlines()
    assert table[0].split() == ["trial", "val/mAP", "state", "time", "parameters", "reason"]
    assert table[2].split() == ["a", "40", "finished", "1", "min", "40", "s", "base_lr=0.00035"]
    assert table[3].endswith("exit code 3")


def test_table_fits_the_width() -> None:
    rows = [record("a", "failed", reason="x" * 300, params={f"p{i}": 0.1 for i in range(20)})]
    assert max(map(len, trial_table(rows, "val/mAP", 100).splitlines())) <= 100


LOST = "exit code 1: t.py: no folder data/market1501, 한국어 데이터 폴더를 찾을 수 없습니다 😀"


def sweep_of_all_states() -> list[TrialRecord]:
    """Trials as people have them: several searched parameters between constants, long reasons, letters of any width."""

    def params(lr: float) -> dict[str, object]:
        return {"SOLVER.MAX_EPOCHS": 120, "base_lr": lr, "MODEL.NAME": "resnet50_ibn_a", "태그": f"학습률{lr}"}

    why = "stopped early: hyperband: val/mAP 12.25 at iteration 9 is not in the best third"
    return [
        record("trial-0000", value=88.4, params=params(0.00035)),
        record("trial-0001", "stopped", value=12.25, params=params(0.01), reason=why),
        record("trial-0002", "failed", params=params(0.1), reason=LOST),
        record("trial-0003", "failed", params=params(0.2), reason=LOST),
        record("trial-0004", "stopped", value=3.0, params=params(0.5), reason="stopped early"),
    ]


@pytest.mark.parametrize("metric", ["val/mAP", "validation/mean_average_precision_of_everything"])
@pytest.mark.parametrize("width", [40, 79, 100, 119, 159])
def test_no_row_is_wider_than_the_terminal(width: int, metric: str) -> None:
    lines = trial_table(sweep_of_all_states(), metric, width).splitlines()
    assert max(map(cells, lines)) <= width


@pytest.mark.parametrize("width", [79, 119, 400])
def test_each_reason_is_told_once_and_whole(width: int) -> None:
    table = trial_table(sweep_of_all_states(), "val/mAP", width)
    text = " ".join(table.split())
    assert "stopped early" not in table and text.count("hyperband: val/mAP 12.25 at iteration 9 is not in the") == 1
    assert text.count(LOST) == 1 and f"trial-0002, trial-0003: {LOST}" in text
    apart = trial_table(sweep_of_all_states()[:3], "val/mAP", width)  # no two for the same reason
    assert (LOST in apart.splitlines()[4]) is (width == 400) and " ".join(apart.split()).count(LOST) == 1


@pytest.mark.parametrize("width", [79, 119])
def test_what_varies_is_shown_before_what_does_not(width: int) -> None:
    lines = trial_table(sweep_of_all_states(), "val/mAP", width).splitlines()
    for line, lr in zip(lines[2:7], ("0.00035", "0.01", "0.1", "0.2", "0.5"), strict=True):
        assert f"  base_lr={lr} 태그=학습률{lr}"[: width - 50] in line
    assert "base_lr=0.1 p=2 c=1" in trial_table(
        [record("a", params={"c": 1, "base_lr": 0.1, "p": 2}), record("b", params={"c": 1, "base_lr": 0.2})], None, 159
    )  # p is inactive in one
    running = [record("b", "running", params={"c": 1, "base_lr": 0.2})]
    assert "base_lr=0.1 c=1" in trial_table([record("a", params={"c": 1, "base_lr": 0.1})], None, 159, beside=running)


def test_a_column_without_a_metric_is_left_out() -> None:
    rows = [record("a"), record("b", "failed", reason="exit code 3")]
    assert trial_table(rows, None, 100).splitlines()[0].split() == ["trial", "state", "time", "parameters", "reason"]
    assert trial_table(rows, "time", 100).splitlines()[0].split()[:4] == ["trial", "time", "state", "time"]


def test_reasons_of_many_trials_name_the_first_of_them() -> None:
    rows = [record(f"t{number}", "failed", reason="x " * 200) for number in range(9)]
    last = trial_table(rows, "val/mAP", 79).splitlines()[-3:]
    assert last[0].startswith("t0, t1, t2, t3, +5 more: x x") and last[-1].endswith("…")


def test_batches_fit_the_width() -> None:
    row = {"sweep_id": "k3v9x2ab", "name": "학습률 " * 20, "state": "ended", "counts": {"finished": 9, "failed": 3}}
    best = {"metric": {"name": "val/mAP"}, "best": {"value": 40.0, "name": "trial-0001"}}
    lines = batch_table([{**row, **best, "message": "ended after 3 failed trials " * 9}], 79).splitlines()
    assert max(map(cells, lines)) <= 79 and lines[3].startswith("k3v9x2ab: ended after")
    assert "9 finished, 3 failed" in lines[2] and "val/mAP 40" in lines[2]
    tried = {**row, **best, "counts": {"finished": 6, "failed": 6}, "retried": {"failed": 6}, "message": None}
    assert batch_table([tried], 120).endswith("6 finished (6 tried again)")
    assert "trial-0001" in batch_table([{**row, **best, "name": "a", "message": None}], 120)


def test_trial_lines() -> None:
    assert trial_started_line(record("a", retry_of="b")) == "▶ a (again, after b): base_lr=0.00035"
    earlier = record("trial-0006", "failed")
    assert trial_started_line(record("a", retry_of="k3-6"), earlier).startswith("▶ a (again, after trial-0006): ")
    line = trial_ended_line(record("a", "failed", reason="exit code 3", value=None), "val/mAP")
    assert line == "✗ a failed after 1 min 40 s: exit code 3"
    assert trial_ended_line(record("a", value=40.0), "val/mAP") == "✓ a finished after 1 min 40 s, val/mAP 40"
    line = trial_ended_line(record("a", "stopped", value=1.0, reason="stopped early: bad at 3"), "val/mAP")
    assert line == "■ a stopped after 1 min 40 s, val/mAP 1: bad at 3"


def test_command_can_be_pasted() -> None:
    assert command_text(["python", "t.py", "A", "[1, 2]"]) == "python t.py A '[1, 2]'"


def test_table_of_ten_thousand_trials_shows_the_first_twenty() -> None:
    rows = [record(f"trial-{number:04d}", value=1.0) for number in range(10_000)]
    lines = trial_table(rows, "val/mAP", 100, most=MOST_SHOWN, file="summary.json").splitlines()
    assert [line.split()[0] for line in lines[2:-1]] == [f"trial-{number:04d}" for number in range(20)]
    assert lines[-1] == "+9980 more; summary.json has all"
    assert "more" not in trial_table(rows[:20], "val/mAP", 100, most=MOST_SHOWN)


@pytest.mark.parametrize(
    ("search", "ends", "told"),
    [(6, [3, 3], "3 with the seeds, and 6"), (6, [4, 9], "4 to 9 with the seeds, and 6"), (6, [6, 6], ""), (None, [3], ""),
     (6, [], "")],
)  # fmt: skip
def test_trainings_of_other_lengths_are_not_compared_in_silence(search: int | None, ends: list[int], told: str) -> None:
    said = epochs_apart({"epochs": {"search": search, "seeds": ends}})
    assert bool(said) == bool(told) and told in said and epochs_apart({}) == ""


def test_a_paused_trial_is_shown_with_a_value_and_the_iteration_it_belongs_to() -> None:
    paused = record("trial-0000", "paused", value=0.404, reason="paused at iteration 2: acc 0.404")
    paused.cause = "paused"
    assert trial_ended_line(paused, "acc").endswith("acc 0.404: at iteration 2")
    paused.value = 0.5  # its best, with `optimize: best`
    assert trial_ended_line(paused, "acc").endswith("acc 0.5: at iteration 2: acc 0.404")
