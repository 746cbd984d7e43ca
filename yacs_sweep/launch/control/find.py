"""Finds the sweeps that an order is for, and the list that keeps their orders."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ...base.errors import ConfigError
from ...records.alive import Launcher, launchers
from ...records.control.orders import OrderLog
from ...records.folder import SweepPaths, TrialRecord
from ...records.known_sweeps import BATCH, batch_rows, find, find_bases, refuse_unwritable, result_bases
from ...records.launch_file import LaunchFile, load_spec_of
from ...search.storage.order_log import order_log
from ...search.storage.url import shared
from ...spec.sweep import SweepSpec
from ...wandb.login import is_logged_in, why_not_asked
from ..options.table import Options
from .on_server import ServerLog

if TYPE_CHECKING:
    from ...search.storage.shared_sweep import SharedSweep


@dataclass(frozen=True)
class Steered:
    """Holds a sweep that takes orders.

    Attributes:
        launch: how it was launched; None: only the W&B server knows it, so that its log has no answers.
        storage: the database that its machines share; None: they share its folder, or there is one machine.
        has_folder: whether this machine has its folder.
        told: lines about what has become of orders on the W&B server.
        notes: lines about the order that is being given.
        results_dir: of the command that gives orders.
    """

    paths: SweepPaths
    launch: LaunchFile | None
    log: OrderLog
    storage: str | None = None
    has_folder: bool = True
    told: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    results_dir: str | None = None

    @property
    def sweep_id(self) -> str:
        """The sweep's id."""
        return self.paths.sweep_id

    @property
    def controller(self) -> str:
        """The name of the controller that chooses the points: local, wandb."""
        return "wandb" if self.launch is None else self.launch.controller

    @cached_property
    def spec(self) -> SweepSpec:
        """The parameters, method and metric of the sweep, from its folder or the database."""
        if self.has_folder:
            return load_spec_of(self.paths)
        return _in_database(self.storage, self.sweep_id).join("--sweep_id")[0]

    def records(self) -> list[TrialRecord]:
        """Reads the sweep's trials, on whichever machine they ran."""
        if self.storage is None:
            from ...records.summary import known_records  # few orders need it

            return known_records(self.paths)
        return _in_database(self.storage, self.sweep_id).records()

    def launches(self) -> list[Launcher]:
        """Lists the launches that work on the sweep, as far as its folder tells."""
        return launchers(self.paths)

    @property
    def knows_launches(self) -> bool:
        """Whether `launches` are all there are; another machine that shares the database alone is not seen."""
        return self.storage is None

    @property
    def hosts(self) -> list[str]:
        """Lists the machines whose launches work on the sweep, this one first."""
        here = socket.gethostname()
        return sorted({launch.host for launch in self.launches()}, key=lambda host: (host != here, host))


def find_steered(sweep_id: str, options: Options, option: str) -> list[Steered]:
    """Finds the sweep with this id, or all sweeps of a batch.

    Args:
        option: what the user named the sweep with, for messages.

    Raises:
        ConfigError: there is no such sweep, or this user may not write to its folder.
    """
    if sweep_id.startswith(BATCH):
        return [_one(name, base, options, option) for name, base in _batch(sweep_id, options, option)]
    return [_one(sweep_id, options.results_dir, options, option)]


def _batch(batch_id: str, options: Options, option: str) -> list[tuple[str, str]]:
    """Lists id and results folder of each sweep of a batch."""
    bases = result_bases(options.results_dir)
    for base in find_bases(batch_id, bases, option, remembered=not options.results_dir):
        paths = SweepPaths(base, batch_id)
        if paths.summary.is_file():
            return [(str(row["sweep_id"]), str(row["base"])) for row in batch_rows(paths)]
    raise unknown(batch_id, bases, option)


def _one(sweep_id: str, results_dir: str | None, options: Options, option: str) -> Steered:
    """Finds one sweep."""
    paths = find(sweep_id, results_dir, option)
    if paths is None:
        return _elsewhere(sweep_id, options, option)
    refuse_unwritable(paths, (paths.dir, paths.agents, paths.control))
    launch = LaunchFile.load(paths)
    if launch.controller == "wandb":
        server = ServerLog(sweep_id, paths, options, option)
        return Steered(paths, launch, server, told=server.told, results_dir=results_dir)
    storage = _shared_storage(options, launch)
    return Steered(paths, launch, order_log(paths, storage), storage, results_dir=results_dir)


def _shared_storage(options: Options, launch: LaunchFile) -> str | None:
    """Returns the URL of the database that the sweep's machines share; None where they share none."""
    if not shared(launch.storage):
        return None
    from ..plan.checks import storage_wanted  # imports what a plan needs, which takes a while
    from ..plan.resume import storage_given

    return storage_wanted(storage_given(options, launch), launch)


def _elsewhere(sweep_id: str, options: Options, option: str) -> Steered:
    """Finds a sweep that has no folder on this machine: in the database of its machines, or on the W&B server."""
    bases = result_bases(options.results_dir)
    paths = SweepPaths(bases[0], sweep_id.split("/")[-1])
    if options.storage is None or not shared(options.storage):
        if not is_logged_in():
            raise unknown(sweep_id, bases, option)
        server = ServerLog(sweep_id, None, options, option)
        return Steered(paths, None, server, has_folder=False, told=server.told)
    from ..plan.checks import storage_wanted

    storage = storage_wanted(options.storage)
    _, launch, _ = _in_database(storage, paths.sweep_id).join(option)
    return Steered(paths, launch, order_log(paths, storage), storage, has_folder=False)


def _in_database(storage: str | None, sweep_id: str) -> SharedSweep:
    """Opens the sweep in the database that its machines share."""
    from ...search.storage.shared_sweep import SharedSweep  # imports SQLAlchemy, which takes a while

    assert storage is not None
    return SharedSweep(storage, sweep_id)


def unknown(sweep_id: str, bases: Sequence[Path], option: str) -> ConfigError:
    """Makes the error about a sweep that is not known."""
    looked = ", ".join(str(base / "sweep") for base in bases)
    return ConfigError(
        f"{option} {sweep_id}: no such sweep (looked in {looked}; --results_dir names another folder; {why_not_asked()})"
    )
