"""Which failed trials a resumed sweep names, and what it suggests for the others."""

from __future__ import annotations

import pytest

from yacs_sweep.launch.options.table import Options
from yacs_sweep.launch.plan.retry import with_trials
from yacs_sweep.launch.plan.source import Source
from yacs_sweep.records.folder import TrialRecord


def failed(name: str, cause: str) -> TrialRecord:
    return TrialRecord(name, name, 0, {}, state="failed", cause=cause, reason=f"because of {cause}")


def notes(*records: TrialRecord) -> str:
    return "\n".join(with_trials(Source(Options(), "local"), records).notes)


@pytest.mark.parametrize(
    "cause", ["import_error", "start", "no_space", "shared_memory", "gpu_taken", "guard_lost", "io_error"]
)
def test_a_failure_of_the_machine_is_named_with_its_option(cause: str) -> None:
    said = notes(failed("trial-0000", cause), failed("trial-0001", "exit"))
    assert f"trial-0000 (because of {cause}); --retry-failed=trial-0000 runs them again" in said
    assert "trial-0001" not in said


@pytest.mark.parametrize("cause", ["exit", "no_metric", "diverged", "timeout"])
def test_a_failure_of_the_trainer_is_counted(cause: str) -> None:
    said = notes(failed("trial-0000", cause))
    assert said == "1 trial has failed; --retry-failed runs it again after you have fixed the cause"
