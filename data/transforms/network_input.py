"""Transforms of resized images, uint8 [B, 3, H, W], to the network's input, float32 [B, 3, H, W].

Random choices are drawn first, from a seed for each image, and applied later. No global random state is read, and a
batch with its choices gives equal results on any device and in any process, but for rounding.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

# Random erasing: share of the image's area, least aspect ratio, attempts (Zhong et al., "Random Erasing Data
# Augmentation", AAAI 2020; the values of the Bag of Tricks baseline).
_ERASE_AREA = (0.02, 0.4)
_ERASE_ASPECT = 0.3
_ERASE_ATTEMPTS = 100

# Mirrored or not; top and left of the crop in the padded image; top, left, height and width of the erased box, whose
# height is 0 where nothing is erased. In pixels.
Augmentation = tuple[int, int, int, int, int, int, int]


class EvalTransform:
    """Normalises images, scaled to [0, 1], by `mean` and `std` of three channels in that range."""

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        # (x / 255 - mean) / std, in two operations.
        self._offset = 255 * np.array(mean, dtype=np.float32)[:, None, None]
        self._scale = 1 / (255 * np.array(std, dtype=np.float32)[:, None, None])
        self._on_device: dict[torch.device, list[Tensor]] = {}

    def __call__(self, images: Tensor) -> Tensor:
        """Transforms images to the network's input, on the device of the images."""
        return self._normalise(images.float())

    def _normalise(self, images: Tensor) -> Tensor:
        if images.device not in self._on_device:  # copied once: a copy of pageable memory waits for the whole device
            self._on_device[images.device] = [
                torch.from_numpy(value).to(images.device) for value in (self._offset, self._scale)
            ]
        offset, scale = self._on_device[images.device]
        return images.sub_(offset).mul_(scale)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_on_device": {}}  # for worker processes, which have no device


class TrainTransform(EvalTransform):
    """Augments images as the baseline does: mirror, pad with black and crop, erase a random box, normalise.

    The erased box is 0 after normalisation, which is the mean of each channel.
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
        erase_area: Sequence[float] = _ERASE_AREA,
        erase_aspect: float = _ERASE_ASPECT,
    ) -> None:
        super().__init__(mean, std)
        self.height, self.width = size
        self.flip_prob = flip_prob
        self.erase_prob = erase_prob
        self.padding = padding
        self.erase_area = erase_area
        self.erase_aspect = erase_aspect

    def draw(self, seeds: Sequence[int]) -> Tensor:
        """Draws the choices int64 [B, 7] for a batch, those of each image from its own seed alone."""
        return torch.tensor([self._draw(random.Random(seed)) for seed in seeds], dtype=torch.int64).reshape(-1, 7)

    def _draw(self, rng: random.Random) -> Augmentation:
        """Draws the choices for one image."""
        flip = rng.random() < self.flip_prob
        top, left = rng.randint(0, 2 * self.padding), rng.randint(0, 2 * self.padding)
        erase = self._erased_box(rng) if rng.random() < self.erase_prob else (0, 0, 0, 0)
        return (int(flip), top, left, *erase)

    def _erased_box(self, rng: random.Random) -> tuple[int, int, int, int]:
        """Draws a box smaller than the image in both directions; height 0 where no attempt gave one."""
        for _ in range(_ERASE_ATTEMPTS):
            area = rng.uniform(*self.erase_area) * self.height * self.width
            aspect = rng.uniform(self.erase_aspect, 1 / self.erase_aspect)
            height, width = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
            if height < self.height and width < self.width:
                return rng.randint(0, self.height - height), rng.randint(0, self.width - width), height, width
        return 0, 0, 0, 0

    def augment(self, images: Tensor, choices: Tensor) -> Tensor:
        """Augments images by the drawn choices, on the images' device.

        On a processor the batch is augmented image by image, since each fits its cache; on other devices in a few
        operations on the whole batch.
        """
        if images.device.type == "cpu":
            return self._augment_each(images, choices)
        return self._augment_batch(images, choices.to(images.device, non_blocking=True))

    def _augment_each(self, images: Tensor, choices: Tensor) -> Tensor:
        """Augments a batch image by image, with numpy."""
        pixels, result = images.numpy(), np.empty(images.shape, dtype=np.float32)
        for image, out, (flip, top, left, *box) in zip(pixels, result, choices.tolist(), strict=True):
            if flip:
                image = image[:, :, ::-1]
            if self.padding:
                down, right = top - self.padding, left - self.padding
                rows, from_rows = _overlap(down, self.height)
                columns, from_columns = _overlap(right, self.width)
                out[:] = 0
                out[:, rows, columns] = image[:, from_rows, from_columns]
            else:
                out[:] = image
            out -= self._offset
            out *= self._scale
            y, x, height, width = box
            out[:, y : y + height, x : x + width] = 0
        return torch.from_numpy(result)

    def _augment_batch(self, images: Tensor, choices: Tensor) -> Tensor:
        """Augments a whole batch in a few operations, without waiting for the device."""
        flip, top, left, box_top, box_left, box_height, box_width = choices[:, :, None].unbind(1)
        y = torch.arange(self.height, device=images.device)
        x = torch.arange(self.width, device=images.device)
        rows, columns = y + top - self.padding, x + left - self.padding  # [B, H] and [B, W]
        seen = _within(rows, self.height)[:, :, None] & _within(columns, self.width)[:, None]
        columns = torch.where(flip.bool(), self.width - 1 - columns, columns)
        rows, columns = rows.clamp(0, self.height - 1), columns.clamp(0, self.width - 1)
        number = torch.arange(len(images), device=images.device)[:, None, None]
        # The channels, sliced between indices, come last.
        moved = images[number, :, rows[:, :, None], columns[:, None]].permute(0, 3, 1, 2)
        # Filled, not chosen by torch.where, which copies its number to the device and waits for that.
        result = self._normalise(moved.masked_fill_(~seen[:, None], 0).float())
        erased = _within(y - box_top, box_height)[:, :, None] & _within(x - box_left, box_width)[:, None]
        return result.masked_fill_(erased[:, None], 0).contiguous()


def _overlap(shift: int, length: int) -> tuple[slice, slice]:
    """Computes the slices of crop and picture that overlap when the crop begins `shift` pixels after the picture."""
    shift = min(max(shift, -length), length)  # wide padding: a crop without any of the picture
    return slice(max(-shift, 0), length - max(shift, 0)), slice(max(shift, 0), length - max(-shift, 0))


def _within(position: Tensor, length: Tensor | int) -> Tensor:
    """Tells for each position whether it is in 0 ... length - 1."""
    return (position >= 0) & (position < length)
