"""Describes an option of `tools/sweep.py`, and converts the values of those that need more than argparse's types."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ...base.errors import ConfigError
from ...base.options import Option, declare

ALL_FAILED = "all"  # of --retry-failed
PATH = "PathLike"  # the type of a keyword argument that names a file
EACH_LAUNCH: dict[str, Any] = {"passed_on": True, "per_launch": True}  # an option that no sweep keeps


@dataclass(frozen=True, kw_only=True)
class ProjectDefault:
    """Describes how a project's file says the default of an option (yacs-sweep.toml, pyproject.toml).

    Args:
        each_launch: whether it also holds for a sweep that is resumed, since no sweep keeps it.
        path: whether it is a path, which begins in the file's folder,
        name: or else a name that is looked for.
        file_keys: the sweep file's keys that say the same, and win; `parameters.NAME` is a parameter.
        unless: options which, given on the command line, set it aside.
        variable: a variable of the environment that says the same, and wins.
    """

    each_launch: bool = False
    path: bool = False
    name: bool = False
    file_keys: tuple[str, ...] = ()
    unless: tuple[str, ...] = ()
    variable: str | None = None


OF_LAUNCH: dict[str, Any] = {"in_project": ProjectDefault(each_launch=True)}


@dataclass(frozen=True, kw_only=True)
class SweepOption(Option):
    """Describes an option of a sweep, and how the launcher treats it.

    Args:
        keyword: whether `Sweep` takes it as a keyword argument; a text is the argument's type where that is not the field's.
        from_python: makes the field's value of a keyword argument that no word can say; None: the argument is read as words are.
        passed_on: whether the launches that an engine starts are given it.
        per_launch: whether the sweep's launch.json does not keep it, so that the command that resumes the sweep repeats it.
        first_launch: whether it holds for the first launch of a `Sweep` object alone.
        refused_beside: the options that it cannot stand beside.
        with_status: whether it may stand beside `--status`.
        not_empty: whether an empty text is refused, as an unset variable of the shell makes it.
        engine_only: whether it belongs to an engine, and is refused with `--engine local`.
        starts_agents: whether a command line with it may start agents here.
        in_project: how a project's file says its default; None: it cannot.
    """

    keyword: str | bool = True
    from_python: Callable[[Any], Any] | None = None
    passed_on: bool = False
    per_launch: bool = False
    first_launch: bool = False
    refused_beside: tuple[str, ...] = ()
    with_status: bool = False
    not_empty: bool = False
    engine_only: bool = False
    starts_agents: bool = True
    in_project: ProjectDefault | None = None


def keep_policy(text: str) -> str:
    """Checks a policy of `checkpoints.Keep`; an argparse type."""
    from ...records.checkpoints import Keep

    try:
        Keep.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def as_mapping(value: Any) -> dict[str, Any] | None:
    """Returns a mapping as YAML has it; None for another value."""
    from ...spec.sweep_files import as_yaml

    return as_yaml(value) if isinstance(value, Mapping) else None


def as_points(value: Any) -> list[dict[str, Any]] | None:
    """Returns a list of points as YAML has it; None for a file's name."""
    from ...spec.sweep_files import as_yaml

    if isinstance(value, str | os.PathLike):
        return None
    points = as_yaml(value)
    if not isinstance(points, list) or not all(isinstance(point, dict) for point in points):
        raise ConfigError(f"{value!r} is not a list of points; write [{{'lr': 0.1}}, …], or name a file")
    return points


def as_failed(value: Any) -> str | None:
    """Returns what True means for --retry-failed; None for names."""
    return ALL_FAILED if value is True else None


def group(title: str | None) -> Callable[..., Any]:
    """Returns a function that declares an option under that heading."""

    def declared(
        help: str,
        metavar: str | None = None,
        convert: Callable[[str], Any] | None = None,
        *,
        default: Any = None,
        **settings: Any,
    ) -> Any:
        return declare(SweepOption(help=help, metavar=metavar, convert=convert, group=title, **settings), default)

    return declared
