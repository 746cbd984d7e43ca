"""Where the files that come with the launcher are: trainer profiles and sweep presets."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent.parent
IMPORT_ROOT = _PACKAGE.parent  # put on sys.path, a child process can import the package
_INSTALLED = _PACKAGE / "share"  # in a wheel; in a checkout the folders are where people look for them
TRAINERS = _INSTALLED / "trainers" if _INSTALLED.is_dir() else IMPORT_ROOT / "configs" / "trainers"
SWEEPS = _INSTALLED / "sweeps" if _INSTALLED.is_dir() else IMPORT_ROOT / "sweeps"
