"""Sources of the images of a split: a folder whose paths match a pattern, or the lines of a list."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from data.datasets.base import DatasetError
from data.datasets.listing import Ignored, unreadable_path, walk_images

_DIGITS = 18  # of a number that an int64 holds


@dataclass(frozen=True)
class Found:
    """Image as the data set's folders and lists describe it.

    `pid` is the set's own number, `camid` counts from zero, `camera` is the set's name of it. Names of cameras and clothes
    are empty where they are not known.
    """

    path: str
    pid: int
    camid: int
    camera: str = ""
    clothes: str = ""


@dataclass(frozen=True)
class Reading:
    """A data set that is being read: its name and folder, and what is noted on the way.

    `expected` describes its files for errors, `root` is the folder of all data sets, `settings` the section DATASETS of
    the configuration.
    """

    name: str
    folder: Path
    expected: str
    root: Path
    settings: Any
    ignored: Ignored = field(default_factory=Ignored)
    notes: list[str] = field(default_factory=list)

    def error(self, text: str) -> DatasetError:
        """Makes the error for a mistake in the data set."""
        return DatasetError(f"data set {self.name!r}: {text}")

    def note(self, text: str) -> None:
        """Adds a line for the log."""
        self.notes.append(f"data set {self.name!r}: {text}")

    def read_lines(self, file: str) -> list[str]:
        """Reads the lines of a text file below the folder; a name of any bytes is kept.

        Raises:
            DatasetError: it cannot be read.
        """
        path = self.folder / file
        try:
            return path.read_text(encoding="utf-8", errors="surrogateescape").split("\n")
        except OSError as error:
            raise unreadable_path(self.name, path, self.expected, error, is_found=True) from None


class Source(Protocol):
    """Source of the images of a split."""

    @property
    def mark(self) -> str:
        """Returns the path below the data set's folder that exists where the source does."""

    @property
    def needs(self) -> tuple[str, ...]:
        """Returns the paths below the data set's folder that are read; folders end with a slash."""

    def read(self, reading: Reading) -> list[Found]:
        """Reads the images, in order; raises DatasetError where something is missing or named otherwise."""


@dataclass(frozen=True)
class InFolder:
    """Images in a folder and the folders below, whose paths below it match a pattern from their beginning.

    Args:
        folder: below the data set's.
        pattern: its groups are `pid`, and where they are known `camid` and `clothes`.
        example: a path that matches, for errors.
        letters: cameras that have letters, in order, as in ABC.
        camera: camera of all images, where the pattern has none. Where cameras are not known, the gallery's differs from
            the queries', so that no match is left out.
        clothes: name of the clothes in all images, where the pattern has none.
    """

    folder: str
    pattern: str
    example: str
    letters: str = ""
    camera: int = 0
    clothes: str = ""

    @property
    def mark(self) -> str:
        """Returns the folder."""
        return self.folder

    @property
    def needs(self) -> tuple[str, ...]:
        """Returns the folder."""
        return (f"{self.folder}/",)

    def read(self, reading: Reading) -> list[Found]:
        """Reads the images, in the order of their paths.

        Raises:
            DatasetError: no folder, no image, or paths that do not match.
        """
        folder = reading.folder / self.folder
        try:
            paths = sorted(walk_images(folder, reading.ignored))
        except OSError as error:
            raise unreadable_path(reading.name, Path(error.filename or folder), reading.expected, error) from None
        if not paths:
            raise reading.error(f"no usable image in {folder} or the folders below; expected {reading.expected}")
        words = [(path, _words(re.match(self.pattern, path, re.ASCII))) for path in paths]
        if unmatched := [path for path, found in words if not found]:
            raise reading.error(
                f"{len(unmatched)} of {len(paths)} images in {folder} are not named as {self.example}; the first is"
                f" {unmatched[0]!r}"
            )
        return [self._found(folder / path, found) for path, found in words]

    def _found(self, path: Path, words: dict[str, str]) -> Found:
        """Makes the image that the pattern's words describe."""
        letters, camera, clothes = self.letters, words.get("camid", ""), words.get("clothes", self.clothes)
        if letters:
            camera = camera or letters[self.camera]
            return Found(str(path), int(words["pid"]), letters.index(camera), camera, clothes)
        camid = int(camera) - 1 if camera else self.camera
        return Found(str(path), int(words["pid"]), camid, str(camid + 1) if camera else "", clothes)


