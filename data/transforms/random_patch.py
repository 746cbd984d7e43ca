"""Random patch: a box of another training image is pasted, which looks like an occlusion.

Source: Zhou et al., "Omni-Scale Feature Learning for Person Re-Identification", ICCV 2019, and torchreid's and
fast-reid's RandomPatch. Those keep a pool of boxes of the images seen before; here the other image is drawn from the
whole training split, so that a batch depends neither on the batches before nor on the process that makes it.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from data.transforms.base import PairTransform, draw_box

_MIRRORED = 0.5  # probability


class RandomPatch(PairTransform):
    """Pastes a box, mirrored half of the time, at another place than it is taken from.

    Args:
        prob: probability.
        size: height and width of images in pixels.
        area: least and largest share of the image's area.
        aspect: least ratio of height to width; the largest is its inverse.
    """

    def __init__(self, prob: float, *, size: Sequence[int], area: Sequence[float], aspect: float) -> None:
        super().__init__(prob)
        self.size, self.area, self.aspect = size, area, aspect

    def draw(self, rng: random.Random) -> Sequence[float]:
        """Draws the other image's place, the box there, where the box is pasted, and whether it is mirrored."""
        other = rng.random()
        top, left, height, width = draw_box(rng, self.size, self.area, self.aspect)
        to_top, to_left = rng.randint(0, self.size[0] - height), rng.randint(0, self.size[1] - width)
        return [other, top, left, height, width, to_top, to_left, float(rng.random() < _MIRRORED)]

    def apply(self, images: Tensor, others: Tensor, choices: Tensor) -> Tensor:
        for image, other, (_, *numbers) in zip(images, others, choices.tolist(), strict=True):
            top, left, height, width, to_top, to_left, mirrored = map(int, numbers)
            box = other[:, top : top + height, left : left + width]
            image[:, to_top : to_top + height, to_left : to_left + width] = box.flip(2) if mirrored else box
        return images


def build_random_patch(cfg: Any) -> RandomPatch:
    """Builds random patch of INPUT.RPT_PROB and its box."""
    keys = cfg.INPUT
    return RandomPatch(keys.RPT_PROB, size=keys.SIZE_TRAIN, area=keys.RPT_AREA, aspect=keys.RPT_ASPECT)
