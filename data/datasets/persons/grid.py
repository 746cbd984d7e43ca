"""Reader of QMUL underGround Re-IDentification, GRID (Loy et al., "Multi-camera Activity Correlation Analysis", CVPR 2009).

probe/0001_1_25023_3_107_33_107_278.jpeg     person 1 seen by camera 1, of 250 people
gallery/0000_4_24969_0_113_36_87_220.jpeg    0: somebody else, in the gallery of each split
features_and_partitions.mat                  the ten splits as published, each with 125 people to train on; read with scipy
"""

from __future__ import annotations

from typing import Any

from data.datasets.forms import Form, Layout, Parts
from data.datasets.matlab import read_with
from data.datasets.random_splits import Division, RandomSplits
from data.datasets.sources import InFolder

_PARTITIONS = "features_and_partitions.mat"


def _published(division: Division) -> set[int]:
    """Reads the people that a split of the published file trains on."""
    file = division.reading.folder / _PARTITIONS

    def people(scipy_io: Any) -> set[int]:
        splits = scipy_io.loadmat(file)["trainIdxAll"][0]
        return {int(pid) for pid in splits[division.number][0][0][2].ravel()}

    found: set[int] = read_with(division.reading.name, "scipy.io", "scipy", people, file)
    return found


def _divide(division: Division) -> Parts:
    probe, gallery = division.images
    chosen = division.listed_people() or _published(division)
    return Parts(
        [image for image in (*probe, *gallery) if image.pid in chosen],
        [image for image in probe if image.pid not in chosen],
        [image for image in gallery if image.pid not in chosen],
    )


_PROBE, _GALLERY = (
    InFolder(folder, r"(?P<pid>\d+)_0*(?P<camid>[1-9]\d*)_", "0001_1_25023_3_107_33_107_278.jpeg")
    for folder in ("probe", "gallery")
)
_FORM = Form(
    ("grid/underground_reid", "underground_reid", "grid"), RandomSplits((_PROBE, _GALLERY), 10, _divide, "splits.json")
)
read = Layout("GRID", (_FORM,), distractors=frozenset({0})).read
