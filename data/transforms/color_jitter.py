"""Colour jitter: brightness, contrast, saturation and hue of each image, changed in random order.

Source: torchvision's ColorJitter, with the ranges that fast-reid takes for re-identification (INPUT.CJ).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from data.transforms.base import ImageTransform
from data.transforms.chain import apply_chain, step


class ColorJitter(ImageTransform):
    """Changes the four by a factor of 1 ± their range, the hue by ± its range of turns."""

    def __init__(self, prob: float, *, brightness: float, contrast: float, saturation: float, hue: float) -> None:
        super().__init__(prob)
        self.ranges = {"brightness": brightness, "contrast": contrast, "saturation": saturation, "hue": hue}

    def draw(self, rng: random.Random) -> Sequence[float]:
        steps = []
        for name, spread in self.ranges.items():
            if not spread:
                continue
            middle = 0 if name == "hue" else 1
            steps.append(step(name, rng.uniform(middle - spread, middle + spread)))
        rng.shuffle(steps)
        return [choice for one in steps for choice in one]

    def apply(self, images: Tensor, choices: Tensor) -> Tensor:
        return apply_chain(images, choices, fill=0)


def build_color_jitter(cfg: Any) -> ColorJitter:
    """Builds colour jitter of INPUT.CJ_PROB and its ranges."""
    keys = cfg.INPUT
    return ColorJitter(
        keys.CJ_PROB,
        brightness=keys.CJ_BRIGHTNESS,
        contrast=keys.CJ_CONTRAST,
        saturation=keys.CJ_SATURATION,
        hue=keys.CJ_HUE,
    )
