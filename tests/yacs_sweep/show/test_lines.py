from __future__ import annotations

import pytest

from yacs_sweep.records.folder import TrialRecord
from yacs_sweep.show.lines import (
    MOST_SHOWN,
    command_text,
    duration_text,
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


def test_trial_lines() -> None:
    assert trial_started_line(record("a", retry_of="b")) == "▶ a (again, after b): base_lr=0.00035"
    line = trial_ended_line(record("a", "failed", reason="exit code 3", value=None), "val/mAP")
    assert line == "✗ a failed after 1 min 40 s: exit code 3"
    assert trial_ended_line(record("a", value=40.0), "val/mAP") == "✓ a finished after 1 min 40 s, val/mAP 40"


def test_command_can_be_pasted() -> None:
    assert command_text(["python", "t.py", "A", "[1, 2]"]) == "python t.py A '[1, 2]'"


def test_table_of_ten_thousand_trials_shows_the_first_twenty() -> None:
    rows = [record(f"trial-{number:04d}", value=1.0) for number in range(10_000)]
    lines = trial_table(rows, "val/mAP", 100, most=MOST_SHOWN, file="summary.json").splitlines()
    assert [line.split()[0] for line in lines[2:-1]] == [f"trial-{number:04d}" for number in range(20)]
    assert lines[-1] == "+9980 more; summary.json has all"
    assert "more" not in trial_table(rows[:20], "val/mAP", 100, most=MOST_SHOWN)
