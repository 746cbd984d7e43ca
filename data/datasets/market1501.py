"""Reader of the Market-1501 layout (Zheng et al., "Scalable Person Re-identification", ICCV 2015).

    bounding_box_train/0002_c1s1_000451_03.jpg     identity 2 seen by camera 1
    query/0001_c1s1_001051_00.jpg
    bounding_box_test/-1_c1s1_000401_03.jpg        -1: a junk box, left out; 0000: a distractor, kept

The rest of the name (sequence, frame, box) is not looked at.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from data.datasets.base import DatasetError, ReIDDataset, Sample, relabel

TRAIN, QUERY, GALLERY = "bounding_box_train", "query", "bounding_box_test"
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
_NAME = re.compile(r"(-1|\d+)_c([1-9]\d*)")
_JUNK = -1


def read_market1501(name: str, folder: Path) -> ReIDDataset:
    """Reads the three splits under `folder`; identities of the training split are renumbered.

    Raises DatasetError for a missing folder, an image whose name does not carry identity and camera, or
    a split without images.
    """
    return ReIDDataset(
        name=name,
        train=relabel(_read_split(name, folder, TRAIN)),
        query=_read_split(name, folder, QUERY),
        gallery=_read_split(name, folder, GALLERY),
    )


def _read_split(name: str, folder: Path, split: str) -> tuple[Sample, ...]:
    split_folder = folder / split
    try:
        files = sorted(os.listdir(split_folder))
    except OSError as error:
        raise DatasetError(
            f"data set {name!r}: cannot read the folder {split_folder} ({error.strerror}); expected "
            f"{TRAIN}/, {QUERY}/ and {GALLERY}/ in {folder}; say where data sets are with "
            f"DATASETS.ROOT_DIR, now {str(folder.parent)!r}"
        ) from None
    images = [file for file in files if file.lower().endswith(IMAGE_SUFFIXES) and not file.startswith(".")]
    matches = [(file, _NAME.match(file)) for file in images]
    strangers = [file for file, match in matches if match is None]
    if strangers:
        raise DatasetError(
            f"data set {name!r}: {len(strangers)} of {len(images)} images in {split_folder} are not named "
            f"IDENTITY_cCAMERA… such as 0002_c1s1_000451_03.jpg; the first is {strangers[0]!r}"
        )
    samples = tuple(
        Sample(path=str(split_folder / file), pid=int(match[1]), camid=int(match[2]) - 1)
        for file, match in matches
        if match is not None and int(match[1]) != _JUNK
    )
    if not samples:
        raise DatasetError(
            f"data set {name!r}: no usable image in {split_folder} ({len(files)} files); expected "
            f"{'/'.join(IMAGE_SUFFIXES)} files named IDENTITY_cCAMERA… such as 0002_c1s1_000451_03.jpg"
        )
    return samples
