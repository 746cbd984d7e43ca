"""Locates the files that come with the launcher, tells its version, and names the packages that come only with an extra."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent.parent
IMPORT_ROOT = _PACKAGE.parent  # a child process with this folder on sys.path can import the package
INSTALLED = _PACKAGE / "share"  # only in a wheel; a checkout has the folders at its top
TRAINERS = INSTALLED / "trainers" if INSTALLED.is_dir() else IMPORT_ROOT / "configs" / "trainers"
SWEEPS = INSTALLED / "sweeps" if INSTALLED.is_dir() else IMPORT_ROOT / "sweeps"

# What each optional feature needs: the extras of pyproject.toml, as a checkout cannot ask for its own metadata (a test compares).
EXTRAS = {
    "tensorboard": ("tensorboard",),
    "mlflow": ("mlflow-skinny",),
    "postgres": ("psycopg[binary]",),
    "ray": ("ray>=2.40",),
    "ax": ("ax-platform>=1.3",),
    "web": ("starlette>=0.40", "uvicorn>=0.30"),
    "completion": ("shtab>=1.13",),
}

NAME = "yacs-sweep"
_UNKNOWN = "unknown"  # the version where neither pyproject.toml nor metadata lie beside the package
_BESIDE = ("wandb", "optuna")  # packages whose versions matter as much


def installed() -> dict[str, str]:
    """Returns the versions of installed packages by name, from the names of their folders of metadata.

    `importlib.metadata` reads them too, with 6 MB of parsers for mail.
    """
    found: dict[str, str] = {}
    for folder in sys.path:
        _read_metadata(folder or ".", found)
    return found


def _read_metadata(folder: str | Path, found: dict[str, str]) -> None:
    """Adds the versions of the packages in one folder; those that are there stay."""
    with contextlib.suppress(OSError):
        for entry in os.listdir(folder):
            stem, _, kind = entry.rpartition(".")
            name, _, version = stem.partition("-")
            if kind in ("dist-info", "egg-info") and version:
                found.setdefault(name.replace("_", "-").lower(), version.partition("-")[0])


@cache
def version() -> str:
    """Returns the launcher's version: a checkout's from its pyproject.toml, else that of the metadata beside the package."""
    with contextlib.suppress(OSError):
        text = "" if INSTALLED.is_dir() else (IMPORT_ROOT / "pyproject.toml").read_text(encoding="utf-8")
        if found := re.search(rf'^name = "{NAME}"\nversion = "([^"]+)"', text, re.MULTILINE):
            return found[1]
    beside: dict[str, str] = {}
    _read_metadata(IMPORT_ROOT, beside)
    return beside.get(NAME, _UNKNOWN)


def version_with_commit() -> str:
    """Returns the version, of a checkout with the commit and whether tracked files differ from it; asks git, 20 ms."""
    if INSTALLED.is_dir():
        return version()
    commit = _commit()
    return f"{version()} (checkout {commit})" if commit else f"{version()} (checkout)"


def _commit() -> str:
    """Returns the checkout's commit, with `changed` behind it where tracked files differ; empty where git does not say."""
    git = IMPORT_ROOT / ".git"
    if not git.exists():  # a copy without history: a repository around it has commits of its own
        return ""
    # Named, since a hook of git runs with variables that name another repository.
    words = ["git", "-C", str(IMPORT_ROOT), f"--git-dir={git}", f"--work-tree={IMPORT_ROOT}", "--no-optional-locks"]
    words += ["describe", "--always", "--exclude=*", "--dirty=, changed"]
    try:
        done = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            timeout=5,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def version_lines() -> list[str]:
    """Returns what `--version` prints: the launcher's version, and those of what it runs with."""
    there = installed()
    beside = [f"{name} {there.get(name, 'missing')}" for name in _BESIDE]
    return [
        f"{NAME} {version_with_commit()}",
        ", ".join(["Python {}.{}.{}".format(*sys.version_info), *beside]),
    ]


def install_command(extra: str) -> str:
    """Returns the command that installs what an optional feature needs, in a checkout as beside an installed launcher."""
    return shlex.join(["pip", "install", *EXTRAS[extra]])
