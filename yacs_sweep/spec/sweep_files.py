"""Finds sweep files and presets, and reads them into one validated description of a search."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..base.errors import ConfigError
from ..base.shipped import SWEEPS
from ..base.values import to_builtin
from ..base.wording import did_you_mean
from ..base.yaml_document import Document, read_yaml_file
from .read_sweep import parse_spec
from .sweep import SweepSpec


def preset_folders() -> list[Path]:
    """Returns the folders of `--sweep-config NAME`.

    The current folder's sweeps/ comes first, then the presets that come with the launcher.
    """
    return [Path("sweeps"), SWEEPS]


_SUFFIXES = (".yaml", ".yml")


def load_spec(
    source: str | Path | Mapping[str, Any],
    *,
    search_dirs: Iterable[str | Path] = (),
    overrides: Mapping[str, Any] | None = None,
) -> SweepSpec:
    """Reads the sweep in a file, in the preset of that name in one of `search_dirs`, or in a mapping.

    `overrides` replaces top-level keys before anything is checked (a file may lack what the
    command line gives). Raises ConfigError with every mistake, each with file, line and column.
    """
    document = read_sweep_document(source, search_dirs)
    if overrides and isinstance(document.data, dict):
        document = document.replaced(overrides, "command line")
    return parse_spec(document)


def read_sweep_document(source: str | Path | Mapping[str, Any], search_dirs: Iterable[str | Path] = ()) -> Document:
    """Reads a sweep as it is written, in a file or in Python. Raises ConfigError when it cannot be read."""
    if isinstance(source, Mapping):
        return Document("sweep", as_yaml(source))
    path = find_sweep_file(source, search_dirs)
    return read_yaml_file(str(path), str(path))


def as_yaml(value: Any) -> Any:
    """Converts Python values to those of YAML's reader: mappings to dicts; tuples, ranges, numpy's arrays to lists."""
    if isinstance(value, Mapping):
        return {key if isinstance(key, str) else str(key): as_yaml(item) for key, item in value.items()}
    if hasattr(value, "tolist"):  # numpy's arrays and scalars
        return as_yaml(value.tolist())
    if isinstance(value, list | tuple | range | set | frozenset):
        return [as_yaml(item) for item in value]
    return os.fspath(value) if isinstance(value, os.PathLike) else to_builtin(value)


def find_sweep_file(source: str | Path, search_dirs: Iterable[str | Path] = ()) -> Path:
    """Finds the file a user means by a path or a preset's name.

    Raises ConfigError, which lists the presets.
    """
    path = Path(source)
    if path.is_file():
        return path
    directories = [Path(directory) for directory in search_dirs]
    if path.name == str(source):
        for directory in directories:
            for suffix in ("", *_SUFFIXES):
                candidate = directory / f"{path.name}{suffix}"
                if candidate.is_file():
                    return candidate
    if path.is_dir():
        raise ConfigError(f"{source}: is a folder, not a sweep file")
    names = presets(directories)
    known = f"; presets: {', '.join(names)}{did_you_mean(path.stem, names)}" if names else ""
    raise ConfigError(f"{source}: no such sweep file or preset{known}")


def presets(search_dirs: Iterable[str | Path]) -> list[str]:
    """Lists the names of the sweep files in some folders, sorted."""
    found = (path for directory in search_dirs for path in Path(directory).glob("*.y*ml"))
    return sorted({path.stem for path in found if path.suffix in _SUFFIXES})
