"""Finds the files of a project's defaults. Imports little: every command line looks for them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from ...base.errors import ConfigError

OWN, SHARED = "yacs-sweep.toml", "pyproject.toml"
SECTION = "yacs-sweep"  # of [tool] in pyproject.toml


def project_files(here: Path) -> list[Path]:
    """Returns the files of the nearest folder that has one, that whose values win first; empty without any.

    Looked through are `here` and the folders above it, up to the root of its git repository. Outside a repository it is
    `here` alone: what lies further up need not be the project's.

    Raises:
        ConfigError: somebody else has put the file there.
    """
    for folder in _folders(here):
        found = [folder / name for name in (OWN, SHARED) if _says_something(folder / name)]
        if found:
            for file in found:
                _refuse_strangers(file, here)
            return found
    return []


def _folders(here: Path) -> Iterator[Path]:
    """Yields the folders that belong to the project, the nearest first."""
    above = [here, *here.parents]
    root = next((place for place, folder in enumerate(above) if (folder / ".git").exists()), 0)
    yield from above[: root + 1]


def _says_something(file: Path) -> bool:
    """Tells whether a file is there, and, of one that other tools share, whether it may have our section."""
    if file.name == OWN:
        return file.is_file()
    try:
        return SECTION.encode() in file.read_bytes()
    except OSError:
        return False


def _refuse_strangers(file: Path, here: Path) -> None:
    """Raises ConfigError for a file that belongs neither to the user, nor to root, nor to who owns the current folder.

    Its values start commands, and anybody may put a file into a folder such as /tmp.
    """
    owner = file.stat().st_uid
    if owner not in (os.geteuid(), 0, here.stat().st_uid):
        try:
            name = file.owner()
        except KeyError:  # a user of another machine
            name = f"user {owner}"
        raise ConfigError(
            f"{os.path.relpath(file, here)}: belongs to {name}, and its settings start commands; copy it, or do without: "
            "--no-project-defaults"
        )
