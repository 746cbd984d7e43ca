"""What a new sweep is to do, checked in full before anything is created."""

from __future__ import annotations

import os
import random
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...base.errors import ConfigError, Problems
from ...records.launch_file import LaunchFile
from ...search.warm_start import WarmStart
from ...spec.from_options import spec_from_options
from ...spec.sweep import SweepSpec
from ...spec.sweep_files import load_spec, preset_folders
from ...trainers.choose import config_file, interpreter, trainer_of, trainer_wanted
from ...trainers.overrides import Overrides
from ...trainers.own_command import SWEEP_FILE, CommandProfile, remarks
from ...wandb.login import is_logged_in, turned_off
from ..engines import engine_problems
from ..options import Options
from .checks import (
    cap_note,
    capped,
    keep_problems,
    layout_notes,
    masked,
    names_own_trainer,
    placed_problems,
    read_layout,
    read_warm_start,
    results_problems,
    storage_wanted,
)
from .plan import Plan


def choose_controller(options: Options) -> tuple[str, tuple[str, ...]]:
    """The controller, and a line that says why it is that one and how to choose otherwise."""
    if options.controller != "auto":
        return options.controller, ()
    if options.storage:
        return "local", ("controller: local, because --storage is given (--controller wandb: the W&B server)",)
    if options.enqueue or options.from_sweep:
        option = "--enqueue" if options.enqueue else "--from-sweep"
        return "local", (f"controller: local, because {option} is given",)
    if is_logged_in():
        return "wandb", ("controller: wandb, because you are logged in (--controller local: embedded and offline)",)
    if off := turned_off():
        return "local", (f"controller: local, because {off} (--controller wandb: the W&B server)",)
    return "local", ("controller: local, because there is no W&B login (`wandb login`, or --controller wandb)",)


def _check_options(options: Options, controller: str) -> list[str]:
    problems = []
    if controller == "wandb":
        if options.storage:
            problems.append("--storage: belongs to the local controller; leave it out or use --controller local")
        for option, value in (("--enqueue", options.enqueue), ("--from-sweep", options.from_sweep)):
            if value:
                problems.append(f"{option}: belongs to the local controller; leave it out or use --controller local")
        if options.wandb_mode in ("offline", "disabled"):
            problems.append(f"--wandb-mode {options.wandb_mode}: a W&B sweep needs its server; use --controller local")
    return problems


def make_plan(options: Options) -> Plan:
    """A new sweep from the command line.

    Raises:
        ConfigError: with every mistake found.
    """
    controller, notes = choose_controller(options)
    return checked_plan(options, None, controller, notes)


def checked_plan(options: Options, known: SweepSpec | None, controller: str, notes: tuple[str, ...]) -> Plan:
    """A plan for the sweep the options describe, or for a `known` one."""
    problems = Problems()
    problems.found += [*_check_options(options, controller), *engine_problems(options, controller, options.storage)]
    storage = problems.attempt(lambda: storage_wanted(options.storage)) if controller == "local" else None
    layout = problems.attempt(lambda: read_layout(options))
    spec = known or problems.attempt(lambda: read_spec(options))
    first = None
    if spec is not None or options.trainer is not None or not names_own_trainer(options):
        first = problems.attempt(lambda: trainer_of(options.trainer, spec, Path.cwd()))
    before = len(problems.found)
    config = problems.attempt(lambda: config_file(options.config_file, first))
    python = problems.attempt(lambda: interpreter(options.python))
    trainer = None
    if first is not None and len(problems.found) == before:
        here = options.engine == "local"
        trainer = trainer_wanted(problems, lambda: first, python, config, options.trailing, here=here)
    if trainer is not None:
        problems.found += placed_problems(options, trainer[1], spec) + keep_problems(options.keep, trainer[0])
    seed = random.SystemRandom().getrandbits(31) if options.seed is None else options.seed
    warm, learned = WarmStart(), tuple[str, ...]()
    if trainer is not None and spec is not None and controller == "local":
        warm, learned = read_warm_start(problems, options, spec, trainer[1], seed)
    problems.found += results_problems(spec) if spec is not None else []
    problems.end()
    assert spec is not None and trainer is not None and layout is not None
    profile, overrides, words, values = trainer
    if isinstance(profile, CommandProfile):
        notes += remarks(spec)
    launch = LaunchFile(
        controller=controller,
        config_file=config,
        trainer=SWEEP_FILE if isinstance(profile, CommandProfile) else profile.reference,
        python=python,
        trailing=tuple(words),
        seed=seed,
        storage=masked(storage),
        wandb_mode=options.wandb_mode or ("disabled" if options.wandb_off else "offline"),
        project=spec.project or os.environ.get("WANDB_PROJECT") or _from_config(overrides, "WANDB.PROJECT"),
        entity=spec.entity or os.environ.get("WANDB_ENTITY") or _from_config(overrides, "WANDB.ENTITY"),
        cwd=str(Path.cwd()),
        target=capped(options.count if options.count else spec.default_count, spec.run_cap),
        keep=options.keep or "all",
        search=spec.fingerprint,
    )
    fall_back = options.controller == "auto"
    notes += (*learned, *cap_note(spec, options.count, 0), *layout_notes(layout))
    plan = Plan(spec, launch, profile, overrides, values, launch.target, notes=notes, fall_back=fall_back)
    return replace(plan, warm=warm, storage=storage, layout=layout)


def read_spec(options: Options) -> SweepSpec:
    """The sweep the options describe, with or without a file."""
    base = None
    given = options.lr_values or options.wd_values or options.custom_params
    if options.sweep_config:
        top: dict[str, Any] = {"method": options.method} if options.method else {}
        if options.metric:
            top["metric"] = {"name": options.metric, **({"goal": options.goal} if options.goal else {})}
        base = load_spec(options.sweep_config[0], search_dirs=preset_folders(), overrides=top or None)
    elif not given:
        raise ConfigError(
            "nothing to search: give --sweep-config FILE|PRESET, --lr_values, --wd_values, --custom_params, --sweep_id"
        )
    spec = spec_from_options(
        base,
        lr_values=options.lr_values,
        wd_values=options.wd_values,
        custom_params=options.custom_params,
        method=options.method,
        metric=options.metric or (None if base else "val/mAP"),
        goal=options.goal or (None if base or options.metric else "maximize"),
        name=options.sweep_name,
        project=options.project,
        entity=options.entity,
    )
    if options.optimize:
        spec = replace(spec, optimize=options.optimize)
    if options.results_dir:
        spec = replace(spec, results_dir_base=options.results_dir)
    if spec.name is None:
        source = options.sweep_config[0] if options.sweep_config else "sweep"
        stem = "sweep" if isinstance(source, Mapping) else Path(source).stem
        spec = replace(spec, name=stem)
    return spec


def _from_config(overrides: Overrides, key: str) -> str | None:
    """A text of the trainer's configuration, where its tree is known and has it."""
    value = overrides.schema.values.get(key) if overrides.schema else None
    return value if isinstance(value, str) and value else None
