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


def check_config_file(given: str | None, profile: TrainerProfile | None) -> str | None:
    """Checks `--config_file` against the trainer; returns its absolute path, None where there is none."""
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
        raise ConfigError(f"--config_file {path}: is a folder, not a configuration file")
    if not path.is_file():
        raise ConfigError(f"--config_file {path}: no such file")
    try:
        path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--config_file {path}: cannot be read: {error}") from None
    return str(path.resolve())
