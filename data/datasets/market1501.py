"""Reader of the Market-1501 layout (Zheng et al., "Scalable Person Re-identification", ICCV 2015) and equal layouts.

    bounding_box_train/0002_c1s1_000451_03.jpg     identity 2 seen by camera 1
    query/0001_c1s1_001051_00.jpg
    bounding_box_test/-1_c1s1_000401_03.jpg        -1: a junk box, left out; 0000: a distractor, kept

The rest of the name (sequence, frame, box) is not looked at. DukeMTMC-reID, Occluded-Duke and the image folders of
CUHK03's new protocol are laid out the same; VeRi-776 has other folders (`veri`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from data.datasets.base import ALL, DatasetError, DatasetRequest, ReIDDataset, Sample, WantedSplits, relabel
from data.datasets.listing import JUNK, Ignored, ignored_note, list_images

TRAIN, QUERY, GALLERY = "bounding_box_train", "query", "bounding_box_test"
_NAME = re.compile(r"(-1|\d+)_c0*([1-9]\d*)", re.ASCII)
_JUNK, _DISTRACTOR = -1, 0
_USUAL = ("market1501", "market1501/Market-1501-v15.09.15", "Market-1501-v15.09.15", "Market-1501")


def read(request: DatasetRequest) -> ReIDDataset:
    """Reads Market-1501; raises DatasetError as `read_market1501` does."""
    return read_same_layout(request, _USUAL)


def read_same_layout(
    request: DatasetRequest, usual: Sequence[str], splits: tuple[str, str, str] = (TRAIN, QUERY, GALLERY)
) -> ReIDDataset:
    """Reads a data set of this layout from the first of its usual folders that exists."""
    folder = request.find_folder(usual, splits[0] if request.wanted.train else splits[1])
    return read_market1501(request.name, folder, splits, request.wanted)


def read_market1501(
    name: str, folder: Path, splits: tuple[str, str, str] = (TRAIN, QUERY, GALLERY), wanted: WantedSplits = ALL
) -> ReIDDataset:
    """Reads the wanted splits under `folder`; identities of the training split are renumbered.

    Args:
        name: of the data set, for errors.
        folder: holds the splits' folders.
        splits: names of the folders of training, query and gallery images.
        wanted: the splits to read.
    Raises:
        DatasetError: a missing folder, an image whose name does not carry identity and camera, or a split without
            images.
    """
    ignored = Ignored()
    train, query, gallery = (
        _read_split(name, folder, split, splits, ignored) if read else ()
        for split, read in zip(splits, (wanted.train, wanted.test, wanted.test), strict=True)
    )
    return ReIDDataset(
        name=name,
        train=relabel(train),
        query=query,
        gallery=gallery,
        distractors=frozenset({_DISTRACTOR}),
        notes=ignored_note(name, ignored),
    )


def _read_split(
    name: str, folder: Path, split: str, splits: tuple[str, str, str], ignored: Ignored
) -> tuple[Sample, ...]:
    """Reads one split's folder; junk boxes are left out, and counted in `ignored`."""
    split_folder = folder / split
    expected = f"{splits[0]}/, {splits[1]}/ and {splits[2]}/ in {folder}"
    images = list_images(name, split_folder, expected, ignored)
    matches = [(file, _NAME.match(file)) for file in images]
    unmatched = [file for file, match in matches if match is None]
    if unmatched:
        raise DatasetError(
            f"data set {name!r}: {len(unmatched)} of {len(images)} images in {split_folder} are not named "
            f"IDENTITY_cCAMERA… such as 0002_c1s1_000451_03.jpg; the first is {unmatched[0]!r}"
        )
    samples = tuple(
        Sample(path=str(split_folder / file), pid=int(match[1]), camid=int(match[2]) - 1)
        for file, match in matches
        if match is not None and int(match[1]) != _JUNK
    )
    if not samples:
        raise DatasetError(
            f"data set {name!r}: no usable image in {split_folder}: all {len(images)} are junk boxes (-1_…)"
        )
    if junk := len(images) - len(samples):
        ignored[JUNK] += junk
    return samples
