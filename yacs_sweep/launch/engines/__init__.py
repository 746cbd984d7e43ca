"""Starts launches on other machines, with a scheduler (an engine).

Each launch joins the sweep by its id. An engine grants no trials and knows nothing of them; `follow` shows them on the machine
from which the engine was started.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from ...base.errors import ConfigError
from ...base.shipped import IMPORT_ROOT
from ...records.folder import SweepPaths
from ...records.launch_file import LaunchFile
from ...search.storage.url import URL_VARIABLE, shared
from ...trainers.function import FunctionProfile
from ...trainers.own_command import SWEEP_FILE
from ..options.table import Options

INSTALLED = "import sys; from yacs_sweep.cli import main; sys.exit(main())"


class Engine(Protocol):
    """Starts launches on machines."""

    def ask(self, agents: int) -> None:
        """Asks the scheduler whether it would take so many launches, before there is a sweep.

        Raises:
            ConfigError: it would not, or does not answer.
        """

    def submit(self, commands: Sequence[Sequence[str]], environment: Mapping[str, str], paths: SweepPaths) -> str:
        """Submits one launch a command, without waiting for them; returns their name for the user.

        Args:
            environment: variables they need and nobody is to read: the storage's URL.
        """

    def alive(self) -> int:
        """Counts the launches that run or wait."""

    def cancel(self) -> None:
        """Ends all launches; their trials get their grace period."""


def engine_settings(given: Sequence[str]) -> dict[str, str]:
    """Reads `--engine-option KEY=VALUE …` into a mapping.

    Raises:
        ConfigError: an option is not of that form.
    """
    wrong = [text for text in given if not re.fullmatch(r"[A-Za-z][\w.-]*(=.*)?", text, re.DOTALL)]
    if wrong:
        raise ConfigError([f"--engine-option {text!r}: write KEY=VALUE, or KEY for a switch" for text in wrong])
    return {key: value for key, _, value in (text.partition("=") for text in given)}


def make_engine(options: Options) -> Engine:
    """Makes the engine of `--engine` and asks it to take the launches; imports no other engine's module.

    Raises:
        ConfigError: it is not installed, does not answer, or its options are wrong.
    """
    settings = engine_settings(options.engine_option or ())
    engine: Engine
    if options.engine == "slurm":
        from .slurm import Slurm

        engine = Slurm(settings, options.grace)
    else:
        from .ray import Ray

        engine = Ray(settings, options.grace)
    engine.ask(options.agents or 1)
    return engine


def engine_problems(options: Options, controller: str, storage: str | None) -> list[str]:
    """Lists why the launch cannot run on the engine."""
    if options.engine == "local":
        table = options.table()
        given = [name for name, entry in table.items() if entry.engine_only and options.is_given(name)]
        return [f"{options.flag(name)}: belongs to --engine slurm or ray" for name in given]
    if (options.agents or 1) > 1 and controller == "local" and not (storage and shared(storage)):
        return [
            f"--agents {options.agents}: agents on several machines need the W&B server (--controller wandb) or "
            "--storage postgresql://…; the embedded storage is for one machine"
        ]
    return []


def launch_command(options: Options, paths: SweepPaths, launch: LaunchFile) -> list[str]:
    """Returns the command of one launch, which joins the sweep and treats trials as this launch was asked to.

    Where it finds the sweep in the database alone, it takes what this launch has written there: the user has started both.
    """
    script = IMPORT_ROOT / "tools" / "sweep.py"
    start = [str(script)] if script.is_file() else ["-c", INSTALLED]
    if launch.controller == "local" or launch.trainer == SWEEP_FILE:
        options = replace(options, trainer=SWEEP_FILE)
    elif isinstance(options.trainer, FunctionProfile):
        options = replace(options, trainer=None)  # a function is in the sweep's folder
    words = options.words(lambda entry: entry.passed_on)
    return [
        sys.executable,
        *start,
        "--sweep_id",
        paths.sweep_id,
        "--results_dir",
        str(paths.base),
        "--no-project-defaults",
        *words,
    ]


def secret_environment(storage: str | None) -> dict[str, str]:
    """Returns the variables that launches need and nobody else may read."""
    return {URL_VARIABLE: storage} if storage else {}


def divide_trials(count: int, agents: int) -> list[int]:
    """Divides `count` trials among agents that cannot see each other's."""
    return [count // agents + (place < count % agents) for place in range(agents)]
