"""AutoAugment: one of 25 pairs of operations that were found by search on ImageNet.

Source: Cubuk et al., "AutoAugment: Learning Augmentation Policies from Data", CVPR 2019, table 9; magnitudes as timm and
fast-reid read them (policy "original"). Both interpolate at random linearly or cubically, here it is always linearly.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor

from data.transforms.base import ImageTransform
from data.transforms.chain import NONE, apply_chain, step

# Two operations with probability and magnitude, 0 to 10.
_POLICY = (
    (("posterise", 0.4, 8), ("rotate", 0.6, 9)),
    (("solarise", 0.6, 5), ("stretch_contrast", 0.6, 5)),
    (("equalise", 0.8, 8), ("equalise", 0.6, 3)),
    (("posterise", 0.6, 7), ("posterise", 0.6, 6)),
    (("equalise", 0.4, 7), ("solarise", 0.2, 4)),
    (("equalise", 0.4, 4), ("rotate", 0.8, 8)),
    (("solarise", 0.6, 3), ("equalise", 0.6, 7)),
    (("posterise", 0.8, 5), ("equalise", 1.0, 2)),
    (("rotate", 0.2, 3), ("solarise", 0.6, 8)),
    (("equalise", 0.6, 8), ("posterise", 0.4, 6)),
    (("rotate", 0.8, 8), ("saturation", 0.4, 0)),
    (("rotate", 0.4, 9), ("equalise", 0.6, 2)),
    (("equalise", 0.0, 7), ("equalise", 0.8, 8)),
    (("invert", 0.6, 4), ("equalise", 1.0, 8)),
    (("saturation", 0.6, 4), ("contrast", 1.0, 8)),
    (("rotate", 0.8, 8), ("saturation", 1.0, 2)),
    (("saturation", 0.8, 8), ("solarise", 0.8, 7)),
    (("sharpness", 0.4, 7), ("invert", 0.6, 8)),
    (("shear_x", 0.6, 5), ("equalise", 1.0, 9)),
    (("saturation", 0.4, 0), ("equalise", 0.6, 3)),
    (("equalise", 0.4, 7), ("solarise", 0.2, 4)),
    (("solarise", 0.6, 5), ("stretch_contrast", 0.6, 5)),
    (("invert", 0.6, 4), ("equalise", 1.0, 8)),
    (("saturation", 0.6, 4), ("contrast", 1.0, 8)),
    (("equalise", 0.8, 8), ("equalise", 0.6, 3)),
)
_FILL = 128  # outside the image


def _factor(magnitude: int, _sign: int) -> float:
    return 0.1 + 0.18 * magnitude


# The value of an operation by its magnitude and a random sign.
_VALUES: Mapping[str, Callable[[int, int], float]] = {
    "posterise": lambda magnitude, sign: 4 + 4 * magnitude // 10,
    "solarise": lambda magnitude, sign: 256 * magnitude // 10,
    "rotate": lambda magnitude, sign: sign * 3.0 * magnitude,
    "shear_x": lambda magnitude, sign: sign * 0.03 * magnitude,
    "saturation": _factor,
    "contrast": _factor,
    "sharpness": _factor,
    "stretch_contrast": lambda magnitude, sign: 0,
    "equalise": lambda magnitude, sign: 0,
    "invert": lambda magnitude, sign: 0,
}


class AutoAugment(ImageTransform):
    """Applies the operations of a pair drawn at random, each with its own probability."""

    def draw(self, rng: random.Random) -> Sequence[float]:
        choices: list[float] = []
        for name, prob, magnitude in rng.choice(_POLICY):
            happens, sign = rng.random() < prob, rng.choice((-1, 1))
            choices += step(name, _VALUES[name](magnitude, sign)) if happens else NONE
        return choices

    def apply(self, images: Tensor, choices: Tensor) -> Tensor:
        return apply_chain(images, choices, fill=_FILL)


def build_autoaugment(cfg: Any) -> AutoAugment:
    """Builds AutoAugment of probability INPUT.AUTOAUG_PROB."""
    return AutoAugment(cfg.INPUT.AUTOAUG_PROB)
