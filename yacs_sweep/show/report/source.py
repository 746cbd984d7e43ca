"""Reads the sweep of a report, from its folder or from the W&B server."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ...base.errors import ConfigError
from ...records.known_sweeps import find, result_bases
from ...records.launch_file import read_launch
from ...wandb.login import is_logged_in, why_not_asked
from .data import Sweep, Trial, read_local


def read(
    sweep_id: str,
    *,
    results_dir: str | None = None,
    source: str = "auto",
    project: str | None = None,
    entity: str | None = None,
) -> tuple[Sweep, Path | None]:
    """Reads a sweep; returns its folder on this machine, too, if there is one.

    A sweep of the W&B server is read from the server where that is possible, as other machines may have run trials.

    Args:
        source: auto, local or wandb.

    Raises:
        ConfigError: no such sweep.
    """
    paths = find(sweep_id, results_dir)
    launch = read_launch(paths) if paths is not None else {}
    remote = source == "wandb" or (source == "auto" and launch.get("controller") == "wandb" and is_logged_in())
    if paths is not None and not remote:
        sweep = read_local(paths)
        if launch.get("controller") == "wandb":
            sweep.notes.append("Read from this machine's folder: trials that other machines ran are missing.")
        return sweep, paths.dir
    if paths is None and (source == "local" or not is_logged_in()):
        looked = ", ".join(str(base / "sweep") for base in result_bases(results_dir))
        login = "" if source == "local" else f"; {why_not_asked()}"
        hint = f"--results_dir names another folder{login}"
        raise ConfigError(f"--sweep_id {sweep_id}: no such sweep (looked in {looked}; {hint})")
    from .remote import read_remote

    local = read_local(paths) if paths is not None else None
    known = local.spec if local is not None else None
    sweep = read_remote(sweep_id, project or launch.get("project"), entity or launch.get("entity"), known)
    if local is not None:
        sweep = replace(
            sweep,
            trials=_known_here(sweep.trials, local.trials),
            spec=local.spec,  # the server's description has no conditions
            launch=local.launch,
            warm=local.warm,
            environment=local.environment,
            seeds=local.seeds,
            orders=local.orders,
            best_files=local.best_files,
            folder=local.folder,
        )
    return sweep, paths.dir if paths is not None else None


def _known_here(trials: list[Trial], local: list[Trial]) -> list[Trial]:
    """Replaces the trials that ran on this machine by those read from their folders, which hold more."""
    here = {trial.record.id: trial for trial in local if trial.record.state != "running"}
    return [replace(here[trial.record.id], url=trial.url) if trial.record.id in here else trial for trial in trials]
