"""Defines what a controller hands to a trial and hears from it: Assignment, Hooks, Launch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol

from ..base.errors import SweepError
from ..records.folder import SweepPaths, TrialPaths, TrialRecord
from ..records.watched import InputWatch
from ..trainers.overrides import Overrides
from ..trainers.profile import TrainerProfile
from .process import Limits


class DiskFull(SweepError):
    """The results folder cannot be written to; the sweep cannot go on."""


def disk_full(paths: SweepPaths) -> str:
    """What the user is told."""
    return f"no space left for results in {paths.dir}; what was done is kept: make room, then go on with the sweep"


@dataclass(frozen=True)
class Assignment:
    """What a controller hands out: one point of the search."""

    id: str
    name: str
    number: int
    params: Mapping[str, Any]
    retry_of: str | None = None
    first_step: int = 0  # of its first row; more than 0 when rows of it are elsewhere


class Hooks(Protocol):
    """What a controller wants of a running trial. Calls must not block: they come from the thread that reads output."""

    def started(self, record: TrialRecord, paths: TrialPaths) -> None:
        """The trial's folder and trial.json are there; its child starts next."""

    def log(self, row: Mapping[str, Any], step: int) -> None:
        """One row was logged; it is in metrics.jsonl already."""

    def should_stop(self) -> str | None:
        """Why the trial must end early; None while it may go on."""

    def ended(self, record: TrialRecord) -> None:
        """The trial has ended so, and trial.json says it; what is changed here is written there. May wait."""


class Retry(Enum):
    """Where a trial that the machine ended on its GPUs may be tried again."""

    SAME = "on the GPUs it has, if --retries allows"
    OTHER = "on other GPUs, which `TrialRunner.use_gpus` was called with"
    NOWHERE = "its GPUs are given up, and there are no others"


@dataclass(frozen=True)
class Launch:
    """What all trials of a sweep share. Times in seconds."""

    paths: SweepPaths
    profile: TrainerProfile
    overrides: Overrides
    python: str | None
    config_file: str | None
    trailing: tuple[str, ...] = ()  # KEY VALUE words given to every trial, before its own parameters
    metric: str | None = None
    goal: str = "minimize"
    optimize: str = "last"
    limits: Limits = field(default_factory=Limits)
    retries: int = 0  # more attempts for a trial that the machine ended, not the trainer
    on_oom: str = "skip"  # or retry: whether running out of memory is worth another attempt
    watch: InputWatch | None = None  # sees edits of what trials read
    gpu_wait: float = 30.0  # for the memory of an ended trial to be free
