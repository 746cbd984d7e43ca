"""Reader of VehicleID (Liu et al., "Deep Relative Distance Learning", CVPR 2016), with its three test sets.

image/0000001.jpg
train_test_split/train_list.txt         lines "0000001 7": image and vehicle
train_test_split/test_list_800.txt      the small test set; …_1600.txt the medium one, …_2400.txt the large one

Which camera saw a vehicle is not known. One image of each vehicle is the gallery, the others are queries: one such draw is
read, and the protocol random_gallery makes more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from data.datasets.base import WantedSplits
from data.datasets.forms import FixedSplits, Form, Layout, Parts
from data.datasets.random_splits import shuffle
from data.datasets.sources import Found, Listed, Reading, Source

_USUAL = ("VehicleID_V1.0", "vehicleid", "VehicleID")


@dataclass(frozen=True)
class _DrawnGallery:
    """Splits whose test images are divided by a draw: one image of each vehicle into the gallery."""

    train: Source
    test: Source

    def sources(self, wanted: WantedSplits) -> list[Source]:
        return [*([self.train] if wanted.train else []), *([self.test] if wanted.test else [])]

    def read(self, reading: Reading, wanted: WantedSplits) -> Parts:
        train = FixedSplits(train=self.train).read(reading, replace(wanted, test=False)).train
        images = self.test.read(reading) if wanted.test else []
        drawn = _draw(images)
        query = [image for number, image in enumerate(images) if number not in drawn]
        # Another camera than the queries', so that no match is left out.
        return Parts(train, query, [replace(images[number], camid=1) for number in sorted(drawn)])


def _draw(images: Sequence[Found]) -> set[int]:
    """Draws one image of each vehicle; returns their numbers."""
    of_vehicle: dict[int, list[int]] = {}
    for number, image in enumerate(images):
        of_vehicle.setdefault(image.pid, []).append(number)
    return {shuffle(own, f"gallery/{pid}")[0] for pid, own in of_vehicle.items()}


def _listed(file: str) -> Listed:
    return Listed(f"train_test_split/{file}.txt", "image", r"(?P<image>\d+)\s+(?P<pid>\d+)", "0000001 7", suffix=".jpg")


def _layout(vehicles: int, size: str) -> Layout:
    splits = _DrawnGallery(_listed("train_list"), _listed(f"test_list_{vehicles}"))
    form = Form(_USUAL, splits, f"with the {size} test set of {vehicles} vehicles")
    return Layout("VehicleID", (form,), protocol="random_gallery")


read = _layout(800, "small").read
read_medium = _layout(1600, "medium").read
read_large = _layout(2400, "large").read
