"""Reader of Celeb-reID (Huang et al., "Beyond Scalar Neuron", TCSVT 2020) and Celeb-reID-light (Huang et al., IJCNN 2019).

train/1_1_0.jpg query/ gallery/      person 1, image 1; cameras and clothes are not named

Most images of a person are in other clothes than the queries, in the light set all; no match is left out.
"""

from __future__ import annotations

from data.datasets.forms import FixedSplits, Form, Layout
from data.datasets.sources import InFolder

_TRAIN, _QUERY, _GALLERY = (
    InFolder(folder, r"(?P<pid>\d+)_", "1_1_0.jpg", camera=camera)
    for folder, camera in (("train", 0), ("query", 0), ("gallery", 1))
)
_SPLITS = FixedSplits(_TRAIN, _QUERY, _GALLERY)
read = Layout("Celeb-reID", (Form(("Celeb-reID", "celeb_reid", "celebreid"), _SPLITS),)).read
read_light = Layout("Celeb-reID-light", (Form(("Celeb-reID-light", "celeb_reid_light"), _SPLITS),)).read
