"""Search for the images of data sets on the disk; every file that is left out is counted, by reason."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from data.datasets.base import DatasetError
from utils.text import one_line

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
JUNK = "junk (-1)"
_REASONS = 6  # named in a line; the rarer ones are added up

_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,18}")  # as long as an int64 holds

Ignored = Counter[str]  # number of files by the reason they are left out for


def whole_number(word: str) -> int:
    """Reads a word of digits as a number; ValueError for other words that int() takes, such as `1_23`."""
    if not _WHOLE_NUMBER.fullmatch(word):
        raise ValueError(f"{word!r} is not a whole number")
    return int(word)


def list_images(name: str, folder: Path, expected: str, ignored: Ignored) -> list[str]:
    """Lists the file names of the images in a folder, sorted; counts the others in `ignored`.

    Raises:
        DatasetError: the folder is missing or has no image; the text says that `expected` was expected.
    """
    try:
        with os.scandir(folder) as entries:
            files = [(entry.name, entry.is_dir()) for entry in entries]
    except OSError as error:
        raise unreadable_path(name, folder, expected, error) from None
    ignored.update("folders" for _, is_folder in files if is_folder)
    images = sorted(_only_images((file for file, is_folder in files if not is_folder), ignored))
    if not images:
        raise DatasetError(
            f"data set {name!r}: no usable image in {folder} ({len(files)} files); expected "
            f"{'/'.join(IMAGE_SUFFIXES)} files; {expected}"
        )
    return images


def walk_images(folder: Path, ignored: Ignored) -> list[str]:
    """Lists the paths of the images in a folder and all folders below, relative to it; counts other files in `ignored`.

    Links to folders are followed, each folder is read once: under its own path where that is below `folder`.

    Raises:
        OSError: a folder cannot be read.
    """
    found: list[str] = []
    real = folder.resolve()
    known = {_identity(above) for above in (real, *real.parents)}
    ways = [""]
    while ways:
        links: list[str] = []
        for way in ways:
            for parent, folders, files in os.walk(folder / way, onerror=_fail):
                below, identity = os.path.relpath(parent, folder), _identity(parent)
                if identity in known and below != ".":
                    ignored["links to folders that are read already"] += 1
                    folders.clear()
                    continue
                known.add(identity)
                within = "" if below == "." else f"{below}/"
                links += [within + name for name in folders if os.path.islink(os.path.join(parent, name))]
                found += [within + file for file in _only_images(files, ignored)]
        ways = sorted(links)
    return found


def ignored_note(name: str, ignored: Ignored) -> tuple[str, ...]:
    """Writes the line about files that were left out of a data set; no line where there were none."""
    if not (total := ignored.total()):
        return ()
    reasons = sorted(ignored.items(), key=lambda reason: (-reason[1], reason[0]))
    named = [f"{reason} {number}" for reason, number in reasons[:_REASONS]]
    rest = [f"others {number}" for number in [sum(number for _, number in reasons[_REASONS:])] if number]
    return (f"data set {name!r}: {total} file{'s' * (total > 1)} ignored: {', '.join(named + rest)}",)


def unreadable_path(name: str, path: Path, expected: str, error: OSError, *, is_found: bool = False) -> DatasetError:
    """Makes the error for a folder or file that cannot be read, of a data set whose folder is found or not."""
    hint = (
        "copy it there, or name other sets with DATASETS.NAMES or DATASETS.TEST_NAMES"
        if is_found
        else "say where data sets are with DATASETS.ROOT_DIR"
    )
    return DatasetError(f"data set {name!r}: cannot read {path} ({error.strerror}); expected {expected}; {hint}")


def _only_images(files: Iterator[str] | list[str], ignored: Ignored) -> Iterator[str]:
    """Yields the names that are images'; names that begin with a dot are other programs' files."""
    for file in files:
        if file.startswith("."):
            ignored["hidden"] += 1
        elif file.lower().endswith(IMAGE_SUFFIXES):
            yield file
        else:
            ignored[one_line(os.path.splitext(file)[1].lower()) or "without a suffix"] += 1


def _identity(folder: str | Path) -> tuple[int, int]:
    """Looks up what two paths of one folder have in common."""
    status = os.stat(folder)
    return status.st_dev, status.st_ino


def _fail(error: OSError) -> None:
    raise error
