"""Going on with a sweep that is there, checked in full before anything is done: from its folder, the W&B server or a
database."""

from __future__ import annotations

import os
import shlex
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from ...base.errors import ConfigError, Problems
from ...records.folder import SweepPaths
from ...records.known_sweeps import find, find_sweep, result_bases
from ...records.launch_file import LaunchFile, load_spec_of
from ...search.storage.url import shared
from ...search.warm_start import WarmStart
from ...spec.read_sweep import sweep_from_dict
from ...spec.sweep import SweepSpec
from ...trainers.choose import config_file, interpreter, trainer_of, trainer_wanted
from ...trainers.function import FunctionProfile, function_problems
from ...trainers.overrides import Overrides, check_parameters
from ...trainers.own_command import SWEEP_FILE, names_trainer
from ...trainers.profile import TrainerProfile
from ...wandb.login import is_logged_in, no_login
from ...wandb.recorder import unsent
from ...wandb.sweeps import RemoteSweep, look_up
from ..engines import engine_problems
from ..options import Options
from .checks import cap_note, capped, keep_problems, layout_notes, masked, read_layout, read_warm_start, storage_wanted
from .new import checked_plan
from .plan import Plan, new_paths


def joined(sweep_id: str, options: Options, url: str, option: str) -> tuple[Options, SweepSpec, LaunchFile, int]:
    """What `--sweep_id ID --storage URL` (or another `option`) stands for on a machine that has no folder of the sweep: the
    options as if they had been given here, the sweep, how it was launched, and how many of its trials are done.

    Raises:
        ConfigError: the database does not know the sweep, or this machine lacks a file it needs.
    """
    from ...search.storage.shared_sweep import SharedSweep  # imports SQLAlchemy, which takes a while

    sweep = SharedSweep(url, sweep_id.split("/")[-1])
    try:
        spec, launch = sweep.join(option)
        settled = sweep.settled()
    finally:
        sweep.database.engine.dispose()
    given = replace(
        options,
        config_file=options.config_file or launch.config_file,
        trainer=options.trainer or launch.trainer,
        trailing=options.trailing or list(launch.trailing),
        seed=launch.seed,
        wandb_mode=options.wandb_mode or launch.wandb_mode,
    )
    if given.config_file and not options.config_file and not Path(given.config_file).is_file():
        raise ConfigError(
            f"--config_file: the sweep's is {given.config_file}, which is not below this folder; start in the trainer's "
            "checkout, or give --config_file"
        )
    if options.results_dir:
        spec = replace(spec, results_dir_base=options.results_dir)
    return given, spec, launch, settled


# What a sweep's description on the W&B server may say; where its results go is not among it.
FROM_SERVER = ("name", "method", "metric", "parameters", "early_terminate", "run_cap", "program", "command")


def remaining(target: int, settled: int, grid_size: int | None) -> int:
    """Trials to go when a sweep is resumed without --count: what the last launch was asked for and did not get to; the
    rest of the grid if it got to everything."""
    wanted = target if settled < target or grid_size is None else grid_size
    return max(0, wanted - settled)


