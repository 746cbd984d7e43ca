"""Chooses a sweep's trainer by the options and the last launch, and checks that it can start."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...base.errors import Problems
from ...base.shipped import IMPORT_ROOT, TRAINERS
from ...logs.metric_files import check_formats
from ...records.inputs import CONFIG, Taken, in_inputs, take_config
from ...records.launch_file import LaunchFile
from ...spec.sweep import SweepSpec
from ...trainers.choose import check_config_file, choose_profile, find_interpreter, searched_configs
from ...trainers.function import FunctionProfile
from ...trainers.overrides import Overrides
from ...trainers.own_command import STYLE, SWEEP_FILE, has_own_command
from ...trainers.profile import TrainerProfile
from ...trainers.schemas.read import read_schema
from ...trainers.ways.placeholders import CONFIG_FILE
from ...trial.process import child_environment
from ..check.data_paths import configured_keys, missing_paths, path_warnings
from ..options.table import Options


@dataclass(frozen=True)
class Trainer:
    """Holds a trainer that can start, and what every trial of it is given."""

    profile: TrainerProfile
    overrides: Overrides
    config_file: str | None
    python: str | None  # its interpreter; None: the launcher's
    words: list[str]  # given to every trial: KEY VALUE
    values: dict[str, Any]  # what the words set, by key
    config_inputs: tuple[
        Taken, ...
    ] = ()  # the configurations with what they include, as they are now; empty: a copy is used
    doubts: tuple[str, ...] = ()  # what may keep trials from starting, or from what is meant

    @property
    def reference(self) -> str:
        """Names the trainer in launch.json."""
        return self.profile.reference


def choose_trainer(
    problems: Problems, options: Options, spec: SweepSpec | None, last: LaunchFile | None, cwd: Path
) -> Trainer | None:
    """Returns the trainer that the options name, else the `last` launch's; None when `problems` says why there is none.

    Args:
        spec: what is searched, which may say what to start; None: it could not be read.
        cwd: where the trainer is looked for.
    """
    named = options.trainer
    if last is not None and named in (None, SWEEP_FILE):  # as the sweep says: what it was launched with
        named = last.trainer
    profile = problems.attempt(lambda: choose_profile(named, spec, cwd))
    if profile is not None and last is not None:
        profile = profile.starting_in(last.code)
    before = len(problems.found)
    searched = problems.attempt(lambda: searched_configs(spec, profile))
    configs: list[str] = []
    taken: list[Taken] = []
    if searched:
        configs, taken = _searched_files(problems, options, searched, profile)
    elif searched is not None:
        configs, taken = _base_file(problems, options, last, profile)
    python = problems.attempt(lambda: find_interpreter(options.python)) or (last.python if last is not None else None)
    if profile is None or len(problems.found) > before:
        return None
    problems.attempt(lambda: check_formats(profile.files, str(profile.path)))
    if cannot := profile.start_problems(python, here=options.engine == "local"):
        problems.found += [f"{problem}{_start_hint(problem, options, spec)}" for problem in cannot]
        return None
    search = _ModuleSearch(profile, python, here=options.engine == "local")
    read = Problems()
    config = configs[0] if configs else None
    schema = read.attempt(lambda: read_schema(profile, python=python, config_file=config))
    for other in configs[1:]:  # of the same trainer: only whether its keys and values fit
        read.attempt(lambda other=other: read_schema(profile, python=python, config_file=other))  # type: ignore[misc]
    missing, uncertain = search.result()
    problems.found += missing or read.found  # a tree that cannot be loaded for want of a module says less
    if missing or read.found:
        return None
    overrides = Overrides(profile, schema)
    problems.found += overrides.profile_problems()
    given = options.trailing or (list(last.trailing) if last is not None else [])
    checked = problems.attempt(lambda: overrides.parse_trailing(given))
    if checked is None:
        return None
    untold = [
        f"{profile.path}: resume: {problem}: no trial is told to resume" for problem in overrides.resume_problems()
    ]
    doubts = (*uncertain, *_unused_config(options, profile), *untold)
    return Trainer(profile, overrides, config, python, *checked, tuple(taken), doubts)


def _base_file(
    problems: Problems, options: Options, last: LaunchFile | None, profile: TrainerProfile | None
) -> tuple[list[str], list[Taken]]:
    """Returns the configuration file of every trial, if there is one, and what a new sweep copies of it."""
    config = last.config_file if last is not None else None
    if options.config_file is not None or config is None:
        config = problems.attempt(lambda: check_config_file(options.config_file, profile))
    elif not os.path.isfile(config):
        problems.found.append(f"--config_file: the sweep's is {config}, which is not there; give --config_file FILE")
    if config is None:
        return [], []
    file = config
    taken = [] if in_inputs(file) else problems.attempt(lambda: take_config(file, options.config_file))
    return [file], taken or []


def _searched_files(
    problems: Problems, options: Options, searched: Sequence[str], profile: TrainerProfile | None
) -> tuple[list[str], list[Taken]]:
    """Returns the configuration files that trials are given by a parameter, and what is watched: trials read the originals."""
    if options.config_file is not None:
        problems.found.append(
            f"--config_file {options.config_file}: the parameter config_file gives each trial its own; leave one of the "
            "two out"
        )
    files: list[str] = []
    taken: dict[Path, Taken] = {}
    for name in searched:
        file = problems.attempt(lambda name=name: check_config_file(name, profile, CONFIG_FILE))  # type: ignore[misc]
        if file is None:
            continue
        files.append(file)
        for item in problems.attempt(lambda file=file, name=name: take_config(file, name, copied=False)) or ():  # type: ignore[misc]
            if item.kind == CONFIG or item.original not in taken:
                taken[item.original] = item
    return files, sorted(taken.values(), key=lambda item: item.kind != CONFIG)


def _unused_config(options: Options, profile: TrainerProfile) -> list[str]:
    """Tells that the trainer is not given the configuration file, since its command does not say where."""
    if options.config_file is None or "config_file" in profile.placeholders_used:
        return []
    return [
        f"--config_file {options.config_file}: has no effect: {{config_file}} is not in the `command` of {profile.path}; "
        "write it where the trainer takes the file, or leave the option out"
    ]


class _ModuleSearch:
    """Finds out on a thread of its own, while the schema is read, which modules the trainer lacks.

    A trainer in the launcher's own folder is not looked at: they are installed together.
    """

    def __init__(self, profile: TrainerProfile, python: str | None, *, here: bool) -> None:
        self._found: tuple[list[str], list[str]] = ([], [])
        self._thread: threading.Thread | None = None
        if here and not isinstance(profile, FunctionProfile) and not profile.cwd.is_relative_to(IMPORT_ROOT):
            self._thread = threading.Thread(target=self._search, args=(profile, python), daemon=True)
            self._thread.start()

    def _search(self, profile: TrainerProfile, python: str | None) -> None:
        from ...trainers.start.try_start import start_problems  # not for the trainer that comes with the launcher

        interpreter = profile.leading_interpreter(python)
        environment = child_environment(profile.fixed_env, os.environ, interpreter=interpreter)
        self._found = start_problems(profile, python, environment)

    def result(self) -> tuple[list[str], list[str]]:
        """Waits for the end; returns what keeps trials from starting, and what may keep them, a line each."""
        if self._thread is not None:
            self._thread.join()
        return self._found


def data_notes(trainer: Trainer) -> list[str]:
    """Warns of paths of data and weights, in the user's configuration and words, that do not exist."""
    given = {**configured_keys(trainer.config_inputs), **trainer.values}
    schema, profile = trainer.overrides.schema, trainer.profile
    values = {
        key: trainer.values.get(key, schema.values.get(key, given[key]) if schema else given[key]) for key in given
    }
    written = [profile.output_dir_key] if profile.output_dir_key else []
    missing = missing_paths(values, profile.cwd, written=written)
    return [f"warning: {line}" for line in path_warnings(missing, profile.cwd)]


