"""Locates the files that come with the launcher: trainer profiles and sweep presets."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent.parent
IMPORT_ROOT = _PACKAGE.parent  # a child process with this folder on sys.path can import the package
INSTALLED = _PACKAGE / "share"  # only in a wheel; a checkout has the folders at its top
TRAINERS = INSTALLED / "trainers" if INSTALLED.is_dir() else IMPORT_ROOT / "configs" / "trainers"
SWEEPS = INSTALLED / "sweeps" if INSTALLED.is_dir() else IMPORT_ROOT / "sweeps"
