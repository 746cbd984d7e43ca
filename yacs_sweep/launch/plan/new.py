"""Describes a new sweep: its controller, and the search that the options describe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...base.errors import ConfigError, Problems
from ...spec.from_options import spec_from_options
from ...spec.read_sweep import TOP_KEYS
from ...spec.section import known_key
from ...spec.sweep import Metric, SweepSpec
from ...spec.sweep_files import load_spec, preset_folders
from ...trainers.choose import DEFAULT_TRAINER
from ...trainers.function import FUNCTION, FunctionProfile
from ...trainers.load import load_profile
from ...trainers.own_command import SWEEP_FILE
from ...trainers.profile import TrainerProfile
from ..options import Options
from .checks import storage_wanted, sweep_document
from .controller import choose_controller
from .source import Source


def new_source(options: Options, problems: Problems) -> Source:
    """Returns the source of a new sweep."""
    controller, notes = choose_controller(options)
    storage = problems.attempt(lambda: storage_wanted(options.storage)) if controller == "local" else None
    fall_back = options.controller == "auto"
    return Source(options, controller, storage=storage, fall_back=fall_back, notes=notes)


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
