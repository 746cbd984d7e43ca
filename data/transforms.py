"""From a decoded image to the network's input. Images are tensors [3, H, W], uint8 before and float32 after.

Random choices are drawn from a generator handed in and no global random state is read: the same seed gives
the same picture in any process. What is drawn is kept apart from doing it.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as F

# Random erasing: share of the image's area, least aspect ratio, attempts (Zhong et al., "Random Erasing Data
# Augmentation", AAAI 2020; the values of the Bag of Tricks baseline).
_ERASE_AREA = (0.02, 0.4)
_ERASE_ASPECT = 0.3
_ERASE_ATTEMPTS = 100


@dataclass(frozen=True)
class Augmentation:
    """The random choices for one image, in pixels.

    Mirrored or not; the crop's top left corner in the padded image; the box to erase (top, left, height,
    width), if any.
    """

    flip: bool
    top: int
    left: int
    erase: tuple[int, int, int, int] | None


class EvalTransform:
    """Resize to `size` (height, width), scale to [0, 1], normalise by `mean` and `std` of that range."""

    def __init__(self, size: Sequence[int], mean: Sequence[float], std: Sequence[float]) -> None:
        self.size = list(size)
        self.mean = list(mean)
        self.std = list(std)

    def __call__(self, image: Tensor) -> Tensor:
        image = F.resize(image, self.size, antialias=True)
        return _normalized(F.to_dtype(image, torch.float32, scale=True), self.mean, self.std)


class TrainTransform:
    """The baseline's augmentation: resize, mirror, pad with black and crop, erase a random box, normalise.

    The erased box takes the value `mean` before normalising: the network sees zero, the average picture.
    """

    def __init__(
        self,
        size: Sequence[int],
        mean: Sequence[float],
        std: Sequence[float],
        *,
        flip_prob: float,
        erase_prob: float,
        padding: int,
    ) -> None:
        self.size = list(size)
        self.mean = list(mean)
        self.std = list(std)
        self.flip_prob = flip_prob
        self.erase_prob = erase_prob
        self.padding = padding

    def __call__(self, image: Tensor, rng: random.Random) -> Tensor:
        return self.apply(image, self.draw(rng))

    def draw(self, rng: random.Random) -> Augmentation:
        """Draws the choices for one image."""
        flip = rng.random() < self.flip_prob
        top, left = rng.randint(0, 2 * self.padding), rng.randint(0, 2 * self.padding)
        erase = self._erased_box(rng) if rng.random() < self.erase_prob else None
        return Augmentation(flip=flip, top=top, left=left, erase=erase)

    def _erased_box(self, rng: random.Random) -> tuple[int, int, int, int] | None:
        """A box smaller than the image in both directions, or None if chance gave none."""
        height, width = self.size
        for _ in range(_ERASE_ATTEMPTS):
            area = rng.uniform(*_ERASE_AREA) * height * width
            aspect = rng.uniform(_ERASE_ASPECT, 1 / _ERASE_ASPECT)
            box_height, box_width = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
            if box_height < height and box_width < width:
                top, left = rng.randint(0, height - box_height), rng.randint(0, width - box_width)
                return top, left, box_height, box_width
        return None

    def apply(self, image: Tensor, choice: Augmentation) -> Tensor:
        """Does to `image` what was drawn."""
        image = F.resize(image, self.size, antialias=True)
        if choice.flip:
            image = F.horizontal_flip(image)
        if self.padding:
            image = F.crop(F.pad(image, [self.padding]), choice.top, choice.left, *self.size)
        image = F.to_dtype(image, torch.float32, scale=True)
        if choice.erase:
            image = F.erase(image, *choice.erase, v=torch.tensor(self.mean)[:, None, None])
        return _normalized(image, self.mean, self.std)


def _normalized(image: Tensor, mean: list[float], std: list[float]) -> Tensor:
    result: Tensor = F.normalize(image, mean, std)
    return result
