"""Reader of P-DukeMTMC-reID (Zhuo et al., "Occluded Person Re-identification", ICME 2018).

train/occluded_body_images/0001/0001_….jpg train/whole_body_images/0001/0001_….jpg    665 people to train on
test/occluded_body_images/0003/0003_….jpg                                             queries
test/whole_body_images/0003/0003_….jpg                                                gallery

As in papers, cameras do not count: no match is left out.
"""

from __future__ import annotations

from data.datasets.forms import FixedSplits, Form, Layout
from data.datasets.sources import InFolder

_PERSON, _EXAMPLE = r"(?:[^/]+/)?(?P<pid>\d+)_", "0003/0003_c1_f0044158.jpg"
_SPLITS = FixedSplits(
    train=InFolder("train", rf"(?:occluded|whole)_body_images/{_PERSON}", f"whole_body_images/{_EXAMPLE}"),
    query=InFolder("test/occluded_body_images", _PERSON, _EXAMPLE),
    gallery=InFolder("test/whole_body_images", _PERSON, _EXAMPLE, camera=1),
)
read = Layout("P-DukeMTMC-reID", (Form(("P-DukeMTMC-reid", "P-DukeMTMC-reID", "p_dukemtmc"), _SPLITS),)).read
