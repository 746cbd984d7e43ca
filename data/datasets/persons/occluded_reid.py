"""Reader of Occluded-REID (Zhuo et al., "Occluded Person Re-identification", ICME 2018): 200 people, only tested on.

occluded_body_images/001/001_01.tif whole_body_images/001/001_06.tif    as published; queries, gallery
query/001_01.jpg gallery/001_06.jpg                                     as fast-reid has it

Cameras are not known; papers leave no match out.
"""

from __future__ import annotations

from data.datasets.forms import FixedSplits, Form, Layout
from data.datasets.sources import InFolder


def _splits(query: str, gallery: str) -> FixedSplits:
    pattern, example = r"(?:[^/]+/)?(?P<pid>\d+)_", "001/001_01.tif"
    return FixedSplits(query=InFolder(query, pattern, example), gallery=InFolder(gallery, pattern, example, camera=1))


read = Layout(
    "Occluded-REID",
    (
        Form(
            ("Occluded_REID", "OccludedREID", "occluded_reid", "Occluded_ReID"),
            _splits("occluded_body_images", "whole_body_images"),
            "as published",
        ),
        Form(("OccludedREID", "Occluded_REID", "occluded_reid"), _splits("query", "gallery"), "as fast-reid has it"),
    ),
).read
