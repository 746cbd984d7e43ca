"""What a sweep has spent of its budget, and whether a further trial would end in time."""

from __future__ import annotations

import os
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from yacs_sweep.base.signals import AWAKE
from yacs_sweep.base.values import utc_text
from yacs_sweep.launch.workers.time_limits import TimeLimits, quantile
from yacs_sweep.records.budget.spent import Spent, covered
from yacs_sweep.records.folder import SweepPaths, TrialRecord
from yacs_sweep.records.summary import Summary
from yacs_sweep.spec.budget.budget import Budget
from yacs_sweep.spec.budget.moments import moment_text

HOUR = 3600.0


def summary_of(folder: Path, *records: TrialRecord) -> Summary:
    summary = Summary(SweepPaths(folder, "s"), name="s", controller="local", method="grid", metric="m", goal="minimize")
    for record in records:
        summary.records[record.id] = record
    return summary


def trial(
    number: int, hours_ago: float, took: float | None = None, state: str = "finished", **more: Any
) -> TrialRecord:
    """A trial that began so many hours ago, and took `took` hours."""
    start = time.time() - hours_ago * HOUR
    ended = None if took is None else utc_text(start + took * HOUR)
    return TrialRecord(
        f"s-{number}", f"trial-{number:04d}", number, {}, state, started=utc_text(start), ended=ended, **more
    )


def running(record: TrialRecord, hours: float) -> tuple[TrialRecord, float]:
    return record, AWAKE.now() - hours * HOUR


def test_time_counts_once_while_any_trial_runs() -> None:
    assert covered([(0, 10), (5, 12), (6, 7), (20, 21)]) == 13
    assert covered([]) == 0
    assert quantile([]) is None
    assert quantile([3.0]) == 3.0
    assert quantile(list(range(1, 21))) == 18


def test_what_is_spent_is_that_of_all_launches_without_the_time_between(tmp_path: Path) -> None:
    summary = summary_of(
        tmp_path,
        trial(0, 50, 2, gpu_ids=["0"]),
        trial(1, 49, 2, gpu_ids=["1"]),  # beside it for an hour
        trial(2, 10, 1, "failed", gpu_ids=["0", "1"]),
    )
    here = trial(3, 1, state="running", gpu_ids=["0"])
    summary.records[here.id] = here
    seconds, gpu_seconds = Spent(summary.paths, summary.records).sums([(here, HOUR)])
    assert seconds == pytest.approx((3 + 1 + 1) * HOUR, abs=2)
    assert gpu_seconds == pytest.approx((2 + 2 + 2 + 1) * HOUR, abs=2)


def test_launches_of_a_trial_that_was_paused_count_each(tmp_path: Path) -> None:
    ran = [[utc_text(time.time() - 30 * HOUR), utc_text(time.time() - 29 * HOUR)]]
    paused = trial(0, 5, 0.5, "paused", trained=HOUR, ran=ran, gpu_ids=["0"])
    spent = Spent((summary := summary_of(tmp_path, paused)).paths, summary.records)
    assert spent.sums([]) == pytest.approx((1.5 * HOUR, 1.5 * HOUR), abs=2)
    # Resumed here: what it has taken before counts still.
    again = trial(
        0, 1, state="running", trained=1.5 * HOUR, ran=[*ran, [paused.started, str(paused.ended)]], gpu_ids=["0"]
    )
    summary.records[again.id] = again
    assert spent.sums([(again, HOUR)]) == pytest.approx((2.5 * HOUR, 2.5 * HOUR), abs=2)


def test_a_lost_trial_ran_until_it_printed_last(tmp_path: Path) -> None:
    lost = trial(0, 10, 10, "lost", cause="lost", gpu_ids=["0"])  # found dead just now
    summary = summary_of(tmp_path, lost)
    paths = summary.paths.trial(lost.name)
    paths.dir.mkdir(parents=True)
    paths.stdout.write_text("epoch 1\n")
    last = time.time() - 9 * HOUR
    os.utime(paths.stdout, (last, last))
    assert Spent(summary.paths, summary.records).sums([]) == pytest.approx((HOUR, HOUR), abs=2)


