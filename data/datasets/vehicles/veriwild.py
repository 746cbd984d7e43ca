"""Reader of VERI-Wild (Lou et al., "VERI-Wild", CVPR 2019), with its three test sets.

images/00001/000001.jpg
train_test_split/train_list.txt                                  lines "00001/000001.jpg": vehicle and image
train_test_split/test_3000_query.txt test_3000.txt               the small test set; …5000… the medium, …10000… the large one
train_test_split/vehicle_info.txt                                lines "00001/000001;12;…": an image and its camera
"""

from __future__ import annotations

from data.datasets.forms import FixedSplits, Form, Layout
from data.datasets.sources import CameraTable, Listed

_CAMERAS = CameraTable(
    "train_test_split/vehicle_info.txt", r"(?P<image>[^;]+?)(?:\.jpg)?;\s*(?P<camid>\d{1,18})\s*(?:;|$)"
)


def _listed(file: str) -> Listed:
    pattern = r"(?P<image>(?P<pid>\d+)/[^/]+?)(?:\.jpg)?"
    return Listed(f"train_test_split/{file}.txt", "images", pattern, "00001/000001.jpg", ".jpg", _CAMERAS)


def _layout(vehicles: int, size: str) -> Layout:
    splits = FixedSplits(_listed("train_list"), _listed(f"test_{vehicles}_query"), _listed(f"test_{vehicles}"))
    form = Form(("VERI-Wild", "veriwild", "VeRi-Wild"), splits, f"with the {size} test set of {vehicles} vehicles")
    return Layout("VERI-Wild", (form,))


read = _layout(3000, "small").read
read_medium = _layout(5000, "medium").read
read_large = _layout(10000, "large").read
