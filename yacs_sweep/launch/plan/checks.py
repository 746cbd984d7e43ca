"""Checks options, machine, storage and parameters before anything is created; mistakes in a sweep file name their place."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from ...base.errors import ConfigError, Problems
from ...base.streams import waiting_for
from ...base.wording import counted, is_text, no_text, show
from ...base.yaml_document import Document, dotted
from ...recorders.targets import takes_files
from ...records.known_sweeps import find_sweep, result_bases
from ...records.launch_file import LaunchFile
from ...search.warm_start import WarmStart, read_points, read_prior
from ...spec.budget.budget import Budget
from ...spec.budget.moments import duration_words, moment_text
from ...spec.grid import LISTED
from ...spec.read_parameters import PARAMETER_KEYS
from ...spec.read_sweep import TOP_KEYS, parameter_path, unwrapped
from ...spec.section import known_key
from ...spec.sweep import SweepSpec
from ...spec.sweep_files import preset_folders, read_sweep_document
from ...trainers.function import FunctionProfile
from ...trainers.overrides import Overrides
from ...trainers.own_command import CommandProfile
from ...trainers.profile import TrainerProfile
from ...trial.gpu_memory import read_gpus
from ...wandb.client_version import client_version, why_untried, why_unusable
from ...wandb.login import base_url
from ..options.table import Options
from ..workers.gpu_places import GpuOptions, Layout, lay_out


def controller_problems(options: Options, controller: str, spec: SweepSpec | None = None) -> list[str]:
    """Lists what the controller cannot follow of the options, and of the sweep where that is known."""
    if controller != "wandb":
        return []
    problems = []
    if spec is not None and spec.method == "custom":
        problems.append(
            "method custom: W&B's server does not search so; use --controller local, or a method of the server's: "
            "grid, random, bayes"
        )
    if spec is not None and spec.pbt is not None:
        problems.append(
            "method pbt: W&B's server cannot pause a run and copy it; use --controller local, or a method of the server's: "
            "grid, random, bayes"
        )
    elif spec is not None and spec.pauses:
        problems.append(
            "early_terminate mode promotion: W&B's server cannot pause a run and resume it; use --controller local, or "
            "leave mode out: the server's hyperband ends runs for good"
        )
    if spec is not None and spec.order != LISTED:
        problems.append(
            f"order: {spec.order}: W&B's server goes through a grid in an order of its own; use --controller local, or "
            "method random"
        )
    if options.storage and not options.storage_of_environment:
        problems.append("--storage: belongs to the local controller; leave it out or use --controller local")
    for option, value in (("--enqueue", options.enqueue), ("--from-sweep", options.from_sweep)):
        if value:
            problems.append(f"{option}: belongs to the local controller; leave it out or use --controller local")
    if options.wandb_mode in ("offline", "disabled"):
        problems.append(f"--wandb-mode {options.wandb_mode}: a W&B sweep needs its server; use --controller local")
    return problems


def repeats_problems(spec: SweepSpec, overrides: Overrides) -> list[str]:
    """Lists why the trainer cannot be given the seeds of `repeats`."""
    repeats, profile = spec.repeats, overrides.profile
    if repeats is None:
        return []
    by_name = isinstance(profile, CommandProfile | FunctionProfile)  # which take any parameter
    if repeats.key is None and profile.seed_key is None and not by_name:
        return [
            f"repeats: the trainer {profile.name} has no alias `{repeats.name}`; name the key that takes the seed, "
            f"`repeats: {{n: {repeats.n}, key: KEY}}`, or add `aliases: {{seed: KEY}}` to its profile"
        ]
    seeds = [repeats.seed_at(0, place) for place in range(repeats.n)]
    problems = overrides.check(repeats.name, seeds)
    problems += overrides.same_key_problems([*(parameter.name for parameter in spec.parameters), repeats.name])
    return [f"repeats: {problem}" for problem in problems]


def read_layout(options: Options) -> Layout:
    """Returns the workers and their GPUs; looks at devices only where the options ask for them.

    Raises:
        ConfigError: the options contradict each other or the machine.
    """
    wanted = GpuOptions(options.workers, options.gpus, options.gpus_per_trial, options.trials_per_gpu)
    if options.engine != "local" or (not wanted.names_gpus and wanted.workers in (None, 1)):
        return Layout(wanted=wanted)  # of an engine's machines nothing is known here
    with waiting_for("the NVIDIA driver to list the GPUs"):
        gpus = read_gpus()
    return replace(lay_out(wanted, gpus, os.environ.get("CUDA_VISIBLE_DEVICES")), wanted=wanted)


def layout_notes(layout: Layout) -> tuple[str, ...]:
    """Tells the workers and their GPUs in a line, unless there is one worker without a place."""
    if layout == Layout():
        return ()
    gpus = " | ".join(",".join(place) for place in layout.places if place)
    each = f", GPUs {gpus}" + (f", {layout.per_place} trials on each" if layout.shared else "") if gpus else ""
    left = f"; left over: {','.join(layout.left_over)}" if layout.left_over else ""
    return (f"{counted(layout.workers, 'worker')}{each}{left}",)


def storage_wanted(given: str | None, old: LaunchFile | None = None) -> str | None:
    """Returns the storage's URL, checked by `shared_sweep.storage_of`; None when neither option nor last launch has one."""
    if given is None and (old is None or old.storage is None):
        return None
    with waiting_for("SQLAlchemy's import and the database's answer (--storage)"):
        from ...search.storage.shared_sweep import storage_of  # imports SQLAlchemy, which takes a while

        return storage_of(given, old)


