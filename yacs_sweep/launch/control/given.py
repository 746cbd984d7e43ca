"""Checks what an order says against the sweep that it is for, and makes the order."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...base.errors import ConfigError
from ...base.wording import counted
from ...base.yaml_document import Document
from ...records.control.added import count_known
from ...records.control.orders import Act, Order, new_order
from ...records.progress import count_settled
from ...search.storage.order_log import order_log
from .find import Steered
from .on_server import no_folder

Points = str | Document | Sequence[Mapping[str, Any]]  # a file, YAML that was typed, or the points


def plain_order(act: Act, by: str) -> Callable[[Steered], Order]:
    """Returns the function that makes an order that says nothing more: pause, resume, stop, cancel."""
    return lambda sweep: new_order(act, by)


def stop_trial_order(name: str, by: str, option: str = "--stop-trial") -> Callable[[Steered], Order]:
    """Returns the function that makes the order to end a trial, which must run."""

    def make(sweep: Steered) -> Order:
        return new_order("stop_trial", by, trial=_running_trial(sweep, name, option))

    return make


def _running_trial(sweep: Steered, given: str, option: str) -> str:
    """Finds the name of the trial that `given` names, as for `--logs`.

    Raises:
        ConfigError: the sweep has no such trial, or it does not run.
    """
    from ...show.query.sweeps import find_trial, listing_command  # few orders need it

    if sweep.launch is None:
        raise ConfigError(no_folder(sweep.sweep_id))
    label = f"{option} {given}"
    record = find_trial(sweep.records(), given, label, listing_command(sweep.sweep_id, sweep.results_dir))
    if record.state != "running":
        which = f"{record.name} " if record.name != given else ""
        raise ConfigError(f"{label}: {which}does not run, it is {record.state}; there is nothing to stop")
    return record.name


def workers_order(number: int, by: str, *, now: bool, option: str = "--set-workers") -> Callable[[Steered], Order]:
    """Returns the function that makes the order to have so many workers on the machine whose launch it is for."""
    return lambda sweep: new_order("set_workers", by, workers=number, now=now, **_host(sweep, option))


def gpus_order(gpus: str, by: str, *, now: bool, option: str = "--set-gpus") -> Callable[[Steered], Order]:
    """Returns the function that makes the order to use these GPUs on the machine whose launch it is for.

    Raises:
        ConfigError: a name is empty, or stands twice.
    """
    names = [name.strip() for name in gpus.split(",")]
    if not all(names):
        raise ConfigError(f"{option} {gpus}: names no GPU between two commas, or at an end; write 0,1")
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ConfigError(f"{option} {gpus}: names GPU {twice} twice")
    return lambda sweep: new_order("set_gpus", by, gpus=names, now=now, **_host(sweep, option))


def _host(sweep: Steered, option: str) -> dict[str, str]:
    """Returns the machine that an order about workers is for: this one, else the only one that works on the sweep."""
    from socket import gethostname

    hosts = sweep.hosts
    if not sweep.has_folder:
        raise ConfigError(no_folder(sweep.sweep_id))
    if len(hosts) > 1 and hosts[0] != gethostname():
        raise ConfigError(
            f"{option}: {', '.join(hosts)} work on sweep {sweep.sweep_id}; give the order on the one that it is for"
        )
    return {"host": hosts[0] if hosts else gethostname()}


def count_order(number: int, by: str, option: str = "--set-count") -> Callable[[Steered], Order]:
    """Returns the function that makes the order to have so many trials in the whole sweep; of a grid, all of it at most."""

    def make(sweep: Steered) -> Order:
        count = sweep.spec.at_most(number) if sweep.controller == "local" else number
        if count < number:
            which = "grid has" if count == sweep.spec.grid_trials else "run_cap is"
            sweep.notes.append(
                f"{option} {number}: the {which} {count}, so the sweep has {counted(count, 'trial')} in all"
            )
        done = 0 if sweep.launch is None else count_settled(sweep.records(), sweep.launch.retry)
        if done >= count:
            are = "is" if done == 1 else "are"
            sweep.notes.append(f"{counted(done, 'trial')} {are} done already, so no further one starts")
        return new_order("set_count", by, count=count)

    return make


def points_order(source: Points, by: str, option: str = "--add-points") -> Callable[[Steered], Order]:
    """Returns the function that makes the order to try these points next; they must fit the sweep."""

    def make(sweep: Steered) -> Order:
        if sweep.controller == "wandb":
            raise ConfigError(f"{option}: the W&B server chooses the points of sweep {sweep.sweep_id}, and takes none")
        spec = sweep.spec
        if spec.method == "grid":
            raise ConfigError(f"{option}: sweep {sweep.sweep_id} is a grid search, which tries every point")
        if spec.scheduler is not None:
            raise ConfigError(f"{option}: the scheduler of sweep {sweep.sweep_id} chooses its points, and takes none")
        from ...search.warm_start import read_points  # imports Optuna, which takes half a second

        points = read_points(source, spec, _keys(sweep), random.randrange(1 << 30), option)
        # `sweep.log` is read for its new entries, and `give` wants them all.
        entries = order_log(sweep.paths, sweep.storage).read()
        if known := count_known(points, entries, sweep.records()):
            sweep.notes.append(
                f"warning: {known} of {counted(len(points), 'point')} {'is' if known == 1 else 'are'} known already, "
                "tried or waiting; each is tried once more"
            )
        return new_order("add_points", by, points=[dict(point) for point in points])

    return make


def _keys(sweep: Steered) -> Callable[[str], str]:
    """Returns the function that maps a parameter to the trainer's key: to itself where the trainer is not known."""
    from ...trainers.choose import choose_profile
    from ...trainers.overrides import Overrides

    if sweep.launch is None:
        return lambda name: name
    try:
        return Overrides(choose_profile(sweep.launch.trainer, sweep.spec, Path(sweep.launch.cwd)), None).key_for
    except (ConfigError, OSError):
        return lambda name: name