_SCHEMAS = {  # what to write, by override style
    "hydra": "schema: {config_path: conf, config_name: config}",
    "argparse": "schema: argparse",
    STYLE: "overrides: argparse and schema: argparse",
}


def schema_notes(trainer: Trainer, spec: SweepSpec) -> list[str]:
    """Returns a line where parameters are not checked against the trainer's keys, or a key that must be given is not."""
    profile, schema = trainer.profile, trainer.overrides.schema
    if schema is not None:
        keys = [trainer.overrides.key_for(item.name) for item in spec.parameters]
        keys += [key for key in (profile.output_dir_key,) if key is not None]
        return [
            f"warning: {key} must be given ({why}), and nothing sets it; add its value to the words for every trial"
            for key, why in schema.unset([*profile.command, *trainer.words], keys)
        ]
    if isinstance(profile, FunctionProfile):
        return []
    wanted = _SCHEMAS.get(profile.overrides, "schema: FILE.py:NAME")
    where = str(profile.path)
    if profile.overrides == STYLE:
        where = "a profile for the program"
    elif profile.path.parent == TRAINERS:
        where = f"a profile that extends {profile.name}"
    return [
        f"keys are not checked: no schema; with `{wanted}` in {where} names and types are checked before a trial starts"
    ]


def _start_hint(problem: str, options: Options, spec: SweepSpec | None) -> str:
    """Says where the trainer is named whose program is not there; empty for other problems."""
    if ": no file " not in problem:
        return ""
    if options.trainer is not None and spec is not None and has_own_command(spec):
        return "; leave --trainer out to start the sweep file's own program"
    return "; --trainer NAME|FILE names your trainer's profile"
