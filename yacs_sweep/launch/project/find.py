"""Finds the files of a project's defaults. Imports little: every command line looks for them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from ...base.errors import ConfigError

OWN, SHARED = "yacs-sweep.toml", "pyproject.toml"
SECTION = "yacs-sweep"  # of [tool] in pyproject.toml
_TABLE = re.compile(rb"tool\s*\.\s*[\"']?yacs-sweep|\[\s*tool\s*\](?s:.*)yacs-sweep")


def candidates(here: Path) -> Iterator[list[Path]]:
    """Yields for each folder that may have a project's defaults its files, that whose values win first.

    Looked through are `here` and the folders above it, up to the root of its git repository. Outside a repository it is
    `here` alone: what lies further up need not be the project's.
    """
    above = [here, *here.parents]
    root = next((place for place, folder in enumerate(above) if (folder / ".git").exists()), 0)
    for folder in above[: root + 1]:
        if found := [folder / name for name in (OWN, SHARED) if _may_have_settings(folder / name)]:
            yield found


def _may_have_settings(file: Path) -> bool:
    """Tells whether a file is there, and, of one that other tools share, whether it names our table."""
    if file.name == OWN:
        return file.is_file()
    try:
        return _TABLE.search(file.read_bytes()) is not None
    except OSError:
        return False


def refuse_strangers(file: Path, here: Path) -> None:
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
