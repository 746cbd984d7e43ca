"""Describes a new sweep: its controller, and the search that the options describe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...base.errors import ConfigError, Problems
from ...base.shipped import SWEEPS, TRAINERS
from ...spec.from_options import spec_from_options
from ...spec.grid import LISTED
from ...spec.read_sweep import TOP_KEYS
from ...spec.section import known_key
from ...spec.sweep import Metric, SweepSpec
from ...spec.sweep_files import find_sweep_file, load_spec, preset_folders, presets, read_sweep_document
from ...trainers.choose import DEFAULT_TRAINER
from ...trainers.function import FUNCTION, FunctionProfile
from ...trainers.load import load_profile
from ...trainers.overrides import Overrides
from ...trainers.own_command import SWEEP_FILE
from ...trainers.profile import TrainerProfile
from ..options.table import Options
from .checks import storage_wanted, sweep_document
from .controller import choose_controller
from .source import Source


def new_source(options: Options, problems: Problems) -> Source:
    """Returns the source of a new sweep."""
    controller, notes = choose_controller(options)
    storage = problems.attempt(lambda: storage_wanted(options.storage)) if controller == "local" else None
    fall_back = options.controller == "auto"
    return Source(options, controller, storage=storage, fall_back=fall_back, notes=notes)


def able_source(source: Source, spec: SweepSpec) -> Source:
    """Returns a new sweep's source with the controller that can search so, where nobody has named one."""
    able = not (spec.method == "custom" or spec.pauses or spec.order != LISTED)
    if able or source.controller != "wandb" or not source.fall_back:
        return source
    note = "controller: local, because W&B's server has no method custom"
    if spec.method == "pbt":
        note = "controller: local, because W&B's server has no method pbt"
    elif spec.pauses:
        note = "controller: local, because W&B's server cannot pause a run and resume it (mode: promotion)"
    elif spec.order != LISTED:
        note = "controller: local, because W&B's server has an order of its own for a grid (order: shuffled)"
    return replace(source, controller="local", notes=(note,))


def says_search(options: Options) -> bool:
    """Tells whether an option says what to search."""
    return bool(options.sweep_config or options.lr_values or options.wd_values or options.custom_params)


def default_metric(options: Options, cwd: Path) -> Metric | None:
    """Returns the metric of the trainer's profile where neither the options nor the sweep file name one.

    None where the sweep file names the trainer, too, and where the profile has none or cannot be read.
    """
    document = sweep_document(options)
    data = document.data if document is not None else {}
    said = {known_key(key, TOP_KEYS) for key in data} if isinstance(data, dict) else {"metric"}
    if options.metric or {"metric", "metrics"} & said or isinstance(options.trainer, FunctionProfile):
        return None
    if options.trainer in (SWEEP_FILE, FUNCTION) or (options.trainer is None and {"program", "command"} & said):
        return None
    try:
        return load_profile(options.trainer or DEFAULT_TRAINER, project_root=cwd).default_metric
    except ConfigError:
        return None  # whoever chooses the trainer reports it


def metric_notes(metric: Metric | None, spec: SweepSpec, profile: TrainerProfile) -> list[str]:
    """Tells in a line that the metric is the profile's; none without a default metric."""
    if metric is None or spec.metric is None:
        return []
    return [f"{spec.metric.goal} {spec.metric.name}: the metric of the trainer {profile.name}, since none is named"]


def read_spec(options: Options, default: Metric | None = None) -> SweepSpec:
    """Reads the sweep that the options describe, with or without a file.

    Args:
        default: the metric of a sweep that names none.
    """
    base = None
    name = options.metric or (default.name if default else None)
    goal = options.goal or (default.goal if default else None)
    if options.sweep_config:
        top: dict[str, Any] = {"method": options.method} if options.method else {}
        metric = {"name": name, "goal": goal}
        if any(metric.values()):
            top["metric"] = {key: value for key, value in metric.items() if value}
        base = load_spec(options.sweep_config[0], search_dirs=preset_folders(), overrides=top or None)
    elif not says_search(options):
        raise ConfigError(
            "nothing to search: give --sweep-config FILE|PRESET, --lr_values, --wd_values, --custom_params, --sweep_id"
        )
    spec = spec_from_options(
        base,
        lr_values=options.lr_values,
        wd_values=options.wd_values,
        custom_params=options.custom_params,
        method=options.method,
        repeats=options.repeats,
        order=options.order,
        metric=name or (None if base else "val/mAP"),
        goal=goal or (None if base or name else "maximize"),
        name=options.sweep_name,
        project=options.project,
        entity=options.entity,
    )
    if options.results_dir:
        spec = replace(spec, results_dir_base=options.results_dir)
    if spec.name is None:
        source = options.sweep_config[0] if options.sweep_config else "sweep"
        stem = "sweep" if isinstance(source, Mapping) else Path(source).stem
        spec = replace(spec, name=stem)
    return spec


def preset_problems(options: Options, overrides: Overrides, spec: SweepSpec | None) -> list[str]:
    """Lists why a preset that ships does not fit the trainer: aliases that its profile lacks, keys of another trainer."""
    path = _shipped_preset(options)
    if path is None or spec is None:
        return []
    profile, schema = overrides.profile, overrides.schema
    unknown = [
        item.name for item in spec.parameters if item.name not in profile.aliases and not profile.fills(item.name)
    ]
    if schema is not None:  # an open tree takes any name, but means no alias by it
        unknown = [name for name in unknown if (schema.key_problem(name) if "." in name else name not in schema.values)]
    keys = [name for name in unknown if "." in name]
    if keys:
        general = ", ".join(name for name in presets([SWEEPS]) if not _own_keys(SWEEPS / f"{name}.yaml"))
        own = f"{path.stem}: is a preset of the trainer {DEFAULT_TRAINER} alone"
        return [f"{own}: {profile.name} is not known to have {', '.join(keys)}; presets for every trainer: {general}"]
    if not unknown:
        return []
    aliases = f"aliases: {{{', '.join(f'{name}: KEY' for name in unknown)}}}"
    if profile.path.parent == TRAINERS.resolve():
        place = f"a profile of your own with `extends: {profile.name}` and `{aliases}` adds it"
    else:
        place = f"add `{aliases}` to {profile.path}"
    needed = ", ".join(unknown)
    return [f"{path.stem}: needs the alias {needed}, which the profile {profile.name} does not have; {place}"]


def _shipped_preset(options: Options) -> Path | None:
    """Returns the file of the preset that the options name; None for another sweep file."""
    given = (options.sweep_config or [None])[0]
    if not isinstance(given, str | Path):
        return None
    try:
        path = find_sweep_file(given, preset_folders()).resolve()
    except ConfigError:
        return None
    return path if path.parent == SWEEPS.resolve() else None


def _own_keys(preset: Path) -> bool:
    """Tells whether a preset searches a trainer's keys, not aliases alone."""
    data = read_sweep_document(preset).data
    return any("." in name for name in data["parameters"])