def masked(storage: str | None) -> str | None:
    """Returns the storage's URL without its password."""
    if storage is None:
        return None
    from ...search.storage.database import masked

    return masked(storage)


def capped(count: int, run_cap: int | None, settled: int = 0) -> int:
    """Limits the trials of one launch: `run_cap` counts those of the sweep's whole life, of which `settled` are done."""
    return count if run_cap is None else max(0, min(count, run_cap - settled))


def grid_limit(spec: SweepSpec, controller: str) -> int | None:
    """Returns the number of trials of a grid; None without one, or where W&B's server gives out more of them than we count."""
    if controller == "wandb" and (spec.where or any(parameter.parent for parameter in spec.parameters)):
        return None
    return spec.grid_trials


def nothing_varies(spec: SweepSpec) -> tuple[str, ...]:
    """Warns in a line of a sweep whose trials are all equal, since no parameter has two values."""
    drawn = "q_uniform" if spec.method != "grid" else ""  # rounded when it is drawn: a single step has two ends
    if any(parameter.choice_count() != 1 or parameter.distribution == drawn for parameter in spec.parameters):
        return ()
    if not spec.parameters or spec.repeats is not None:  # a scheduler's own space; one configuration with several seeds
        return ()
    first = spec.parameters[0]
    mended = f"{first.name}: {{values: [{show(first.type_samples()[0])}, …]}}"
    return (f"warning: nothing varies: every parameter has one value, so all trials are equal; write `{mended}`",)


def cap_note(spec: SweepSpec, controller: str, wanted: int | None, settled: int) -> tuple[str, ...]:
    """Tells in a line that the sweep has, or its run_cap allows, fewer trials than --count asks for."""
    if wanted is None:
        return ()
    left = capped(wanted, spec.run_cap, settled)
    limit = grid_limit(spec, controller)
    if limit is not None and limit - settled < left:
        noun = "trial" if spec.repeats else "point"
        return (f"--count {wanted}: the grid has {counted(max(0, limit - settled), noun)} left",)
    return (f"--count {wanted}: the sweep's run_cap allows {counted(left, 'more trial')}",) if left < wanted else ()


def read_warm_start(
    problems: Problems, options: Options, spec: SweepSpec, overrides: Overrides, seed: int
) -> tuple[WarmStart, tuple[str, ...]]:
    """Reads what --enqueue and --from-sweep give the search; returns it and lines for the user."""
    notes: tuple[str, ...] = ()
    points: tuple[dict[str, Any], ...] | None = ()
    enqueue, prior_sweep = options.enqueue, options.from_sweep
    if enqueue and spec.method == "grid":
        problems.found.append("--enqueue: a grid search tries every point; use it with method random or bayes")
    elif enqueue:
        points = problems.attempt(lambda: read_points(enqueue, spec, overrides.key_for, seed))
        source = f" of {enqueue}" if isinstance(enqueue, str) else ""
        notes += (f"tried first: {counted(len(points or ()), 'point')}{source}",)
    prior = None
    if prior_sweep and (spec.method not in ("bayes", "custom") or spec.scheduler is not None):
        problems.found.append(
            f"--from-sweep: only bayes search can use it, and the method is {spec.method}; add --method bayes"
        )
    elif prior_sweep:
        project, entity = spec.project or os.environ.get("WANDB_PROJECT"), spec.entity or os.environ.get("WANDB_ENTITY")
        find = lambda name: find_sweep(name, result_bases(options.results_dir), "--from-sweep")  # noqa: E731
        prior = problems.attempt(lambda: read_prior(prior_sweep, spec, find, (project, entity)))
    if prior is not None:
        notes += (prior[1],)
    return WarmStart(points or (), prior[0] if prior else ()), notes


