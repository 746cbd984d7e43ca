"""Finds the sweeps that an order is for, and the list that keeps their orders."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ...base.errors import ConfigError
from ...records.alive import Launcher, launchers
from ...records.control.order_file import OrderFile
from ...records.control.orders import OrderLog
from ...records.folder import SweepPaths
from ...records.known_sweeps import BATCH, batch_rows, find, find_bases, refuse_unwritable, result_bases
from ...records.launch_file import read_launch
from ...wandb.login import is_logged_in, why_not_asked
from ..options.table import Options
from .on_server import ServerLog


@dataclass(frozen=True)
class Steered:
    """Holds a sweep that takes orders."""

    sweep_id: str
    controller: str  # local, wandb
    log: OrderLog
    paths: SweepPaths | None = None  # its folder on this machine
    answers: bool = True  # whether its log has what launches answer
    told: list[str] = field(default_factory=list)  # lines about what has become of orders on the W&B server

    def launches(self) -> list[Launcher]:
        """Lists the launches that work on the sweep, as far as its folder tells."""
        return [] if self.paths is None else launchers(self.paths)

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
        return [
            found for name, base in _batch(sweep_id, options, option) for found in _one(name, base, options, option)
        ]
    return _one(sweep_id, options.results_dir, options, option)


def _batch(batch_id: str, options: Options, option: str) -> list[tuple[str, str]]:
    """Lists id and results folder of each sweep of a batch."""
    bases = result_bases(options.results_dir)
    for base in find_bases(batch_id, bases, option, remembered=not options.results_dir):
        paths = SweepPaths(base, batch_id)
        if paths.summary.is_file():
            return [(str(row["sweep_id"]), str(row["base"])) for row in batch_rows(paths)]
    raise unknown(batch_id, bases, option)


def _one(sweep_id: str, results_dir: str | None, options: Options, option: str) -> list[Steered]:
    """Finds one sweep."""
    paths = find(sweep_id, results_dir, option)
    if paths is None and options.controller != "local" and is_logged_in():
        server = ServerLog(sweep_id, None, options, option)
        return [Steered(sweep_id.split("/")[-1], "wandb", server, answers=False, told=server.told)]
    if paths is None:
        raise unknown(sweep_id, result_bases(results_dir), option)
    refuse_unwritable(paths, (paths.dir, paths.agents, paths.control))
    controller = str(read_launch(paths).get("controller") or "local")
    if controller == "wandb":
        server = ServerLog(sweep_id, paths, options, option)
        return [Steered(paths.sweep_id, controller, server, paths, told=server.told)]
    return [Steered(paths.sweep_id, controller, OrderFile(paths), paths)]


def unknown(sweep_id: str, bases: Sequence[Path], option: str) -> ConfigError:
    """Makes the error about a sweep that is not known."""
    looked = ", ".join(str(base / "sweep") for base in bases)
    return ConfigError(
        f"{option} {sweep_id}: no such sweep (looked in {looked}; --results_dir names another folder; {why_not_asked()})"
    )
