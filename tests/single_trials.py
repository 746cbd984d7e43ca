"""Runs single trials without a sweep: how they are launched, and hooks in the place of a controller."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.trainers import write_trainer
from yacs_sweep.records.folder import SweepPaths, TrialPaths, TrialRecord
from yacs_sweep.trainers.load import load_profile
from yacs_sweep.trainers.overrides import Overrides
from yacs_sweep.trial.contract import Launch
from yacs_sweep.trial.process import Limits


class Hooks:
    """Lets the trial run to its end, or ends it once it has printed its metric."""

    def __init__(self, why: str | None = None) -> None:
        self._why, self._logged = why, False

    def started(self, record: TrialRecord, paths: TrialPaths) -> None:
        pass

    def log(self, row: Mapping[str, Any], step: int) -> None:
        self._logged = True

    def should_stop(self) -> str | None:
        return self._why if self._logged else None

    def ended(self, record: TrialRecord) -> None:
        pass


def launch_of(folder: Path, code: str, limits: Limits | None = None) -> Launch:
    """Makes the launch of a trainer of these lines (`write_trainer`), whose metric is val/mAP."""
    profile = load_profile(str(write_trainer(folder, code)), project_root=folder)
    return Launch(
        SweepPaths(folder, "s"),
        profile,
        Overrides(profile, None),
        sys.executable,
        None,
        metric="val/mAP",
        goal="maximize",
        limits=limits or Limits(),
    )