@dataclass(frozen=True)
class CameraTable:
    """Text file with a line for each image, which says its camera.

    Args:
        file: below the data set's folder.
        pattern: of a line's beginning; its groups are `image`, as in the list of images, and `camid`.
    """

    file: str
    pattern: str

    def read(self, reading: Reading) -> dict[str, int]:
        """Reads the number of each image's camera, as the file has it; lines of another form, such as a head, are passed over."""
        matches = (re.match(self.pattern, line, re.ASCII) for line in reading.read_lines(self.file))
        return {match["image"]: int(match["camid"]) for match in matches if match}


@dataclass(frozen=True)
class Listed:
    """Images that the lines of a text file name.

    Args:
        file: below the data set's folder.
        images: folder that the names are relative to, below the data set's.
        pattern: of a whole line; its groups are `image` and `pid`, and where it says the camera, counted from 1, `camid`.
        example: a line that matches, for errors.
        suffix: of the images' files, where lines leave it out.
        cameras: says the camera of each image; its numbers are kept.
    """

    file: str
    images: str
    pattern: str
    example: str
    suffix: str = ""
    cameras: CameraTable | None = None

    @property
    def mark(self) -> str:
        """Returns the images' folder."""
        return self.images

    @property
    def needs(self) -> tuple[str, ...]:
        """Returns the file, and the images' folder."""
        return (self.file, *([self.cameras.file] if self.cameras else []), f"{self.images}/")

    def read(self, reading: Reading) -> list[Found]:
        """Reads the images, in the order of the lines.

        Raises:
            DatasetError: a file that cannot be read, a line of another form, no image, or the first of them missing.
        """
        table, cameras = self.cameras, self.cameras.read(reading) if self.cameras else {}
        file, folder = reading.folder / self.file, reading.folder / self.images
        found = []
        for number, line in enumerate(reading.read_lines(self.file), start=1):
            if not line.strip():
                continue
            words = _words(re.fullmatch(self.pattern, line.strip(), re.ASCII))
            if not words:
                raise reading.error(f"{file}:{number}: {line!r} is not an image and identity such as {self.example}")
            image, camid = words["image"], int(words.get("camid", "1")) - 1
            camera = str(camid + 1) if "camid" in words else ""
            if table is not None:
                if image not in cameras:
                    raise reading.error(f"{file}:{number}: {reading.folder / table.file} has no camera of {image}")
                camid, camera = cameras[image], str(cameras[image])
            found.append(Found(str(folder / (image + self.suffix)), int(words["pid"]), camid, camera))
        if not found or not Path(found[0].path).is_file():
            what = f"there is no {found[0].path}, its first image" if found else "it names no image"
            raise reading.error(f"{file}: {what}")
        return found


def _words(match: re.Match[str] | None) -> dict[str, str]:
    """Returns the words of a pattern's groups; none where it does not match, or a number is too long for 64 bits."""
    words = {name: word for name, word in match.groupdict().items() if word} if match else {}
    return {} if any(len(words.get(name, "")) > _DIGITS for name in ("pid", "camid")) else words


def number_clothes(images: Sequence[Found]) -> tuple[int, ...]:
    """Numbers the clothes of images; those of two identities are never the same. Empty where none are known."""
    if not any(image.clothes for image in images):
        return ()
    worn = sorted({(image.pid, image.clothes) for image in images})
    numbers = {key: number for number, key in enumerate(worn)}
    return tuple(numbers[image.pid, image.clothes] for image in images)


def of_people(images: Iterable[Found], people: frozenset[int] | set[int]) -> list[Found]:
    """Takes the images of the given identities."""
    return [image for image in images if image.pid in people]
