"""Search for data sets and their images on the disk, with errors that name the expected files."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from data.datasets.base import DatasetError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")

_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,18}")  # as long as an int64 holds


def whole_number(word: str) -> int:
    """Reads a word of digits as a number; ValueError for other words that int() takes, such as `1_23`."""
    if not _WHOLE_NUMBER.fullmatch(word):
        raise ValueError(f"{word!r} is not a whole number")
    return int(word)


def is_image(name: str) -> bool:
    """Tells whether a file name is an image's; names beginning with a dot are other programs' files."""
    return name.lower().endswith(IMAGE_SUFFIXES) and not name.startswith(".")


def find_folder(root: Path, given: str, usual: Sequence[str], holds: str) -> Path:
    """Finds a data set's folder below `root`: the one given, else the first usual one in which `holds` exists.

    Where no usual folder holds it, returns the first of them, so that the reader reports it as incomplete.
    """
    folders = [root / name for name in ([given] if given else usual)]
    return next((folder for folder in folders if (folder / holds).exists()), folders[0])


def list_images(name: str, folder: Path, expected: str) -> list[str]:
    """Lists the file names of the images in a folder, sorted.

    Raises:
        DatasetError: the folder is missing or has no image; the text says that `expected` was expected.
    """
    try:
        files = os.listdir(folder)
    except OSError as error:
        raise unreadable_path(name, folder, expected, error) from None
    images = sorted(filter(is_image, files))
    if not images:
        raise DatasetError(
            f"data set {name!r}: no usable image in {folder} ({len(files)} files); expected "
            f"{'/'.join(IMAGE_SUFFIXES)} files; {expected}"
        )
    return images


def unreadable_path(name: str, path: Path, expected: str, error: OSError) -> DatasetError:
    """Makes the error for a folder or file that cannot be read."""
    return DatasetError(
        f"data set {name!r}: cannot read {path} ({error.strerror}); expected {expected}; "
        "say where data sets are with DATASETS.ROOT_DIR"
    )
