"""Reader of MSMT17 (Wei et al., "Person Transfer GAN to Bridge Domain Gap", CVPR 2018), versions 1 and 2.

    list_train.txt list_val.txt list_query.txt list_gallery.txt     lines "0000/0000_000_01_0303morning_0015_0.jpg 0"
    train/ test/                                                    version 1; mask_train_v2/ mask_test_v2/ in 2 (blurred faces)

A line holds a file and its identity; the third part of the file's name is the camera. As reid-strong-baseline and
fast-reid do, the images of list_val.txt are not trained on unless DATASETS.COMBINEALL says so; TransReID, CLIP-ReID and
SOLIDER-REID train on them.
"""

from __future__ import annotations

from data.datasets.forms import FixedSplits, Form, Layout
from data.datasets.sources import Listed

_BARE = ("msmt17", "MSMT17")  # either version; TransReID, CLIP-ReID and SOLIDER-REID have version 1 in the latter


def _version(number: int, train: str, test: str) -> Form:
    folder, splits = f"MSMT17_V{number}", []
    for split, images in (("train", train), ("query", test), ("gallery", test), ("val", train)):
        pattern = r"(?P<image>(?:.*/)?[^_/]*_[^_/]*_0*(?P<camid>[1-9]\d*)_[^/]*?)\s+(?P<pid>\d+)"
        splits.append(Listed(f"list_{split}.txt", images, pattern, "0000/0000_000_01_0303morning_0015_0.jpg 0"))
    usual = (f"msmt17/{folder}", folder, f"MSMT17/{folder}", *_BARE)
    return Form(usual, FixedSplits(*splits), f"version {number}", f"msmt17_v{number}")


_V1, _V2 = _version(1, "train", "test"), _version(2, "mask_train_v2", "mask_test_v2")
read = Layout("MSMT17", (_V2, _V1)).read
read_version_1 = Layout("MSMT17", (_V1,)).read
read_version_2 = Layout("MSMT17", (_V2,)).read
