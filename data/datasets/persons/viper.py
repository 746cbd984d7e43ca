"""Reader of VIPeR (Gray et al., "Evaluating Appearance Models", PETS 2007): 632 people, one image by each of two cameras.

cam_a/000_45.bmp cam_b/000_90.bmp      person 0, and the angle seen from

Half of the people are trained on. As in torchreid there are 20 splits, two of each of ten draws: an even one has its queries in
camera A and the gallery in B, the odd one after it the other way round.
"""

from __future__ import annotations

from data.datasets.forms import Form, Layout, Parts
from data.datasets.random_splits import Division, RandomSplits
from data.datasets.sources import InFolder


def _divide(division: Division) -> Parts:
    first, second = division.images
    people = {image.pid for image in first} & {image.pid for image in second}
    chosen = division.people(people, len(people) // 2, division.number // 2)
    query, gallery = (second, first) if division.number % 2 else (first, second)
    return Parts(
        [image for image in (*first, *second) if image.pid in chosen],
        [image for image in query if image.pid in people - chosen],
        [image for image in gallery if image.pid in people - chosen],
    )


_A, _B = (InFolder(f"cam_{'ab'[i]}", r"(?P<pid>\d+)_\d+\.", "000_45.bmp", "ab", i) for i in range(2))
read = Layout(
    "VIPeR", (Form(("viper/VIPeR", "VIPeR", "viper"), RandomSplits((_A, _B), 20, _divide, "splits.json")),)
).read