def resume_plan(options: Options) -> Plan:
    """Going on with an existing sweep: what is not given again is as it was.

    Raises:
        ConfigError: the sweep is not known or has ended, or the options contradict it.
    """
    sweep_id = options.sweep_id
    assert sweep_id is not None
    problems = Problems()
    if clash := options.refused_beside("sweep_id"):
        problems.found.append(f"{', '.join(clash)}: --sweep_id goes on with a sweep as it was described; leave it out")
    problems.attempt(lambda: find_sweep(sweep_id, []))
    layout = problems.attempt(lambda: read_layout(options))
    problems.end()
    assert layout is not None
    paths = find(sweep_id, options.results_dir)
    if paths is None:
        return plan_elsewhere(sweep_id, options)
    old, spec = known_sweep(paths)
    if options.controller not in ("auto", old.controller):
        raise ConfigError(
            f"--controller {options.controller}: sweep {paths.sweep_id} belongs to the {old.controller} controller"
        )
    owed = old.controller == "wandb" and unsent(paths)
    remote = _remote(sweep_id, options, old, ended_too=owed) if old.controller == "wandb" else None
    storage = _storage(options, old, paths) if old.controller == "local" else None
    problems.found += engine_problems(options, old.controller, storage)
    problems.found += function_problems(options.trainer, old.trainer, paths)
    trainer, config, python = _resumed_trainer(problems, options, old, spec)
    problems.end()
    assert trainer is not None
    profile, overrides, words, values = trainer
    problems.found += check_parameters(spec, overrides) + keep_problems(options.keep, profile)
    problems.end()
    found = list(paths.scan())
    damaged = [f"{path}: cannot be read; its trial is missing" for path, record in found if record is None]
    settled = sum(record.settled for _, record in found if record is not None)
    if storage is not None and shared(storage):
        from ...search.storage.shared_sweep import SharedSweep

        sweep = SharedSweep(storage, paths.sweep_id)
        sweep.join("--sweep_id")  # which it must know: it learns nothing from folders
        settled = sweep.settled()
    count = options.count if options.count else remaining(old.target, settled, spec.grid_size)
    count = capped(count, spec.run_cap, settled)
    ended = remote is not None and remote.over
    if ended or (not options.count and target_reached(spec, paths)):
        count = 0
    warm, learned = WarmStart(), tuple[str, ...]()
    if old.controller == "local":
        warm, learned = read_warm_start(problems, options, spec, overrides, old.seed)
        problems.end()
    launch = replace(
        old,
        config_file=config,
        python=python,
        trailing=tuple(words),
        storage=masked(storage),
        wandb_mode=options.wandb_mode or old.wandb_mode,
        # Of what was asked for, nothing is forgotten; but the engine's launchers are told by it what they are to do.
        target=max(old.target if options.engine == "local" else 0, settled + count),
        keep=options.keep or old.keep,
    )
    if options.optimize:
        spec = replace(spec, optimize=options.optimize)
    going_on = f"going on with sweep {paths.sweep_id}: {settled} trials done, {count} to go"
    if remote is not None and ended:
        going_on = (
            f"the sweep is {remote.state.lower()} on the W&B server, which lacks rows of some trials: they are sent"
        )
    notes = (going_on, *damaged, *learned, *cap_note(spec, options.count, settled), *layout_notes(layout))
    plan = Plan(spec, launch, profile, overrides, values, count, paths=paths, remote=remote, notes=notes)
    return replace(plan, warm=warm, storage=storage, layout=layout, resumed=True)


def known_sweep(paths: SweepPaths) -> tuple[LaunchFile, SweepSpec]:
    """How a sweep was launched, and what it searches. Its trials start where it was launched, or here where that folder
    is gone (a project that was moved).

    Raises:
        ConfigError: a file is damaged, or the search has been changed.
    """
    old, spec = LaunchFile.load(paths), load_spec_of(paths)
    if old.search not in (None, spec.fingerprint):
        raise ConfigError(
            f"{paths.spec}: its method, parameters or conditions were changed after trials had been given out by them; "
            "undo that, or start a new sweep"
        )
    return (old if os.path.isdir(old.cwd) else replace(old, cwd=str(Path.cwd()))), spec


def storage_given(options: Options, old: LaunchFile) -> str | None:
    """The storage the user means for a sweep that is there; what the environment names is meant for others, too."""
    return None if options.storage_of_environment and not shared(old.storage) else options.storage


def _storage(options: Options, old: LaunchFile, paths: SweepPaths) -> str | None:
    """The URL of the storage a sweep goes on with. Another file or database of this machine learns of its trials from
    their folders; one of many machines would not.

    Raises:
        ConfigError: it is not the sweep's.
    """
    given = storage_given(options, old)
    if given is not None and shared(given) != shared(old.storage):
        raise ConfigError(f"--storage: sweep {paths.sweep_id} is kept in {old.storage or paths.journal}; leave it out")
    return storage_wanted(given, old)


def target_reached(spec: SweepSpec, paths: SweepPaths) -> bool:
    """Whether a finished trial of the sweep has reached its metric's target."""
    metric = spec.metric
    if metric is None or metric.target is None:
        return False
    return any(
        record.state == "finished" and record.value is not None and metric.reached(record.value)
        for record in paths.records()
    )


def resumed_trainer(
    options: Options, old: LaunchFile, spec: SweepSpec
) -> tuple[tuple[TrainerProfile, Overrides, list[str], dict[str, Any]], str | None, str | None]:
    """The trainer of an existing sweep, its configuration file and interpreter. Raises ConfigError."""
    problems = Problems()
    trainer, config, python = _resumed_trainer(problems, options, old, spec)
    problems.end()
    assert trainer is not None
    return trainer, config, python


