"""Chooses the trainer of a sweep: profile, interpreter and configuration file."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from ..base.errors import ConfigError
from ..spec.sweep import SweepSpec
from .function import FUNCTION, FunctionProfile, function_profile
from .load import load_profile
from .own_command import SWEEP_FILE, CommandProfile, has_own_command, own_command_profile
from .profile import TrainerProfile
from .ways.placeholders import CONFIG_FILE

DEFAULT_TRAINER = "reid"  # the trainer that needs no option, unless the sweep file names another


def choose_profile(trainer: str | FunctionProfile | None, spec: SweepSpec | None, root: Path) -> TrainerProfile:
    """Loads the profile of that name or file.

    Without a name the sweep file's own command is the trainer, else the default profile. A `FunctionProfile` is
    the trainer itself.

    Raises:
        ConfigError: every mistake in the profile.
    """
    if trainer == FUNCTION:
        trainer = function_profile(None, root)
    if isinstance(trainer, FunctionProfile):
        return trainer if spec is None else trainer.for_spec(spec)
    if trainer == SWEEP_FILE or (trainer is None and spec is not None and has_own_command(spec)):
        assert spec is not None
        return own_command_profile(spec, root)
    return load_profile(trainer or DEFAULT_TRAINER, project_root=root)


def find_interpreter(given: str | None) -> str | None:
    """Finds the interpreter of `--python`; returns its absolute path.

    Links are kept: the python of a virtual environment is one.
    """
    if given is None:
        return None
    found = shutil.which(given)
    if found is None and os.path.isdir(given):
        inside = os.path.join(given, "bin", "python")
        raise ConfigError(f"--python {given}: is a folder{f'; write {inside}' if os.path.isfile(inside) else ''}")
    if found is None and os.path.isfile(given):
        raise ConfigError(f"--python {given}: is not a program that can be executed")
    if found is None:
        raise ConfigError(f"--python {given}: no such interpreter")
    return os.path.abspath(found)


def searched_configs(spec: SweepSpec | None, profile: TrainerProfile | None) -> list[str]:
    """Lists the configuration files that the parameter `config_file` of a sweep chooses from, as the sweep names them.

    Empty where the sweep has no such parameter, or the trainer's command does not take it as its configuration file.

    Raises:
        ConfigError: a value is no text.
    """
    if spec is None or profile is None or not profile.fills(CONFIG_FILE):
        return []
    values = [value for item in spec.parameters if item.name == CONFIG_FILE for value in item.type_samples()]
    if wrong := [value for value in values if not isinstance(value, str)]:
        raise ConfigError(f"config_file: {wrong[0]!r} is not the name of a file")
    return values


def check_config_file(given: str | None, profile: TrainerProfile | None, told: str = "--config_file") -> str | None:
    """Checks a configuration file against the trainer; returns its absolute path, None where there is none.

    Args:
        given: the path as the user gave it.
        told: what the user gave it by.
    """
    if isinstance(profile, FunctionProfile) and given is not None:
        raise ConfigError("config_file: the trainer is a function, which takes none; let the function read it")
    if isinstance(profile, CommandProfile) and given is not None:
        raise ConfigError(
            f"--config_file {given}: the trainer is the sweep file's program, which takes none; "
            "add --trainer reid (or another profile), or leave --config_file out"
        )
    if given is None:
        if profile is not None and profile.needs_config_file:
            text = f"--config_file is missing: the trainer {profile.name} needs one"
            if profile.name == DEFAULT_TRAINER:  # which the user need not have meant
                text += (
                    "; another trainer is named by `program` in the sweep file, by --trainer, or in Python by `train=`"
                )
            raise ConfigError(text)
        return None
    path = Path(given)
    if path.is_dir():
        raise ConfigError(f"{told} {path}: is a folder, not a configuration file")
    if not path.is_file():
        raise ConfigError(f"{told} {path}: no such file")
    try:
        path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{told} {path}: cannot be read: {error}") from None
    return str(path.resolve())
