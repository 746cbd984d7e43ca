"""Reader of Partial-REID (Zheng et al., "Partial Person Re-Identification", ICCV 2015): 60 people, only tested on.

partial_body_images/001_001.jpg      queries, cut to what is seen of the person: of `partial_reid`
occluded_body_images/001_001.jpg     queries, as the camera sees them: of `partial_reid_occluded`
whole_body_images/001_001.jpg        gallery

Cameras are not known; papers leave no match out, where fast-reid takes the number of an image for its camera.
"""

from __future__ import annotations

from data.datasets.forms import FixedSplits, Form, Layout
from data.datasets.sources import InFolder

_USUAL = ("Partial_REID", "Partial-REID_Dataset", "PartialREID", "partial_reid")


def _layout(queries: str) -> Layout:
    query, gallery = (
        InFolder(f"{kind}_body_images", r"(?:[^/]+/)?(?P<pid>\d+)_", "001_001.jpg", camera=camera)
        for kind, camera in ((queries, 0), ("whole", 1))
    )
    return Layout("Partial-REID", (Form(_USUAL, FixedSplits(query=query, gallery=gallery), f"with {queries} queries"),))


read = _layout("partial").read
read_occluded = _layout("occluded").read