def budget_problems(options: Options, spec: SweepSpec, layout: Layout | None) -> list[str]:
    """Lists why the sweep cannot be kept within its budget: a moment that has passed, GPU hours that nobody counts."""
    budget, problems = budget_of(options, spec), []
    if budget.until is not None and budget.until <= datetime.now().astimezone():
        problems.append(
            f"budget: until {moment_text(budget.until)} has passed; --until MOMENT gives more time, --until none any time"
        )
    wanted = GpuOptions(options.workers, options.gpus, options.gpus_per_trial, options.trials_per_gpu)
    given = any(layout.places) if options.engine == "local" and layout is not None else wanted.names_gpus
    if budget.gpu_hours is not None and not given:
        problems.append(
            "--max-gpu-hours: counts the GPUs that the launcher gives to trials, and it gives none here; name them, as in "
            "--gpus 0"
        )
    return problems


def budget_notes(options: Options, spec: SweepSpec) -> tuple[str, ...]:
    """Tells in a line when the sweep's time is up; none without a budget."""
    budget = budget_of(options, spec)
    limits = [
        *([f"until {moment_text(budget.until)}"] if budget.until is not None else []),
        *([f"{duration_words(budget.seconds)} of running"] if budget.seconds is not None else []),
        *([f"{budget.gpu_hours:g} GPU hours"] if budget.gpu_hours is not None else []),
    ]
    return (f"budget of the whole sweep: {', '.join(limits)}",) if limits else ()


def budget_of(options: Options, spec: SweepSpec) -> Budget:
    """Returns the budget that holds for a launch."""
    return (spec.budget or Budget()).with_options(options.run_for, options.until, options.max_gpu_hours)


def results_problems(spec: SweepSpec) -> list[str]:
    """Lists why results cannot be written where they belong, as far as can be known without writing."""
    base = Path(spec.results_dir_base).expanduser().resolve()
    if not is_text(str(base)):
        return [no_text("results folder", str(base))]
    there = next(path for path in (base, *base.parents) if path.exists())
    if not there.is_dir():
        return [f"results folder {base}: {there} is a file; choose another folder with --results_dir DIR"]
    if not os.access(there, os.W_OK | os.X_OK):
        return [f"results folder {base}: {there} cannot be written to; choose another folder with --results_dir DIR"]
    return []


def log_model_problems(options: Options, launch: LaunchFile) -> list[str]:
    """Lists why the best trial cannot be logged as `--log-model` says."""
    if not options.log_model or launch.controller == "wandb" or takes_files(launch.record or ()):
        return []
    if options.wandb_off:
        return ["--log-model: WANDB_MODE=disabled is set; unset it, or give --wandb-mode offline or online"]
    if launch.wandb_mode == "disabled":
        return ["--log-model: W&B is disabled for this sweep; give --wandb-mode offline or online"]
    return []


def opens_runs(options: Options, launch: LaunchFile) -> bool:
    """Tells whether trials are recorded as W&B runs."""
    return launch.controller == "wandb" or not (options.wandb_off or launch.wandb_mode == "disabled")


def client_problems(options: Options, launch: LaunchFile) -> list[str]:
    """Lists why W&B's client cannot open the runs that it is asked for.

    Of a client that is too old, creating a sweep on the server says so by itself.
    """
    if not opens_runs(options, launch):
        return []
    try:
        base_url()
    except ConfigError as error:
        return [str(error)]
    asked = f"--wandb-mode {options.wandb_mode}" if options.wandb_mode else "--log-model" if options.log_model else None
    why = why_unusable(client_version()) if asked and launch.controller != "wandb" else None
    return [f"{asked}: {why}"] if why else []


def client_notes(options: Options, launch: LaunchFile) -> list[str]:
    """Returns the line about a W&B client with which there are no runs, or which has not been tried."""
    if not opens_runs(options, launch):
        return []
    version = client_version()
    why = why_unusable(version)
    if launch.controller != "wandb" and why:
        return [f"no W&B runs: {why}; each trial's rows are in its metrics.jsonl"]
    untried = why_untried(version) if version else None
    return [f"warning: {untried}"] if untried else []


def keep_problems(keep: str | None, profile: TrainerProfile) -> list[str]:
    """Lists why checkpoints cannot be kept as `--keep` says."""
    if keep in (None, "all") or profile.checkpoints:
        return []
    return [f"--keep {keep}: the trainer {profile.name} has no `checkpoints:` in its profile, such as ['*.pth']"]


def sweep_document(options: Options) -> Document | None:
    """Reads the sweep file as it is written; None without one, or when it cannot be read."""
    if not options.sweep_config:
        return None
    try:
        return unwrapped(read_sweep_document(options.sweep_config[0], preset_folders()))
    except ConfigError:
        return None


