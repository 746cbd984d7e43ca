"""How long a trial took is measured by a clock that nobody sets."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.single_trials import Hooks, launch_of
from yacs_sweep.base.values import utc_after, utc_seconds
from yacs_sweep.records.folder import TrialRecord
from yacs_sweep.show.lines import duration_text, trial_ended_line
from yacs_sweep.trial import runner as runner_module
from yacs_sweep.trial.contract import Assignment
from yacs_sweep.trial.runner import TrialRunner

TEN_YEARS_AGO = "2016-11-29T12:00:00.000Z"


def test_a_clock_that_is_set_back_while_a_trial_runs_changes_no_duration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # D15
    launch = launch_of(tmp_path, "import time; time.sleep(0.3); print('mAP: 1%')")
    runner = TrialRunner(launch)
    monkeypatch.setattr(runner_module, "utc_now", lambda: TEN_YEARS_AGO)  # before the trainer starts, and at the end
    before = time.monotonic()
    try:
        record = runner.run(Assignment("s-0", "t", 0, {}), Hooks())
    finally:
        runner.close()
    seconds = record.seconds
    assert record.state == "finished"
    assert seconds is not None and 0.3 <= seconds <= time.monotonic() - before
    assert f"finished after {duration_text(seconds)}" in trial_ended_line(record, "val/mAP")
    assert TrialRecord.load(launch.paths.trial("t").record).ended == record.ended


def test_a_lost_trial_that_ended_before_it_began_has_no_duration() -> None:
    record = TrialRecord("s-0", "t", 0, {}, started="2026-11-29T12:00:00.000Z", ended=TEN_YEARS_AGO)
    assert record.seconds is None and duration_text(record.seconds) == ""


def test_a_time_after_another() -> None:
    assert utc_after("2026-11-29T12:00:00.000Z", 3661.5) == "2026-11-29T13:01:01.500Z"
    assert abs((utc_seconds(utc_after("?", 5)) or 0) - time.time()) < 60
