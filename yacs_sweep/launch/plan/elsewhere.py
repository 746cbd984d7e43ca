"""Finds a sweep that has no folder on this machine: it was made on another one, or with W&B's own tools."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from ...base.errors import ConfigError, Problems
from ...base.wording import one_line
from ...records.known_sweeps import result_bases
from ...records.launch_file import LaunchFile
from ...search.storage.url import shared
from ...spec.read_sweep import sweep_from_dict
from ...spec.sweep import SweepSpec
from ...spec.sweep_files import with_numbers
from ...trainers.function import FunctionProfile, function_problems
from ...wandb.judged_here import KEYS, with_judged
from ...wandb.login import is_logged_in, why_not_asked
from ...wandb.sweeps import RemoteSweep, look_up
from ..agent_run import is_ours
from ..control.ordered import with_orders
from ..options.table import Options
from .checks import storage_wanted
from .consent import Description, agreed
from .plan import new_paths
from .portable import SharedInputs, with_inputs
from .retry import with_trials
from .source import Source
from .trainer import Trainer, choose_trainer

# What a sweep's description on the W&B server may say; where its results go is not among it.
FROM_SERVER = (
    *("name", "method", "metric", "metrics", "scheduler", "parameters", "early_terminate", "run_cap"),
    *("program", "command"),
)


def elsewhere_source(sweep_id: str, options: Options, option: str = "--sweep_id", *, ended_too: bool = False) -> Source:
    """Returns the source of a sweep in a database or on the W&B server.

    Args:
        option: what the user named the sweep with.
        ended_too: whether a sweep that takes no more trials will do.

    Raises:
        ConfigError: there is no such sweep, or it cannot be worked on from here.
    """
    if options.storage and options.controller != "wandb" and shared(options.storage):
        return _in_database(sweep_id, options, option)
    if options.controller == "local" or (options.controller == "auto" and not is_logged_in()):
        looked, why = ", ".join(str(base / "sweep") for base in result_bases(options.results_dir)), why_not_asked()
        raise ConfigError(
            f"{option} {sweep_id}: no such sweep (looked in {looked}; --results_dir names another folder; {why})"
        )
    return _on_server(sweep_id, options, option, ended_too=ended_too)


def remote_sweep(
    sweep_id: str, options: Options, last: LaunchFile | None, option: str = "--sweep_id", *, ended_too: bool
) -> RemoteSweep:
    """Asks the W&B server for the sweep, which must still take trials unless `ended_too`."""
    project = options.project or (last.project if last else None) or os.environ.get("WANDB_PROJECT")
    entity = options.entity or (last.entity if last else None) or os.environ.get("WANDB_ENTITY")
    remote = look_up(sweep_id, project, entity, option)
    if remote.over and not ended_too:
        raise ConfigError(
            f"--sweep_id {sweep_id}: the sweep is {remote.state.lower()} on the W&B server; --resume {sweep_id} opens it again"
        )
    return remote


def _on_server(sweep_id: str, options: Options, option: str, *, ended_too: bool) -> Source:
    """Returns the source of a sweep of the W&B server."""
    if options.retry_failed:
        raise ConfigError(
            f"--retry-failed: the trials of sweep {sweep_id} are not on this machine; give it where they ran, or --results_dir"
        )
    remote = remote_sweep(sweep_id, options, None, option, ended_too=ended_too)
    # Who joins takes what the server gives out, a trial for each point; who trains the best takes what was found.
    config = with_judged(remote.config) if ended_too else remote.config
    content = {key: value for key, value in config.items() if key in (*FROM_SERVER, *(KEYS if ended_too else ()))}
    if is_ours(content.get("command")):
        content = {key: value for key, value in content.items() if key not in ("program", "command")}
    described = Description("on the W&B server", sweep_from_dict(with_numbers(content), f"W&B sweep {remote.id}"))
    options, described, notes = agreed(f"{option} {sweep_id}", described, options)
    spec = _with_results(described.spec, options)
    paths = new_paths(spec, remote.id)
    return Source(options, "wandb", spec=spec, paths=paths, remote=remote, resumed=True, notes=notes)


def _in_database(sweep_id: str, options: Options, option: str) -> Source:
    """Returns the source of a sweep in a database of many machines."""
    from ...search.storage.shared_sweep import SharedSweep  # imports SQLAlchemy, which takes a while

    storage = storage_wanted(options.storage)
    assert storage is not None
    sweep_id = sweep_id.split("/")[-1]
    sweep = SharedSweep(storage, sweep_id)
    try:
        spec, last, content = sweep.join(option)
        inputs = SharedInputs() if content is None else SharedInputs.parse(content)
        records, orders = sweep.records(), sweep.orders()
    except (TypeError, KeyError, ValueError) as error:
        raise ConfigError(
            f"{option} {sweep_id}: its inputs in the database cannot be read: {one_line(error)}"
        ) from None
    finally:
        sweep.database.engine.dispose()
    if found := function_problems(options.trainer, last.trainer, None):
        raise ConfigError(found)
    last = replace(last, record=None)  # where others could have our trials recorded
    told = Description("in the database", spec, last, inputs.starts())
    given, described, notes = agreed(f"{option} {sweep_id}", told, options)
    assert described.launch is not None
    spec = _with_results(described.spec, given)
    inputs = inputs if described is told else SharedInputs()  # part of what the user agrees to
    launch = _in_this_folder(described.launch, spec, given, inputs)
    source = Source(
        given,
        "local",
        spec=spec,
        launch=launch,
        trainer=_checked_trainer(given, spec, launch, inputs),
        paths=new_paths(spec, sweep_id),
        storage=storage,
        resumed=True,
        progress=f"joining sweep {sweep_id}",
        notes=notes,
    )
    return with_trials(with_orders(source, orders, records), records)


def _with_results(spec: SweepSpec, options: Options) -> SweepSpec:
    return replace(spec, results_dir_base=options.results_dir) if options.results_dir else spec


def _checked_trainer(options: Options, spec: SweepSpec, launch: LaunchFile, inputs: SharedInputs) -> Trainer | None:
    """Returns the trainer that the database's inputs describe; None where there are none, so that it is yet to be chosen."""
    if not inputs:
        return None
    problems, cwd = Problems(), Path.cwd()
    trainer = choose_trainer(problems, options, spec, launch, cwd)
    problems.end()
    assert trainer is not None
    return with_inputs(trainer, inputs, cwd)


def _in_this_folder(last: LaunchFile, spec: SweepSpec, options: Options, inputs: SharedInputs) -> LaunchFile:
    """Returns the launch as it would be in this folder: paths in a database are relative to the trainer's checkout.

    Raises:
        ConfigError: the configuration file is not here, and none is given.
    """
    last = replace(last, cwd=str(Path.cwd()), python=None, code=None, search=spec.fingerprint)  # each machine's own
    last = inputs.placed(last) if inputs else last
    config = last.config_file
    if config is not None and options.config_file is None:
        if not Path(config).is_file():
            raise ConfigError(
                f"--config_file: the sweep's is {config}, which is not below this folder; start in the trainer's "
                "checkout, or give --config_file"
            )
        config = str(Path(config).resolve())
    named = None if isinstance(options.trainer, FunctionProfile) else options.trainer
    # Each machine keeps its own trials' checkpoints as it is asked to.
    return replace(last, config_file=config, trainer=named or last.trainer, keep="all")
