"""Reader of LTCC (Qian et al., "Long-Term Cloth-Changing Person Re-identification", ACCV 2020).

train/094_1_c9_015833.png query/ test/       person 94 in clothes 1, seen by camera 9; test/ is the gallery
"""

from __future__ import annotations

from data.datasets.forms import FixedSplits, Form, Layout
from data.datasets.sources import InFolder

_TRAIN, _QUERY, _GALLERY = (
    InFolder(folder, r"(?P<pid>\d+)_(?P<clothes>\d+)_c0*(?P<camid>[1-9]\d*)_", "094_1_c9_015833.png")
    for folder in ("train", "query", "test")
)
_FORM = Form(("LTCC_ReID", "ltcc/LTCC_ReID", "LTCC", "ltcc"), FixedSplits(_TRAIN, _QUERY, _GALLERY))
read = Layout("LTCC", (_FORM,), protocol="clothes_changing").read
