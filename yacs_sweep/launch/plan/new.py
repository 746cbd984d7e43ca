"""Describes a new sweep: its controller, and the search that the options describe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...base.errors import ConfigError, Problems
from ...spec.from_options import spec_from_options
from ...spec.sweep import SweepSpec
from ...spec.sweep_files import load_spec, preset_folders
from ..options import Options
from .checks import storage_wanted
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


def read_spec(options: Options) -> SweepSpec:
    """Reads the sweep that the options describe, with or without a file."""
    base = None
    if options.sweep_config:
        top: dict[str, Any] = {"method": options.method} if options.method else {}
        metric = {"name": options.metric, "goal": options.goal}
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
        metric=options.metric or (None if base else "val/mAP"),
        goal=options.goal or (None if base or options.metric else "maximize"),
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
