"""Gives the trials of a sweep to Python programs that were written for W&B's: as runs with `config` and `summary`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..records.folder import SweepPaths, TrialPaths, TrialRecord
from ..records.metrics import last_values, read_metrics
from ..spec.parameter import nest_values
from ..spec.sweep import SweepSpec


@dataclass(frozen=True)
class Run:
    """A trial, with the names that W&B's `sweep.runs` have.

    Attributes:
        state: running, finished, stopped, failed, killed or lost.
        config: the trial's parameters, nested as in the sweep's description.
        summary: the last value of each metric; of the sweep's metric the trial's value.
        dir: the trial's folder.
    """

    id: str
    name: str
    state: str
    config: dict[str, Any]
    summary: dict[str, Any]
    dir: str

    @classmethod
    def of(cls, record: TrialRecord, paths: SweepPaths, spec: SweepSpec) -> Run:
        """Reads the trial's metrics."""
        summary = last_values(paths.trial(record.name))
        if spec.metric is not None and record.value is not None:
            summary[spec.metric.name] = record.value
        config = nest_values(spec.parameters, record.params)
        return cls(record.id, record.name, record.state, config, summary, str(paths.trial(record.name).dir))

    def history(self) -> list[dict[str, Any]]:
        """Returns the logged rows, each with its `step`."""
        return read_metrics(TrialPaths(Path(self.dir)).metrics)
