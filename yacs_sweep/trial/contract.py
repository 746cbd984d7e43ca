"""Defines what a trial gets from its controller and launch: Assignment, Hooks, Launch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol

from ..base.errors import SweepError
from ..records.code.watched import InputWatch
from ..records.folder import SweepPaths, TrialPaths, TrialRecord
from ..records.measured import Demands
from ..trainers.overrides import Overrides
from ..trainers.profile import TrainerProfile
from ..trainers.ways.start import Start, describe_start
from .process import Limits, Stop


class DiskFull(SweepError):
    """The results folder cannot be written to, so that the sweep must end."""


def disk_full_message(paths: SweepPaths) -> str:
    """Tells the user that the disk of the results is full."""
    return f"no space left for results in {paths.dir}; what was done is kept: make room, then resume the sweep"


@dataclass(frozen=True)
class Assignment:
    """One point that a controller hands out, to be run as a trial.

    Attributes:
        params: of the point; the seed of a repeat is not among them.
        first_step: step of its first row; above 0 when its W&B run has rows already.
        point: of a sweep with repeats: the point's name, such as "point-0003" (`records.points.point_name`).
        seed: of a sweep with repeats: the seed that the trainer is given.
        pauses: whether the trial is paused rather than cut short: another attempt resumes in its folder.
        until: iteration at which it pauses; None: it runs to its end.
        parent: name of the trial whose checkpoint it begins from,
        begun_at: the iterations that this one has made,
        replaces: and the name of the trial that ends for it.
    """

    id: str
    name: str
    number: int
    params: Mapping[str, Any]
    retry_of: str | None = None
    first_step: int = 0
    point: str | None = None
    seed: int | float | str | None = None
    pauses: bool = False
    until: int | None = None
    parent: str | None = None
    begun_at: int = 0
    replaces: str | None = None


class Hooks(Protocol):
    """Connects a running trial with its controller.

    Calls must not block, because they come from the thread that reads the trainer's output.
    """

    def started(self, record: TrialRecord, paths: TrialPaths) -> None:
        """Is called when the trial's folder and trial.json exist, before its trainer starts."""

    def log(self, row: Mapping[str, Any], step: int) -> None:
        """Is called after each row, when metrics.jsonl has the row."""

    def should_stop(self) -> str | Stop | None:
        """Returns why the trial must stop early, or how it is to be ended else; None while it may continue."""

    def ended(self, record: TrialRecord) -> None:
        """Is called when trial.json says how the trial ended; changes to the record are written too. May block."""


class Retry(Enum):
    """Says where a trial that the machine ended on its GPUs may be tried again."""

    SAME = "on the GPUs it has, if --retries allows"
    OTHER = "on other GPUs, which `TrialRunner.use_gpus` was called with"
    NOWHERE = "its GPUs are given up, and there are no others"


@dataclass(frozen=True)
class Launch:
    """Settings that all trials of a launch share. Times in seconds."""

    paths: SweepPaths
    profile: TrainerProfile
    overrides: Overrides
    python: str | None
    config_file: str | None
    trailing: tuple[str, ...] = ()  # KEY VALUE words given to every trial, before its own parameters
    seed: int | None = None  # of --seed, for trials whose point has none
    metric: str | None = None
    goal: str = "minimize"
    optimize: str = "last"
    compared: str | None = None  # metric that trials are compared by while they run; None: they end by themselves
    full: int | None = None  # iterations of a full training, by which trials pause; None: they do not
    demands: Demands = field(default_factory=Demands)  # beside the value of the metric
    limits: Limits = field(default_factory=Limits)
    retries: int = 0  # further attempts for a trial that the machine ended, not the trainer
    on_oom: str = "skip"  # or retry: whether a trial that ran out of memory gets another attempt
    watch: InputWatch | None = None  # sees edits of what trials read
    gpu_wait: float = 30.0  # at most, until the GPU memory of an ended trial is free

    def start(
        self,
        paths: TrialPaths,
        trial_id: str,
        params: Mapping[str, Any],
        seed: Any,
        gpu_ids: Sequence[str],
        *,
        resume: bool = False,
    ) -> Start:
        """Describes how the trainer is started in a trial's folder.

        Args:
            seed: of a repeat; None: without one.
            resume: whether the trainer is told to resume, where the folder has a checkpoint.

        Raises:
            ConfigError: as `describe_start`.
        """
        return describe_start(
            self.overrides,
            python=self.python,
            config_file=self.config_file,
            output_dir=str(self.profile.output_dir(paths.dir)),
            trial_id=trial_id,
            gpu_ids=gpu_ids,
            trailing=self.trailing,
            params=self.demands.with_seed(params, seed),
            seed=self.seed,
            resume=resume,
        )
