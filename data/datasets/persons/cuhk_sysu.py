"""Reader of CUHK-SYSU (Xiao et al., "Joint Detection and Identification Feature Learning", CVPR 2017), a set for person search,
as people cropped for re-identification: the form of torchreid and fast-reid, which is only trained on.

cropped_images/p11422_s16929_1.jpg      person 11422 in scene 16929; no cameras
"""

from __future__ import annotations

from data.datasets.forms import FixedSplits, Form, Layout
from data.datasets.sources import InFolder

_IMAGES = InFolder("cropped_images", r"p(?P<pid>\d+)_s\d+", "p11422_s16929_1.jpg")
read = Layout("CUHK-SYSU", (Form(("cuhksysu", "cuhk_sysu", "CUHK-SYSU"), FixedSplits(train=_IMAGES)),)).read
