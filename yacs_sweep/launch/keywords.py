"""The command line's options as keyword arguments: the same names, the same checks."""

from __future__ import annotations

import argparse
import json
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn, TypeAlias, TypedDict

from ..base.command_line import Parser
from ..base.errors import ConfigError
from ..base.wording import did_you_mean
from ..spec.sweep_files import as_yaml
from .options import contradictions, make_parser, take_environment

PathLike: TypeAlias = "str | os.PathLike[str]"


class Options(TypedDict, total=False):
    """What `sweep.py --help` says of each option; seconds where it says SECONDS."""

    config_file: PathLike
    count: int
    method: str
    lr_values: Sequence[float] | str
    wd_values: Sequence[float] | str
    custom_params: Mapping[str, Any] | str
    sweep_name: str
    metric: str
    goal: str
    optimize: str
    seed: int
    keep: str
    log_model: bool
    enqueue: PathLike | Sequence[Mapping[str, Any]]
    from_sweep: str
    controller: str
    project: str
    entity: str
    wandb_mode: str
    storage: str
    results_dir: PathLike
    trainer: PathLike
    python: PathLike
    workers: int
    gpus: Sequence[int | str] | str
    gpus_per_trial: int
    trials_per_gpu: int
    verbose: bool
    quiet: bool
    notify: str
    engine: str
    agents: int
    engine_option: Mapping[str, Any]
    no_preload: bool
    timeout: float
    stall_timeout: float
    grace: float
    max_failures: int
    retries: int
    on_oom: str
    gpu_wait: float


class _Strict(Parser):
    """Raises what the command line prints before it exits."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(re.sub(r"^argument [^:]*: ", "", message))


def to_namespace(given: Mapping[str, Any]) -> argparse.Namespace:
    """What `options.parse` gives for the same options; None is an option that is not given.

    One line tells of each trial's start and end, unless `quiet=False` asks for more, or `verbose=True` for the trainer's own
    lines as well.

    Raises:
        ConfigError: with every option that does not exist, or has a value it cannot have.
    """
    parser, problems = make_parser(_Strict), []
    options = parser.parse_args([])
    for name, value in {**given, "quiet": given.get("quiet", not given.get("verbose"))}.items():
        try:
            if value is not None:
                setattr(options, name, _read(parser, name, value))
        except ConfigError as error:
            problems += [f"{name}: {problem}" for problem in error.problems]
    problems += contradictions(options)
    if problems:
        raise ConfigError(problems)
    take_environment(options)
    return options


def _read(parser: Parser, name: str, value: Any) -> Any:
    """The value as the command line's parser makes it of words."""
    if name not in Options.__annotations__:
        raise ConfigError(f"is not an option{did_you_mean(name, Options.__annotations__)}")
    if name == "custom_params" and isinstance(value, Mapping):
        return as_yaml(value)
    if name == "enqueue" and not isinstance(value, str | os.PathLike):
        points = as_yaml(value)
        if not isinstance(points, list) or not all(isinstance(point, dict) for point in points):
            raise ConfigError(f"{value!r} is not a list of points; write [{{'lr': 0.1}}, …], or name a file")
        return points
    if name in ("verbose", "quiet", "no_preload", "log_model"):
        if not isinstance(value, bool):
            raise ConfigError(f"{value!r} is not True or False")
        return value
    if name == "engine_option" and isinstance(value, Mapping):
        texts = [f"{key}={item}" for key, item in value.items()]
    elif isinstance(value, Sequence) and not isinstance(value, str):
        texts = [",".join(map(str, value))]
    else:
        texts = [os.fspath(value) if isinstance(value, os.PathLike) else str(value)]
    return getattr(parser.parse_args([f"--{name}={text}" for text in texts]), name)


def described_by(search: PathLike | Mapping[str, Any] | None) -> list[Any] | None:
    """What stands for `--sweep-config`: a file, a preset's name, or the description itself.

    Raises:
        ConfigError: it is none of these.
    """
    if search is None:
        return None
    if isinstance(search, Mapping):
        try:
            json.dumps(as_yaml(search))
        except (TypeError, ValueError) as error:
            raise ConfigError(f"sweep: {error}; a description holds numbers, texts, lists and dicts") from None
        return [search]
    if isinstance(search, str | os.PathLike):
        return [os.fspath(search)]
    raise ConfigError(f"sweep: {search!r} is not a description, a file or a preset; write Sweep({{'method': …}})")