def names_own_trainer(options: Options) -> bool:
    """Whether a sweep file that is wrong otherwise says what to start, or may say it: it cannot be read."""
    document = sweep_document(options)
    if document is None or not isinstance(document.data, dict):
        return bool(options.sweep_config) and options.config_file is None
    return bool({"program", "command"} & {known_key(key, TOP_KEYS) for key in document.data})


def placed_problems(options: Options, overrides: Overrides, spec: SweepSpec | None) -> list[str]:
    """Lists mistakes in parameters with their place in the sweep file.

    Of a file that is wrong in other ways (`spec` is None), the names alone are checked.
    """
    document = sweep_document(options)
    if document is None and options.sweep_config:
        return []  # whoever reads the file reports it
    data = document.data if document is not None and isinstance(document.data, dict) else {}
    top = next((key for key in data if key.lower() == "parameters"), "parameters")
    written = data[top] if isinstance(data.get(top), dict) else {}
    if spec is None:
        plain = {name for name, body in written.items() if not isinstance(body, dict) or "parameters" not in body}
        values: dict[str, tuple[Any, ...]] = {str(name): () for name in written if name in plain - {*PARAMETER_KEYS}}
    else:
        values = {item.name: item.type_samples() for item in spec.parameters}
    problems = []
    for name, samples in values.items():
        path = parameter_path(document, name, (top,)) if document else ()
        option = _option_of(options, name, in_file=document is not None and path in document.places)
        texts = document.plain_texts(path) if document and option is None else None
        for problem in overrides.check(name, samples, texts):
            if option is not None:
                problems.append(f"{option}: {problem}{_alias_hint(option, name, overrides.profile)}")
            elif document and path in document.places:
                told = problem.removeprefix(f"{name}: ") if dotted(path).endswith(f".{name}") else problem
                problems.append(document.message(path, told + _missing_alias(name, overrides)))
            else:
                problems.append(problem)
    return problems + overrides.same_key_problems(values)


def _missing_alias(name: str, overrides: Overrides) -> str:
    """Says in which file an alias is added that profiles usually have and this one lacks; empty for other names."""
    profile, schema = overrides.profile, overrides.schema
    if name not in USUAL_ALIASES or name in profile.aliases or (schema is not None and name in schema.values):
        return ""
    return f"; the alias `{name}: KEY` in {profile.path} would name the key"


USUAL_ALIASES = (
    *("base_lr", "weight_decay", "warmup_factor", "warmup_iters", "warmup_epochs", "margin"),
    *("ims_per_batch", "max_epochs", "max_iter", "seed"),
)
_OF_OPTIONS = {"base_lr": "lr_values", "weight_decay": "wd_values"}  # options that give a parameter of this name


def _option_of(options: Options, name: str, *, in_file: bool) -> str | None:
    """Returns the option that gives a parameter; None where the sweep file does."""
    option = _OF_OPTIONS.get(name)
    if option is not None and getattr(options, option) is not None:
        return Options.flag(option)
    return "--custom_params" if options.custom_params and not in_file else None


def _alias_hint(option: str, name: str, profile: TrainerProfile) -> str:
    """Says which alias an option needs that names no key itself; empty for others."""
    if name not in _OF_OPTIONS or option != Options.flag(_OF_OPTIONS[name]) or name in profile.aliases:
        return ""
    return f"; {option} needs the alias `{name}: KEY` in {profile.path}, or write --custom_params '{{\"KEY\": […]}}'"


def given_gpus_win(trailing: Mapping[str, Any], overrides: Overrides, layout: Layout) -> tuple[str, ...]:
    """Warns of KEY VALUE words that choose GPUs where each trial is given its own.

    Args:
        trailing: what the words set, by the trainer's key.
    """
    chosen = overrides.profile.gpu_key
    if chosen is None or chosen.key not in trailing or not layout.places[0]:
        return ()
    return (f"warning: {chosen.key} {show(trailing[chosen.key])} has no effect: each trial is given its own GPUs",)


def words_without_effect(trailing: Mapping[str, Any], spec: SweepSpec, overrides: Overrides) -> tuple[str, ...]:
    """Warns of words for every trial whose key the search, or `repeats`, sets as well.

    Args:
        trailing: what the words set, by the trainer's key.
    """
    main_name = overrides.schema.main_name if overrides.schema is not None else str

    def key_of(name: str) -> str:
        return main_name(overrides.key_for(name)).lstrip("+")

    searched = {key_of(parameter.name) for parameter in spec.parameters}
    seed = key_of(spec.repeats.name) if spec.repeats else None
    again = tuple(
        f"warning: {key} {show(value)} has no effect: `repeats` sets {key}; leave one of the two out"
        for key, value in trailing.items()
        if key == seed
    )
    return again + tuple(
        f"warning: {key} {show(value)} has no effect: the sweep searches {key}; leave one of the two out"
        for key, value in trailing.items()
        if key in searched
    )