@pytest.mark.parametrize(("left", "starts"), [(0.5, False), (0.9, False), (1.1, True)])
def test_no_trial_starts_that_is_expected_to_end_after_the_deadline(tmp_path: Path, left: float, starts: bool) -> None:
    ended = [trial(number, 20 - number, 1.0 if number else 0.2) for number in range(5)]
    until = datetime.now().astimezone() + timedelta(hours=left)
    limits = TimeLimits(Budget(until=until), summary_of(tmp_path, *ended, trial(9, 30, 8, "failed")))
    late = limits.too_late([])
    assert (late is None) == starts
    text = late[1] if late is not None else ""
    assert starts or str(text).startswith("no further trial is started: the next is expected to take 1 h 00 min, ")
    assert starts or f" left until {moment_text(until)}" in str(text)
    assert limits.over([]) is None


def test_the_first_trial_starts_whatever_is_left(tmp_path: Path) -> None:
    until = datetime.now().astimezone() + timedelta(seconds=60)
    limits = TimeLimits(Budget(60, until, 0.1), summary_of(tmp_path, trial(0, 1, 0.001, "failed")), gpus=1)
    assert limits.too_late([]) is None and limits.over([]) is None


def test_time_for_the_whole_sweep_is_up_while_a_trial_runs(tmp_path: Path) -> None:
    limits = TimeLimits(Budget(3 * HOUR), summary_of(tmp_path, trial(0, 100, 2)))
    own = trial(1, 0.5, state="running")
    assert limits.over([running(own, 0.5)]) is None
    late = limits.too_late([running(own, 0.5)])
    assert late is not None and late[1] == (
        "no further trial is started: the next is expected to take 2 h 00 min, 30 min 00 s are left of 3h"
    )
    other = TimeLimits(Budget(3 * HOUR), summary_of(tmp_path, trial(0, 100, 2)))
    assert other.over([running(own, 1.01)]) == "the sweep has run for 3h"
    slept = TimeLimits(Budget(3 * HOUR), summary_of(tmp_path, trial(0, 100, 2, asleep=HOUR)))  # by Ctrl-Z
    assert slept.over([running(own, 1.01)]) is None


def test_gpu_hours_are_kept_for_the_trials_that_run(tmp_path: Path) -> None:
    def limits(hours: float) -> TimeLimits:
        ended = trial(0, 100, 2, gpu_ids=["0", "1"])
        return TimeLimits(Budget(gpu_hours=hours), summary_of(tmp_path, ended), gpus=2)

    own = [running(trial(1, 1, state="running", gpu_ids=["0", "1"]), 1)]  # 4 + 2 used, 2 to come, the next takes 4
    assert limits(12.1).too_late(own) is None
    late = limits(11.9).too_late(own)
    assert late is not None and late[1] == (
        "no further trial is started: the next is expected to take 4 GPU hours, 3.9 GPU hours are left of 11.9 beside the "
        "running trials"
    )
    assert limits(6.1).over(own) is None
    assert limits(5.9).over(own) == "the sweep has used its 5.9 GPU hours"


def test_where_trials_pause_the_nearest_pause_counts(tmp_path: Path) -> None:
    paused = [trial(number, 20, 1.0, "paused", iterations=4) for number in range(3)]  # 15 minutes each
    for left, starts in ((0.7, False), (0.8, True)):
        until = datetime.now().astimezone() + timedelta(hours=left)
        limits = TimeLimits(Budget(until=until), summary_of(tmp_path, *paused), shortest=3)
        assert (limits.too_late([]) is None) == starts


@pytest.mark.parametrize(("gpu_hours", "reached", "left"), [(3.6, "max_gpu_hours", 2), (30.0, "until", 39)])
def test_a_sweep_whose_next_pause_is_too_far_ends_by_the_tightest_limit(
    tmp_path: Path, gpu_hours: float, reached: str, left: int
) -> None:
    paused = [trial(number, 20, 1.0, "paused", iterations=4, gpu_ids=["0"]) for number in range(3)]  # 15 minutes each
    until = datetime.now().astimezone() + timedelta(hours=9.9)
    limits = TimeLimits(Budget(until=until, gpu_hours=gpu_hours), summary_of(tmp_path, *paused), gpus=1, shortest=1)
    assert limits.fitting([]) == left
    _, line = limits.too_long([])
    assert limits.reached == reached
    of = f"until {moment_text(until)}" if reached == "until" else f"of {gpu_hours}"
    assert line == (
        f"no further trial is started: the next is expected to take longer, {left} iterations are left {of}"
    )


def test_thousands_of_trials_are_read_once(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, *(trial(number, 100, 0.01) for number in range(3000)))
    spent = Spent(summary.paths, summary.records)
    first = spent.sums([])
    started = time.process_time()
    for _ in range(10):
        assert spent.sums([]) == first
    assert time.process_time() - started < 1.0
