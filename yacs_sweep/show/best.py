"""Gives the best trial of a sweep, and those on the front of several objectives, to Python programs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ..records.folder import TrialRecord
from ..records.points import group_points


@dataclass(frozen=True)
class Best:
    """Holds the best finished trial of a sweep, or one on the front of several objectives."""

    name: str
    value: float
    params: dict[str, Any]
    dir: Path  # its folder
    path: Path  # best.yml, or pareto/NAME.yml, which the trainer takes as its configuration file
    config: dict[str, Any]  # what that holds: the base configuration with the parameters
    values: dict[str, float | None] | None = (
        None  # of each objective, where the sweep has several; with repeats the means
    )
    point: str | None = None  # with repeats: the point that this trial stands for,
    mean: float | None = None  # its mean,
    sd: float | None = None  # standard deviation over seeds (None with fewer than two),
    n: int = 1  # and number of seeds

    @classmethod
    def of(cls, record: TrialRecord, path: Path, records: Iterable[TrialRecord]) -> Best:
        """Describes a trial with a value, whose configuration is in the file at `path`; `records` are all of the sweep."""
        config = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {}
        found = (record.name, record.value or 0.0, dict(record.params), Path(record.dir), path, config)
        if record.point is None:
            return cls(*found, record.values)
        (point,) = (each for each in group_points(records) if each.name == record.point)
        estimate = point.estimate
        return cls(*found, point.values or None, point.name, estimate.mean, estimate.sd, estimate.n)
