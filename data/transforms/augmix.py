"""AugMix: an image is mixed with several copies of itself, each changed by a chain of random operations.

Source: Hendrycks et al., "AugMix: A Simple Data Processing Method to Improve Robustness and Uncertainty", ICLR 2020, and
its code (google-research/augmix); settings of the keys as fast-reid takes them (INPUT.AUGMIX). The loss that the paper
adds over several views of an image is not part of it. The mixture is rounded; the code cuts fractions off.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from data.transforms.base import ImageTransform, per_image
from data.transforms.chain import NONE, apply_chain, step

_DEPTHS = (1, 3)  # where the depth is random
_SMALLEST = 1e-30  # the sum of the chains' weights may come out as 0 where alpha is small

# The value of an operation by its level, 0 to 10, a random sign, height and width. Operations that the test set ImageNet-C
# has, too, are left out, as in the paper.
_VALUES: Mapping[str, Callable[[float, int, int, int], float]] = {
    "stretch_contrast": lambda level, sign, height, width: 0,
    "equalise": lambda level, sign, height, width: 0,
    "posterise": lambda level, sign, height, width: 4 - int(level * 4 / 10),
    "rotate": lambda level, sign, height, width: sign * int(level * 30 / 10),
    "solarise": lambda level, sign, height, width: 256 - int(level * 256 / 10),
    "shear_x": lambda level, sign, height, width: sign * level * 0.3 / 10,
    "shear_y": lambda level, sign, height, width: sign * level * 0.3 / 10,
    "translate_x": lambda level, sign, height, width: sign * int(level * (width / 3) / 10),
    "translate_y": lambda level, sign, height, width: sign * int(level * (height / 3) / 10),
}


class AugMix(ImageTransform):
    """Mixes an image with `width` chains of `depth` operations; depth 0: 1 to 3 at random for each chain.

    The weights of the chains are drawn from a Dirichlet distribution, that of their mixture against the image from a
    beta distribution, both with `alpha`. Each operation's level is uniform from 0.1 to `severity` of 10.
    """

    def __init__(
        self, prob: float, *, size: Sequence[int], severity: float, width: int, depth: int, alpha: float
    ) -> None:
        super().__init__(prob)
        self.size = size
        self.severity, self.width, self.depth, self.alpha = severity, width, depth, alpha

    def draw(self, rng: random.Random) -> Sequence[float]:
        """Draws the weight of the mixture, the weights of the chains, and the chains' steps."""
        weights = [rng.gammavariate(self.alpha, 1) for _ in range(self.width)]
        total = max(sum(weights), _SMALLEST)
        choices = [rng.betavariate(self.alpha, self.alpha), *(weight / total for weight in weights)]
        longest = self.depth or _DEPTHS[1]
        for _ in range(self.width):
            depth = self.depth or rng.randint(*_DEPTHS)
            for number in range(longest):
                name, level = rng.choice(list(_VALUES)), rng.uniform(0.1, self.severity)
                value = _VALUES[name](level, rng.choice((-1, 1)), *self.size)
                choices += step(name, value) if number < depth else NONE
        return choices

    def apply(self, images: Tensor, choices: Tensor) -> Tensor:
        mixing, weights, steps = choices[:, 0], choices[:, 1 : 1 + self.width], choices[:, 1 + self.width :]
        mixture = per_image(1 - mixing, images) * images
        for number, chain in enumerate(steps.chunk(self.width, dim=1)):
            share = per_image(mixing * weights[:, number], images)
            mixture.addcmul_(share, apply_chain(images, chain, fill=0).float())
        return mixture.add_(0.5).clamp_(0, 255).to(torch.uint8)


def build_augmix(cfg: Any) -> AugMix:
    """Builds AugMix of INPUT.AUGMIX_PROB and its settings."""
    keys = cfg.INPUT
    return AugMix(
        keys.AUGMIX_PROB,
        size=keys.SIZE_TRAIN,
        severity=keys.AUGMIX_SEVERITY,
        width=keys.AUGMIX_WIDTH,
        depth=keys.AUGMIX_DEPTH,
        alpha=keys.AUGMIX_ALPHA,
    )
