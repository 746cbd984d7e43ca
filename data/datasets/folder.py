"""Reader of any image folders: a pattern in the configuration finds identity and camera in a path.

The pattern is searched in an image's path below its split's folder, with / between folders: named groups `pid` and,
where cameras are known, `camid`. Identities and cameras that are all whole numbers keep them, and identity -1 is junk,
left out; others are numbered in sorted order. Only digits are a number, and only -1 may be below 0.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from data.datasets.base import ALL, DatasetError, DatasetRequest, ReIDDataset, Sample, WantedSplits, relabel
from data.datasets.listing import JUNK, Ignored, ignored_note, unreadable_path, walk_images, whole_number

_JUNK = -1


@dataclass(frozen=True)
class FolderLayout:
    """Settings of the generic layout: DATASETS.FOLDER_TRAIN, _QUERY, _GALLERY and _PATTERN."""

    train: str
    query: str
    gallery: str
    pattern: str


@dataclass(frozen=True)
class _FoundImage:
    """Image file and the words that the pattern found in its path."""

    path: str
    pid: str
    camid: str


def read(request: DatasetRequest) -> ReIDDataset:
    """Reads any folders as the settings say; raises DatasetError as `read_folder` does."""
    settings = request.settings
    layout = FolderLayout(
        settings.FOLDER_TRAIN, settings.FOLDER_QUERY, settings.FOLDER_GALLERY, settings.FOLDER_PATTERN
    )
    return read_folder(request.name, request.root / request.given, layout, request.wanted)


def read_folder(name: str, folder: Path, layout: FolderLayout, wanted: WantedSplits = ALL) -> ReIDDataset:
    """Reads the wanted splits under `folder`, with all folders below.

    Without cameras the queries count as of one camera and the gallery as of another, so that no match is left out.

    Raises:
        DatasetError: a missing folder, an image whose path does not match the pattern, or a split without images.
    """
    pattern, ignored = re.compile(layout.pattern), Ignored()
    train, query, gallery = (
        _find(name, folder / split, pattern, default, ignored) if read else [] for split, default, read in
        ((layout.train, "0", wanted.train), (layout.query, "0", wanted.test), (layout.gallery, "1", wanted.test))
    )  # fmt: skip
    tested = [*query, *gallery]
    pids, pid_names = _numbers(found.pid for found in tested)
    camids, camera_names = _numbers(found.camid for found in tested)
    train_pids, _ = _numbers(found.pid for found in train)
    train_camids, train_names = _numbers(found.camid for found in train)
    dataset = ReIDDataset(
        name=name,
        train=relabel(_samples(train, train_pids, train_camids)),
        query=_samples(query, pids, camids),
        gallery=_samples(gallery, pids, camids),
        pid_names=pid_names,
        camera_names=camera_names if "camid" in pattern.groupindex else dict.fromkeys(camera_names, ""),
        same_cameras=all(
            name == str(number) for names in (train_names, camera_names) for number, name in names.items()
        ),
    )
    for split, found in (("train", train), ("query", query), ("gallery", gallery)):
        if found and not getattr(dataset, split):
            raise DatasetError(f"data set {name!r}: all images of {folder / getattr(layout, split)} are junk (-1)")
        if junk := len(found) - len(getattr(dataset, split)):
            ignored[JUNK] += junk
    return replace(dataset, notes=ignored_note(name, ignored))


def _find(name: str, folder: Path, pattern: re.Pattern[str], default_camid: str, ignored: Ignored) -> list[_FoundImage]:
    """Finds the images of a split and matches the pattern against their paths; other files count in `ignored`."""
    try:
        images = sorted(folder / path for path in walk_images(folder, ignored))
    except OSError as error:
        expected = "the folders of DATASETS.FOLDER_TRAIN, _QUERY and _GALLERY"
        raise unreadable_path(name, Path(error.filename or folder), expected, error) from None
    paths = [path.relative_to(folder).as_posix() for path in images]
    matches = [pattern.search(path) for path in paths]
    unmatched = [path for path, match in zip(paths, matches, strict=True) if match is None]
    if not images:
        raise DatasetError(f"data set {name!r}: no usable image in {folder} or the folders below")
    if unmatched:
        raise DatasetError(
            f"data set {name!r}: DATASETS.FOLDER_PATTERN {pattern.pattern!r} is not in {len(unmatched)} of "
            f"{len(paths)} paths below {folder}; the first is {unmatched[0]!r}"
        )
    return [
        _FoundImage(str(path), match["pid"], match.groupdict().get("camid") or default_camid)
        for path, match in zip(images, matches, strict=True)
        if match is not None
    ]


def _numbers(words: Iterable[str]) -> tuple[dict[str, int], dict[int, str]]:
    """Maps words to numbers, whole numbers to themselves, else all words to their place in sorted order; and back."""
    distinct = sorted(set(words))
    try:
        numbers = {word: whole_number(word) for word in distinct}
    except ValueError:
        numbers = {}
    if min(numbers.values(), default=_JUNK - 1) >= _JUNK:
        return numbers, {number: str(number) for number in numbers.values()}
    return {word: number for number, word in enumerate(distinct)}, dict(enumerate(distinct))


def _samples(found: Iterable[_FoundImage], pids: dict[str, int], camids: dict[str, int]) -> tuple[Sample, ...]:
    """Makes samples of found images; junk is left out."""
    samples = (Sample(image.path, pids[image.pid], camids[image.camid]) for image in found)
    return tuple(sample for sample in samples if sample.pid != _JUNK)
