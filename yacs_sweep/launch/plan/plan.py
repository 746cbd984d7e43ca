"""Defines a plan: a checked sweep that can be carried out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...base.wording import counted
from ...recorders.targets import Target
from ...records.folder import SweepPaths, TrialRecord
from ...records.inputs import Taken
from ...records.known_sweeps import new_sweep_id
from ...records.launch_file import LaunchFile
from ...records.measured import Demands
from ...search.warm_start import WarmStart
from ...spec.sweep import SweepSpec
from ...trainers.overrides import Overrides
from ...trainers.profile import TrainerProfile
from ...trainers.ways.start import Start, describe_start
from ...wandb.sweeps import RemoteSweep
from ..workers.gpu_places import Layout


@dataclass(frozen=True)
class Plan:
    """Holds a sweep that can start: everything in it has been checked."""

    spec: SweepSpec
    launch: LaunchFile
    profile: TrainerProfile
    overrides: Overrides
    trailing: dict[str, Any]  # what the trailing KEY VALUE words set, by key
    count: int
    paths: SweepPaths | None = None  # of a resumed sweep; None: a new one
    remote: RemoteSweep | None = None  # the W&B sweep that is resumed
    fall_back: bool = False  # whether the embedded controller will do when W&B cannot be used
    notes: tuple[str, ...] = field(default=())
    defaults: tuple[tuple[str, str, str], ...] = ()  # of the project: option, value, FILE:LINE
    warm: WarmStart = field(default=WarmStart())
    given: tuple[Mapping[str, Any], ...] = ()  # points that users have added to a resumed sweep, and not tried yet
    storage: str | None = None  # the database, with its password, which `launch` does not have
    targets: tuple[Target, ...] = ()  # of --record, with their passwords, which `launch` does not have
    resumed: bool = False  # whether the sweep was there before
    layout: Layout = field(default=Layout())
    inputs: tuple[Taken, ...] = ()  # files to copy into the sweep's folder
    snapshot: bool = False  # whether the trainer's code is frozen
    scheduled: tuple[dict[str, Any], ...] = ()  # the first points of a new sweep's scheduler
    searched: TrialRecord | None = None  # the best trial of the search, which --train-best trains again

    @property
    def may_resume(self) -> bool:
        """Whether paused trials may be resumed: the search has not said that it has no trial left."""
        return self.spec.pauses and not self.launch.exhausted

    def trial_start(self, params: dict[str, Any], output_dir: str | Path, seed: Any = None) -> Start:
        """Describes how a trial is started, on the GPUs that the first one gets.

        Args:
            seed: of a sweep with repeats; None: without one.
        """
        return describe_start(
            self.overrides,
            python=self.launch.python,
            config_file=self.launch.config_file,
            output_dir=str(output_dir),
            trial_id="TRIAL_ID",
            gpu_ids=self.layout.places[0],
            trailing=self.launch.trailing,
            params=Demands.of(self.spec).with_seed(params, seed),
            seed=self.launch.trainer_seed,
        )


def new_paths(spec: SweepSpec, sweep_id: str | None = None) -> SweepPaths:
    """Returns the folder that a new sweep will have."""
    return SweepPaths(Path(spec.results_dir_base).expanduser().resolve(), sweep_id or new_sweep_id())


def trials_text(spec: SweepSpec, count: int, *, resumed: bool = False) -> str:
    """Says how many trials there are, and of how many points with repeats: `30 trials: 10 points with 3 seeds each`.

    Args:
        resumed: whether there are points already, which may lack seeds or have some to try again.
    """
    trials = counted(count, "trial")
    if spec.repeats is None:
        return trials
    n, noun = spec.repeats.n, spec.repeats.noun
    if spec.repeats.race or resumed:
        return f"{trials}: points with up to {n} {noun}s each"
    points, left = divmod(count, n)
    whole = f"{counted(points, 'point')} with {n} {noun}s each" if points else ""
    last = f"{'and ' if points else ''}one with {counted(left, noun)}" if left else ""
    return f"{trials}: {' '.join(filter(None, [whole, last]))}"
