"""Random affine transform: each image is turned, shifted, scaled and sheared about its middle.

Source: torchvision's RandomAffine, with the ranges that fast-reid takes for re-identification (INPUT.AFFINE). Here
pixels are interpolated linearly, there the nearest is taken.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from data.transforms.base import ImageTransform
from data.transforms.geometry import affine_matrix, warp


class RandomAffine(ImageTransform):
    """Draws each of the four uniformly from its range; places outside the image become black."""

    def __init__(self, prob: float, *, degrees: float, translate: float, scale: Sequence[float], shear: float) -> None:
        super().__init__(prob)
        self.degrees, self.translate, self.scale, self.shear = degrees, translate, scale, shear

    def draw(self, rng: random.Random) -> Sequence[float]:
        """Draws degrees, shifts as shares of width and height, the scale, and degrees of the shear."""
        return [
            rng.uniform(-self.degrees, self.degrees),
            rng.uniform(-self.translate, self.translate),
            rng.uniform(-self.translate, self.translate),
            rng.uniform(*self.scale),
            rng.uniform(-self.shear, self.shear),
        ]

    def apply(self, images: Tensor, choices: Tensor) -> Tensor:
        height, width = size = images.shape[2:]
        matrices = [
            affine_matrix(size, degrees, (right * width, down * height), scale, shear)
            for degrees, right, down, scale, shear in choices.tolist()
        ]
        return warp(images, matrices, fill=0)


def build_affine(cfg: Any) -> RandomAffine:
    """Builds the affine transform of INPUT.AFFINE_PROB and its ranges."""
    keys = cfg.INPUT
    return RandomAffine(
        keys.AFFINE_PROB,
        degrees=keys.AFFINE_DEGREES,
        translate=keys.AFFINE_TRANSLATE,
        scale=keys.AFFINE_SCALE,
        shear=keys.AFFINE_SHEAR,
    )
