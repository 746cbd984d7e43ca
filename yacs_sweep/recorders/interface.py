"""Defines what a recorder does: the interface that W&B, TensorBoard and MLflow share.

`tests/yacs_sweep/recorders/test_conformance.py` runs over all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ..records.folder import SweepPaths, TrialRecord
from ..records.metrics import Objective
from ..spec.sweep import SweepSpec

Rows = Sequence[tuple[int, Mapping[str, Any]]]  # step and metrics of each row


@dataclass(frozen=True)
class RecordedSweep:
    """Describes the sweep to a recorder."""

    paths: SweepPaths
    spec: SweepSpec
    project: str | None = None

    @property
    def name(self) -> str:
        """The sweep's name; its id where it has none."""
        return self.spec.name or self.paths.sweep_id

    def parameters_of(self, record: TrialRecord) -> dict[str, Any]:
        """Returns a trial's parameters, with the seed of a repeat."""
        seeds = {} if record.point is None or self.spec.repeats is None else {self.spec.repeats.name: record.seed}
        return {**record.params, **seeds}


class TrialRun(Protocol):
    """Writes one trial. Whatever is called twice is recorded once."""

    def log(self, rows: Rows) -> None:
        """Records rows, in order of their steps; those that the recorder has already are left out."""

    def finish(self, record: TrialRecord, objective: Objective) -> None:
        """Records how the trial has ended, or that it is paused."""


class Recorder(Protocol):
    """Writes the trials of a sweep. Every method may raise anything: the follower opens the recorder again later."""

    def open(self, record: TrialRecord) -> TrialRun:
        """Opens a trial, or opens it again; records its parameters."""

    def end(self, best: TrialRecord | None, *, interrupted: bool) -> None:
        """Records that the launch has ended, and the best trial so far."""

    def add_files(self, record: TrialRecord, folder: Path) -> None:
        """Adds the files of a folder, the best trial's, to the trial."""

    def close(self) -> None:
        """Closes files and connections."""
