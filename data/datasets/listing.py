"""Finding data sets and their images on the disk, with errors that say what was expected where."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from data.datasets.base import DatasetError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp")  # a data set's
ALL_SUFFIXES = (*IMAGE_SUFFIXES, ".tif", ".tiff", ".webp")

_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,18}")  # as long as an int64 holds


def whole_number(word: str) -> int:
    """The number a word of digits is. ValueError for other words that int() takes: `1_23` is not the 123 of `12_3`."""
    if not _WHOLE_NUMBER.fullmatch(word):
        raise ValueError(f"{word!r} is no whole number")
    return int(word)


def is_image(name: str, suffixes: tuple[str, ...] = IMAGE_SUFFIXES) -> bool:
    """Whether a file name is that of an image; names beginning with a dot are other programs' notes."""
    return name.lower().endswith(suffixes) and not name.startswith(".")


def find_folder(root: Path, given: str, usual: Sequence[str], holds: str) -> Path:
    """The data set's folder below `root`: the one given, else the first of the usual ones in which `holds` exists,
    else the first of them, which then is not as it should be."""
    folders = [root / name for name in ([given] if given else usual)]
    return next((folder for folder in folders if (folder / holds).exists()), folders[0])


def list_images(name: str, folder: Path, expected: str) -> list[str]:
    """File names of the images in a folder, sorted.

    Raises DatasetError where there is no such folder, which says that `expected` was, or where it has no image.
    """
    try:
        files = os.listdir(folder)
    except OSError as error:
        raise missing(name, folder, expected, error) from None
    images = sorted(filter(is_image, files))
    if not images:
        raise DatasetError(
            f"data set {name!r}: no usable image in {folder} ({len(files)} files); expected "
            f"{'/'.join(IMAGE_SUFFIXES)} files; {expected}"
        )
    return images


def missing(name: str, path: Path, expected: str, error: OSError) -> DatasetError:
    """The error for a folder or file that cannot be read."""
    return DatasetError(
        f"data set {name!r}: cannot read {path} ({error.strerror}); expected {expected}; "
        "say where data sets are with DATASETS.ROOT_DIR"
    )
