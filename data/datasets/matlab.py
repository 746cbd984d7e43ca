"""Reading of files by libraries that need not be installed, such as MATLAB's."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from data.datasets.base import DatasetError


def read_with(name: str, module: str, package: str, read: Any, file: Path) -> Any:
    """Imports an optional library and reads a file with it; turns a failure into a DatasetError."""
    try:
        library = import_module(module)
    except ImportError:
        raise DatasetError(
            f"data set {name!r}: {file} is read with {package}, which is not installed: pip install {package}"
        ) from None
    try:
        return read(library)
    except Exception as error:  # such libraries raise nearly every type on damaged files
        raise DatasetError(f"data set {name!r}: cannot read {file}: {' '.join(str(error).split())}") from None
