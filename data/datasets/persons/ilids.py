"""Reader of QMUL iLIDS (Zheng et al., "Associating Groups of People", BMVC 2009): 476 images of 119 people.

Persons/0001001.jpg     person 1, image 1; which camera has seen them is not known

Half of the people are trained on. Of each other person two images are drawn, a query and one for the gallery, in ten splits as in
torchreid.
"""

from __future__ import annotations

from dataclasses import replace

from data.datasets.forms import Form, Layout, Parts
from data.datasets.random_splits import Division, RandomSplits, shuffle
from data.datasets.sources import Found, InFolder


def _divide(division: Division) -> Parts:
    (images,) = division.images
    people = {image.pid for image in images}
    chosen = division.people(people, len(people) // 2, division.number)
    return Parts(
        [image for image in images if image.pid in chosen],
        division.listed_images("query") or _drawn(division, people - chosen, 0),
        # Another camera than the queries', so that no match is left out.
        [
            replace(image, camid=1)
            for image in division.listed_images("gallery") or _drawn(division, people - chosen, 1)
        ],
    )


def _drawn(division: Division, people: set[int], place: int) -> list[Found]:
    """Draws two images of each person, of which it takes the one at `place`."""
    (images,) = division.images
    found = []
    for pid in sorted(people):
        own = [image for image in images if image.pid == pid]
        order = shuffle(range(len(own)), f"images/{division.number}/{pid}")
        found += [own[number] for number in order[place : place + 1]]
    return found


_IMAGES = InFolder("Persons", r"(?P<pid>\d{4})\d{3}\.", "0001001.jpg")
_FORM = Form(
    ("ilids/i-LIDS_Pedestrian", "i-LIDS_Pedestrian", "ilids"), RandomSplits((_IMAGES,), 10, _divide, "splits.json")
)
read = Layout("iLIDS", (_FORM,)).read
