"""Reader of PRID2011's single-shot version (Hirzer et al., "Person Re-Identification by Descriptive and Discriminative
Classification", SCIA 2011): 385 people seen by camera A, 749 by camera B, of whom people 1 to 200 are the same.

single_shot/cam_a/person_0001.png single_shot/cam_b/person_0001.png

Of people 1 to 200, 100 are trained on, in ten splits, as in torchreid. Queries are the others in camera A; the gallery is they
and people 201 to 749 in B.
"""

from __future__ import annotations

from data.datasets.forms import Form, Layout, Parts
from data.datasets.random_splits import Division, RandomSplits
from data.datasets.sources import InFolder

_SHARED = 200


def _divide(division: Division) -> Parts:
    first, second = division.images
    shared = {image.pid for image in first if image.pid <= _SHARED} & {image.pid for image in second}
    chosen = division.people(shared, len(shared) // 2, division.number)
    return Parts(
        [image for image in (*first, *second) if image.pid in chosen],
        [image for image in first if image.pid in shared - chosen],
        [image for image in second if image.pid not in chosen],
    )


_A, _B = (
    InFolder(f"single_shot/cam_{'ab'[i]}", r"person_(?P<pid>\d+)\.", "person_0001.png", "ab", i) for i in range(2)
)
read = Layout(
    "PRID2011",
    (
        Form(
            ("prid2011/prid_2011", "prid_2011", "prid2011"),
            RandomSplits((_A, _B), 10, _divide, "splits_single_shot.json"),
        ),
    ),
).read