def _resumed_trainer(
    problems: Problems, options: Options, old: LaunchFile, spec: SweepSpec
) -> tuple[tuple[TrainerProfile, Overrides, list[str], dict[str, Any]] | None, str | None, str | None]:
    config = old.config_file
    if options.config_file is not None:
        config = problems.attempt(lambda: config_file(options.config_file, None)) or config
    python = problems.attempt(lambda: interpreter(options.python)) or old.python
    words = options.trailing or list(old.trailing)
    named = options.trainer if isinstance(options.trainer, FunctionProfile) else old.trainer
    if config is not None and not os.path.isfile(config):
        problems.found.append(f"--config_file: the sweep's is {config}, which is not there; give --config_file FILE")
        return None, config, python
    load, here = partial(trainer_of, named, spec, Path(old.cwd)), options.engine == "local"
    return trainer_wanted(problems, load, python, config, words, here=here), config, python


def _remote(
    sweep_id: str, options: Options, old: LaunchFile | None, option: str = "--sweep_id", *, ended_too: bool
) -> RemoteSweep:
    """The sweep on the W&B server, which must still take trials unless it is wanted `ended_too`."""
    project = options.project or (old.project if old else None) or os.environ.get("WANDB_PROJECT")
    entity = options.entity or (old.entity if old else None) or os.environ.get("WANDB_ENTITY")
    remote = look_up(sweep_id, project, entity, option)
    if remote.over and not ended_too:
        raise ConfigError(f"--sweep_id {sweep_id}: the sweep is {remote.state.lower()} on the W&B server")
    return remote


def plan_elsewhere(sweep_id: str, options: Options, option: str = "--sweep_id", *, ended_too: bool = False) -> Plan:
    """The sweep `sweep_id`, which has no folder here: it was created on another machine, or with W&B's own tools.

    Args:
        option: what the user named it with.
        ended_too: whether one that takes no more trials will do.
    """
    if options.storage and options.controller != "wandb" and shared(options.storage):
        return _join(sweep_id, options, option)
    if options.controller == "local" or (options.controller == "auto" and not is_logged_in()):
        looked, why = ", ".join(str(base / "sweep") for base in result_bases(options.results_dir)), no_login()
        raise ConfigError(
            f"{option} {sweep_id}: no such sweep (looked in {looked}; --results_dir names another folder; {why})"
        )
    remote = _remote(sweep_id, options, None, option, ended_too=ended_too)
    described = {key: value for key, value in remote.config.items() if key in FROM_SERVER}
    spec = sweep_from_dict(described, f"W&B sweep {remote.id}")
    if options.trainer is None and names_trainer(spec):
        words = shlex.join(spec.command or (str(spec.program),))
        raise ConfigError(
            f"{option} {sweep_id}: what the sweep starts is described on the W&B server, where others can write "
            f"({words[:200]}); --trainer '{SWEEP_FILE}' starts it all the same, --trainer PROFILE another trainer"
        )
    if options.results_dir:
        spec = replace(spec, results_dir_base=options.results_dir)
    plan = checked_plan(options, spec, "wandb", ())
    launch = replace(plan.launch, project=remote.project, entity=remote.entity)
    paths = new_paths(plan, remote.id)
    return replace(plan, launch=launch, remote=remote, paths=paths, fall_back=False, resumed=True)


def _join(sweep_id: str, options: Options, option: str) -> Plan:
    """A sweep in a database, on a machine that has no folder of it."""
    storage = storage_wanted(options.storage)
    assert storage is not None
    given, spec, old, settled = joined(sweep_id, options, storage, option)
    if found := function_problems(options.trainer, old.trainer, None):
        raise ConfigError(found)
    plan = checked_plan(given, spec, "local", ())
    count = options.count if options.count else remaining(old.target, settled, spec.grid_size)
    count = capped(count, spec.run_cap, settled)
    launch = replace(plan.launch, project=old.project, entity=old.entity, target=settled + count)
    sweep_id = sweep_id.split("/")[-1]
    notes = (f"joining sweep {sweep_id}: {settled} trials done, {count} to go", *plan.notes)
    paths = new_paths(plan, sweep_id)
    return replace(plan, launch=launch, count=count, paths=paths, notes=notes, fall_back=False, resumed=True)
