"""Describes how a trial is started, and writes the files that its trainer gets its parameters from."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...base.errors import ConfigError
from ...base.files import write_atomically
from ...base.wording import show
from ..overrides import Overrides
from .files import config_name, dump, nested, with_moved_includes, write_params
from .placeholders import CONFIG_FILE
from .resume import newest_checkpoint

OVERRIDES, ENV = "overrides", "env"  # keys of `given` in trial.json, beside CONFIG_FILE


@dataclass(frozen=True)
class Start:
    """Holds the trainer's argv, and what the trainer is given beside it.

    `given` is kept in trial.json: KEY VALUE words that a file, variables or JSON hold, the configuration they are merged
    into, and the trial's own variables. It is empty for a trainer that gets everything as words.
    """

    words: list[str]
    given: dict[str, Any] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)  # the words that tell it to resume

    @property
    def variables(self) -> dict[str, str]:
        """The trial's own environment variables."""
        return dict(self.given.get(ENV, {}))


def describe_start(
    overrides: Overrides,
    *,
    python: str | None,
    config_file: str | None,
    output_dir: str,
    trial_id: str,
    gpu_ids: Sequence[str],
    trailing: Sequence[str],
    params: Mapping[str, Any],
    seed: int | None,
    resume: bool = False,
) -> Start:
    """Describes how the trainer is started for a point.

    Args:
        config_file: of a trial whose point has none.
        trailing: words given to every trial.
        seed: of a trial whose point has none.
        resume: whether the trainer is told to resume, as its profile says, where the output folder has a checkpoint.

    Raises:
        ConfigError: the point cannot be given to the trainer, or something the command needs is missing.
    """
    profile = overrides.profile
    if profile.fills(CONFIG_FILE):
        config_file = params.get(CONFIG_FILE, config_file)
    options, pairs = _resume_words(overrides, output_dir) if resume else ([], {})
    told = overrides.arguments(pairs)
    chosen = [*trailing, *overrides.arguments(params), *told]
    everything = [*chosen, *overrides.gpu_arguments(gpu_ids)]
    values: dict[str, Any] = {
        "config_file": config_file,
        "output_dir": output_dir,
        "trial_id": trial_id,
        "gpu_ids": ",".join(gpu_ids),
        "overrides": everything,
        "params": params,
        "seed": seed,
    }
    words = profile.command_line(python=python, **values)
    place = len(profile.wrap) + len(profile.command)
    words[place:place] = options
    given: dict[str, Any] = {}
    if not profile.takes_words:
        given[OVERRIDES] = chosen
    if profile.overrides == "file" and config_file is not None:
        given[CONFIG_FILE] = os.path.abspath(config_file)
    if variables := profile.variables(profile.placeholders(**values), everything):
        given[ENV] = variables
    return Start(words, given, [*options, *told])


def _resume_words(overrides: Overrides, output_dir: str) -> tuple[list[str], dict[str, Any]]:
    """Returns what tells the trainer to resume in its output folder: words behind the command, and values by key."""
    profile, rule = overrides.profile, overrides.profile.resume
    checkpoint = newest_checkpoint(Path(output_dir), rule.patterns)
    if (rule.patterns and checkpoint is None) or overrides.resume_problems():
        return [], {}
    return rule.filled(str(profile.child_path(output_dir)), profile.child_path(checkpoint))


def _everything(overrides: Overrides, given: Mapping[str, Any], gpu_ids: Sequence[str]) -> list[str]:
    """Returns the KEY VALUE words of a trial that takes no words, with those that tell its GPUs."""
    return [*given.get(OVERRIDES, []), *overrides.gpu_arguments(gpu_ids)]


def merged_config(
    overrides: Overrides, given: Mapping[str, Any], gpu_ids: Sequence[str], output_dir: str | None
) -> dict[str, Any]:
    """Merges a trial's parameters, GPUs and output directory into the configuration it was given.

    Raises:
        ConfigError: the configuration cannot be read, or has no place for them.
    """
    values = overrides.parse_trailing(_everything(overrides, given, gpu_ids))[1]
    return overrides.config_with(given[CONFIG_FILE], values, output_dir)


def write_given(
    overrides: Overrides, given: Mapping[str, Any], gpu_ids: Sequence[str], folder: Path, sweep_dir: Path
) -> None:
    """Writes the files that the trainer reads its parameters from into its output folder.

    Raises:
        ConfigError: the configuration they are merged into cannot be read any more.
        OSError: they cannot be written.
    """
    profile = overrides.profile
    if CONFIG_FILE in given:
        base, output = Path(given[CONFIG_FILE]), profile.child_path(folder)
        try:
            config = merged_config(overrides, given, gpu_ids, output)
        except OSError as error:
            raise ConfigError(f"{base}: cannot be read: {error.strerror}") from None
        config = with_moved_includes(config, base.parent, folder, sweep_dir)
        write_atomically(folder / config_name(base), dump(config, base.suffix))
    elif profile.overrides == "json" and "params_file" in profile.placeholders_used:
        words = _everything(overrides, given, gpu_ids)
        write_params(folder, nested(profile.all_values(words, profile.child_path(folder))))


def given_file(overrides: Overrides, start: Start, gpu_ids: Sequence[str], output_dir: str) -> str | None:
    """Describes in a line the file that `write_given` writes for a trial; None where it writes none."""
    profile, given = overrides.profile, start.given
    values = profile.all_values(_everything(overrides, given, gpu_ids) if given else [], output_dir)
    if CONFIG_FILE in given:
        told = ", ".join(f"{key} {show(value)}" for key, value in values.items())
        return f"{config_name(given[CONFIG_FILE])}: {os.path.relpath(given[CONFIG_FILE])} with {told or 'no change'}"
    if profile.overrides == "json" and "params_file" in profile.placeholders_used:
        return f"{os.path.basename(str(profile.placeholders(output_dir=output_dir)['params_file']))}: {nested(values)}"
    return None


def environment_words(variables: Mapping[str, str], words: Sequence[str]) -> list[str]:
    """Writes a command with variables in front, as `env` starts it."""
    return [*(["env", *(f"{name}={text}" for name, text in variables.items())] if variables else ()), *words]
