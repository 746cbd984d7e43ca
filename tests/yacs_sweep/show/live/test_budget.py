"""What is left of a sweep's budget, as the live screen and `--status` show it."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from yacs_sweep.records.folder import SweepPaths, TrialRecord
from yacs_sweep.show.live.board import Board, Sweep
from yacs_sweep.show.live.budget import BudgetText
from yacs_sweep.show.live.frame import frame
from yacs_sweep.spec.budget.budget import Budget

NOW = datetime(2026, 11, 30, 13, 36).astimezone()


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        (Budget(until=NOW + timedelta(minutes=12)), "until 13:48, 12 min left"),
        (Budget(until=NOW - timedelta(minutes=1)), "until 13:35, which has passed"),
        (Budget(seconds=8 * 3600), "ran 1 h of 8h"),
        (Budget(gpu_hours=100), "GPU hours 2 of 100"),
        (Budget(60, NOW + timedelta(seconds=50), 3), "until 13:36, 50 s left  ran 1 h of 1m  GPU hours 2 of 3"),
    ],
)
def test_each_limit_says_what_is_left(budget: Budget, expected: str, tmp_path: Path) -> None:
    running = TrialRecord("a", "trial-0000", 0, {}, gpu_ids=["0", "1"])
    text = BudgetText(budget, SweepPaths(tmp_path, "s"), {"a": running})
    assert text.now([(running, 3600.0)], NOW) == expected
    described = text.as_dict([(running, 3600.0)])
    assert (described["ran"], described["gpu_hours_used"]) == (3600.0, 2.0)
    assert (described["for"], described["gpu_hours"]) == (budget.seconds, budget.gpu_hours)


def test_the_screen_shows_it_below_the_counts() -> None:
    sweep = Sweep("abc", "lr", "grid", "local", "d", "m", "maximize", 4, budget="until 13:48, 12 min left")
    lines = ["".join(text for text, _ in line) for line in frame(Board([sweep], 1, 0.0), 100, 24, 1.0, NOW)]
    assert "budget  until 13:48, 12 min left" in lines
    sweep.budget = ""
    assert not any("budget" in "".join(t for t, _ in line) for line in frame(Board([sweep], 1, 0.0), 100, 24, 1.0, NOW))
