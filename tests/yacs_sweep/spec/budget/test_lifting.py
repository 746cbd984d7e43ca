"""The words that resume a sweep have no limit that is reached."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from yacs_sweep.spec.budget.budget import Budget
from yacs_sweep.spec.budget.lifting import without_reached

NOW = datetime(2026, 11, 30, 13, 50, tzinfo=timezone.utc)
PAST, LATER = (NOW - timedelta(minutes=2)).isoformat(), (NOW + timedelta(minutes=2)).isoformat()
FILE = Budget(until=NOW - timedelta(minutes=5), seconds=60)


@pytest.mark.parametrize(
    ("words", "of_file", "reached", "expected"),
    [
        (["--workers", "2", "--until", PAST, "--for", "none"], None, (), ["--workers", "2", "--for", "none"]),
        (["--until", LATER, "--for", "8h"], None, (), ["--until", LATER, "--for", "8h"]),
        (["--until", LATER, "--for", "8h"], None, ("run_for",), ["--until", LATER]),
        (["--until", LATER], None, ("until",), []),
        (["--until", "none"], FILE, (), ["--until", "none"]),
        (["--until", LATER], FILE, (), ["--until", LATER]),
        (["--until", PAST, "--grace", "5"], FILE, (), ["--until", "none", "--grace", "5"]),
        (["--grace", "5"], FILE, ("run_for",), ["--grace", "5", "--until", "none", "--for", "none"]),
        (["--max-gpu-hours", "3"], FILE, ("max_gpu_hours",), ["--until", "none"]),
        (["--workers", "2"], None, (), ["--workers", "2"]),
    ],
)
def test_a_reached_limit_is_left_out_and_one_of_the_file_taken_away(
    words: list[str], of_file: Budget | None, reached: tuple[str, ...], expected: list[str]
) -> None:
    given = list(words)
    assert without_reached(words, [of_file], reached, NOW) == expected
    assert words == given


def test_a_batch_takes_away_what_any_of_its_files_sets() -> None:
    assert without_reached([], [None, FILE], (), NOW) == ["--until", "none"]
