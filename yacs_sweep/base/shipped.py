"""Locates the files that come with the launcher, and names the packages that come only with an extra."""

from __future__ import annotations

import shlex
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
}


def install_command(extra: str) -> str:
    """Returns the command that installs what an optional feature needs, in a checkout as beside an installed launcher."""
    return shlex.join(["pip", "install", *EXTRAS[extra]])
