"""Where the files that come with the launcher are: trainer profiles and sweep presets."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_INSTALLED = _PACKAGE / "share"  # in a wheel; in a checkout the folders are where people look for them
_CHECKOUT = _PACKAGE.parent

TRAINERS = _INSTALLED / "trainers" if _INSTALLED.is_dir() else _CHECKOUT / "configs" / "trainers"
SWEEPS = _INSTALLED / "sweeps" if _INSTALLED.is_dir() else _CHECKOUT / "sweeps"


def project_root_of(profile: Path) -> Path:
    """What a profile's relative paths are relative to: the project that has it in configs/trainers, else its folder.

    A profile that was installed with the launcher belongs to no project: the folder the launcher was started in.
    """
    if profile.parent == _INSTALLED / "trainers":
        return Path.cwd()
    return profile.parents[2] if profile.parent.parts[-2:] == ("configs", "trainers") else profile.parent
