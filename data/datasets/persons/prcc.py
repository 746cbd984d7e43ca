"""Reader of PRCC (Yang et al., "Person Re-identification by Contour Sketch under Moderate Clothing Change", TPAMI 2021).

rgb/train/001/A_cropped_rgb001.jpg rgb/val/    person 1 seen by camera A, B or C
rgb/test/A/003/                                gallery
rgb/test/C/003/ rgb/test/B/003/                queries in other clothes than in A, of `prcc`; in the same, of `prcc_same_clothes`

The paper draws one image of each person for the gallery: the CMC of TEST.PROTOCOL single_gallery_shot. Later papers have all
images in it.
"""

from __future__ import annotations

from data.datasets.forms import FixedSplits, Form, Layout
from data.datasets.sources import InFolder

_CAMERAS, _PERSON = "ABC", r"(?P<pid>\d+)/"
_USUAL = ("prcc", "PRCC", "prcc/prcc")


def _layout(camera: str, name: str) -> Layout:
    train, val = (
        InFolder(f"rgb/{split}", rf"{_PERSON}(?P<camid>[ABC])_", "001/A_cropped_rgb001.jpg", _CAMERAS)
        for split in ("train", "val")
    )
    query, gallery = (
        InFolder(f"rgb/test/{seen_by}", _PERSON, "003/cropped_rgb001.jpg", _CAMERAS, _CAMERAS.index(seen_by), clothes)
        for seen_by, clothes in ((camera, "C" if camera == "C" else "AB"), ("A", "AB"))
    )
    return Layout("PRCC", (Form(_USUAL, FixedSplits(train, query, gallery, val), name),))


read = _layout("C", "with queries in other clothes").read
read_same_clothes = _layout("B", "with queries in the same clothes").read
