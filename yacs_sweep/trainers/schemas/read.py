"""Reads the trainer's YACS tree in the trainer's own interpreter, so that none of its code runs in the launcher."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ...base.ask_process import NoAnswer, TimedOut, ask_process
from ...base.errors import ConfigError
from ...base.processes import with_programs_of, without_wandb
from ...base.streams import SILENT_WAIT
from ..profile import TrainerProfile
from ..ways.file_keys import file_keys
from .convert_value import OpaqueDefault
from .hydra import hydra_schema
from .merge_file import merge_leniently
from .options import option_schema
from .schema import Schema
from .source import ARGPARSE, HYDRA, TREE

TIMEOUT = 120.0  # seconds; a tree that lives in a large package imports that package
_SCRIPT = Path(__file__).parent.parent / "inside" / "print_schema.py"


def read_schema(
    profile: TrainerProfile,
    *,
    python: str | None = None,
    config_file: str | os.PathLike[str] | None = None,
    timeout: float = TIMEOUT,
) -> Schema | None:
    """Reads the profile's `schema` with `config_file` merged in; None when the profile names none.

    A trainer without one that is given a configuration file (`overrides: file`) has the keys of the base configuration.

    Raises ConfigError: a tree that cannot be loaded; of the configuration file, broken YAML, every unknown key and
    every value that cannot be taken for one of the default's type.
    """
    if profile.schema is None and profile.overrides == "file" and config_file is not None:
        gpu_key = profile.gpu_key
        named = [*profile.aliases.values(), *profile.reserved, *([gpu_key.key] if gpu_key else ())]
        return file_keys(
            config_file,
            new_keys=profile.new_keys,
            lenient=profile.lenient,
            named=named,
            free=[gpu_key.key] if gpu_key and gpu_key.form is not None else (),  # the profile says what it is
        )
    if profile.schema is None:
        return None
    if config_file is not None and not os.path.isfile(config_file):
        raise ConfigError(f"--config_file {config_file}: no such file")
    interpreter = profile.interpreter(python)
    words = [interpreter, str(_SCRIPT), profile.schema.request(profile.command)]
    if config_file is not None and profile.schema.kind == TREE:
        words.append(profile.child_path(config_file) or "")
    answer = _ask(words, profile, timeout)
    error = answer.get("error")
    if error and error["stage"] == "load":
        text = error["text"]
        hint = "; --python PATH names the trainer's interpreter" if text.startswith("ModuleNotFoundError") else ""
        raise ConfigError(
            f"{profile.path}: schema: {profile.schema} could not be loaded by {interpreter}: {text}{hint}"
        )
    if profile.schema.kind == HYDRA:
        return hydra_schema(str(profile.schema), answer, _restore_types, profile.lenient)
    if profile.schema.kind == ARGPARSE:
        return option_schema(_program(profile), answer, _restore_types)
    schema = Schema(
        str(profile.schema),
        {key: _restore_types(value) for key, value in answer["defaults" if error else "values"].items()},
        frozenset(answer["sections"]),
        answer["renamed"],
        frozenset(answer["deprecated"]),
        frozenset(answer["open"]),
        answer["loose"],
    )
    return merge_leniently(schema, str(config_file), error["text"], profile.lenient) if error else schema


def _program(profile: TrainerProfile) -> str:
    """Names the program whose parser is read."""
    return next((word for word in profile.command if word.endswith(".py")), " ".join(profile.command[:3]))


def _ask(command: list[str], profile: TrainerProfile, timeout: float) -> dict[str, Any]:
    """Asks the trainer's interpreter for the tree. Raises ConfigError when it gives none."""
    source = profile.schema
    assert source is not None
    problem = f"{profile.path}: schema: {source} could not be read by {command[0]}"
    environment = {
        **with_programs_of(command[0], without_wandb(os.environ)),
        **profile.fixed_env,
        "WANDB_MODE": "disabled",
    }
    try:
        what = f"run {_program(profile)} up to its options" if source.kind == ARGPARSE else f"import {source}"
        waits = f"waiting for {command[0]} to {what}, {timeout:g} s at most"
        return ask_process(
            command, environment=environment, cwd=profile.cwd, timeout=timeout, notice=(SILENT_WAIT, waits)
        )
    except TimedOut:
        raise ConfigError(f"{problem} within {timeout:g} s; leave `schema` out to do without it") from None
    except NoAnswer as error:
        raise ConfigError(f"{problem}: {error}") from None


def _restore_types(value: Any) -> Any:
    """Restores the types that JSON lacks: tuples and opaque defaults."""
    if isinstance(value, list):
        return [_restore_types(item) for item in value]
    if isinstance(value, dict):
        if "tuple" in value:
            return tuple(map(_restore_types, value["tuple"]))
        return OpaqueDefault(value["other"], frozenset(value["takes"]) if "takes" in value else None)
    return value
