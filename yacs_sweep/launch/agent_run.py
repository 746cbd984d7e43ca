"""Runs a trial for `wandb agent`: the command that a sweep on the W&B server names, and what the agent gives to it.

`wandb agent` asks the server for a run, writes its parameters to a file, and starts the sweep's command with the names of
run and file in the environment. Where the command is ours, the trial runs as any other, and its W&B run is that run.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from ..base.command_line import COMMAND
from ..base.errors import ConfigError
from .options.table import Options

FLAG = "--agent-run"


def agent_command(options: Options) -> dict[str, Any]:
    """Returns `program` and `command` of a sweep whose trials `wandb agent` runs through the launcher; empty: it cannot.

    No path of this machine is among the words: what lies outside the current folder is left out.
    """
    if options.trainer is not None and not isinstance(options.trainer, str):
        return {}  # a function lives in this process
    named = (("--trainer", options.trainer), ("--config_file", options.config_file))
    words = [word for flag, value in named if value and _is_inside(value) for word in (flag, str(value))]
    script = COMMAND[-1] if _is_inside(COMMAND[-1]) else "yacs-sweep"
    start = ["${env}", "${interpreter}"] if script.endswith(".py") else ["${env}"]
    trailing = ["--", *options.trailing] if options.trailing else []
    return {"program": script, "command": [*start, "${program}", FLAG, *words, *trailing]}


def is_ours(command: Any) -> bool:
    """Whether a sweep's command on the server is the launcher's, which is no trainer."""
    return isinstance(command, list) and FLAG in command


def given_run() -> dict[str, Any]:
    """Reads what `wandb agent` gives to the command it starts: `sweep`, `run_id`, and `args`, `{name: {"value": …}}`.

    Raises:
        ConfigError: this command was not started by it.
    """
    names = ("WANDB_SWEEP_ID", "WANDB_RUN_ID", "WANDB_SWEEP_PARAM_PATH")
    values = [os.environ.get(name) for name in names]
    if missing := [name for name, value in zip(names, values, strict=True) if not value]:
        raise ConfigError(f"--agent-run: is for the command that `wandb agent` starts; {missing[0]} is not set")
    sweep_id, run_id, path = map(str, values)
    try:
        args = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        args = None
    if not isinstance(args, Mapping):
        raise ConfigError(
            f"--agent-run: is for the command that `wandb agent` starts; its parameters cannot be read from {path}"
        )
    place = [os.environ.get("WANDB_ENTITY"), os.environ.get("WANDB_PROJECT")]
    sweep = "/".join([*map(str, place), sweep_id]) if all(place) else sweep_id
    given = {name: item for name, item in args.items() if isinstance(item, Mapping) and name != "wandb_version"}
    return {"sweep": sweep, "run_id": run_id, "args": given}


def _is_inside(name: str | os.PathLike[str]) -> bool:
    """Whether a name is none of a path, or the path lies in the current folder."""
    return not os.path.isabs(name) and ".." not in Path(name).parts
