"""Transforms of resized images, uint8 [B, 3, H, W], to the network's input, float32 [B, 3, H, W].

Random choices are drawn first, from a seed for each image, and applied later. No global random state is read, and a
batch with its choices gives equal results on any device and in any process, but for rounding.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from data.transforms.base import ImageTransform, PairTransform, RandomTransform, draw_box, to_device_of
from data.transforms.noise import normal_noise

# Random erasing: share of the image's area, least aspect ratio (Zhong et al., "Random Erasing Data
# Augmentation", AAAI 2020; the values of the Bag of Tricks baseline).
_ERASE_AREA = (0.02, 0.4)
_ERASE_ASPECT = 0.3

# Of mirror, crop and erasing: mirrored or not; top and left of the crop in the padded image; top, left, height and width
# of the erased box, whose height is 0 where nothing is erased. In pixels. Then, where boxes are filled with noise, its seed.
Augmentation = tuple[int, ...]
_OF_THE_RECIPE = 7  # numbers, without the seed
_SEED_BITS = 24  # which float32 holds exactly


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


class _Step:
    """Random transform with its columns among the choices: whether an image is changed, then the transform's own."""

    def __init__(self, name: str, transform: RandomTransform, start: int) -> None:
        self.transform = transform
        self.key = zlib.crc32(name.encode()) << 32
        self.start = start
        self.end = start + 1 + len(transform.draw(random.Random(0)))

    def draw(self, seed: int) -> list[float]:
        """Draws the columns of one image; all are 0 where it is not changed."""
        rng = random.Random(self.key | seed)
        if rng.random() >= self.transform.prob:
            return [0.0] * (self.end - self.start)
        return [1.0, *self.transform.draw(rng)]

    def apply(self, images: Tensor, choices: Tensor, *, each: bool) -> Tensor:
        """Applies a transform of images by themselves, if this is one: to each on its own, or to all together."""
        rows, own = self._changed(choices)
        if not isinstance(self.transform, ImageTransform) or not len(rows):
            return images
        if not each:
            places = to_device_of(images, rows)
            return images.index_copy(0, places, self.transform.apply(images[places], own[rows]))
        result = images.clone()
        for row in rows.tolist():
            result[row : row + 1] = self.transform.apply(images[row : row + 1], own[row : row + 1])
        return result

    def add_others(self, images: Tensor, choices: Tensor, read: Callable[[Tensor], Tensor]) -> Tensor:
        """Applies a transform that takes pixels of other images, if this is one."""
        rows, own = self._changed(choices)
        if not isinstance(self.transform, PairTransform) or not len(rows):
            return images
        others = read(own[rows, 0])
        return images.index_copy_(0, rows, self.transform.apply(images[rows], others, own[rows]))

    def _changed(self, choices: Tensor) -> tuple[Tensor, Tensor]:
        """Finds the rows of images that are changed, and the transform's own choices for all."""
        return choices[:, self.start].nonzero()[:, 0], choices[:, self.start + 1 : self.end]


class TrainTransform(EvalTransform):
    """Augments images: the transforms of `more`, then mirror, pad with black and crop, normalise, erase a random box.

    The last four are the baseline's, computed together. The erased box is 0 after normalisation, which is the mean of
    each channel, or noise of variance 1 where `erase_noise` says so. The transforms draw from generators of their own, by
    their names, so that one more leaves the choices of all others as they are.
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
        erase_noise: bool = False,
        more: Mapping[str, RandomTransform] | None = None,
    ) -> None:
        super().__init__(mean, std)
        self.height, self.width = size
        self.flip_prob = flip_prob
        self.erase_prob = erase_prob
        self.padding = padding
        self.erase_area = erase_area
        self.erase_aspect = erase_aspect
        self.erase_noise = erase_noise
        self.steps: list[_Step] = []
        self._own = column = _OF_THE_RECIPE + erase_noise  # columns of the choices
        for name, transform in (more or {}).items():
            self.steps.append(_Step(name, transform, column))
            column = self.steps[-1].end

    def draw(self, seeds: Sequence[int]) -> Tensor:
        """Draws the choices float32 [B, 7 or more] for a batch, those of each image from its own seed alone."""
        parts = [torch.tensor([self._draw(random.Random(seed)) for seed in seeds], dtype=torch.int64).float()]
        parts += [torch.tensor([step.draw(seed) for seed in seeds], dtype=torch.float32) for step in self.steps]
        return torch.cat(parts, dim=1) if seeds else torch.empty(0, self._own)

    def _draw(self, rng: random.Random) -> Augmentation:
        """Draws mirror, crop and erasing for one image."""
        flip = rng.random() < self.flip_prob
        top, left = rng.randint(0, 2 * self.padding), rng.randint(0, 2 * self.padding)
        if rng.random() >= self.erase_prob:
            return int(flip), top, left, *([0] * (self._own - 3))
        box = draw_box(rng, (self.height, self.width), self.erase_area, self.erase_aspect)
        return int(flip), top, left, *box, *([rng.getrandbits(_SEED_BITS)] if self.erase_noise else [])

    def add_others(self, images: Tensor, choices: Tensor, read: Callable[[Tensor], Tensor]) -> Tensor:
        """Applies the transforms that take pixels of other training images, where images are read.

        Args:
            images: uint8 [B, 3, H, W], which may be changed.
            choices: what `draw` gave.
            read: reads other images, uint8 [n, 3, H, W], by their places among all training images, 0 to 1, float32 [n].
        """
        for step in self.steps:
            images = step.add_others(images, choices, read)
        return images

    def augment(self, images: Tensor, choices: Tensor) -> Tensor:
        """Augments images by the drawn choices, on the images' device.

        On a processor the batch is augmented image by image, since each fits its cache; on other devices in a few
        operations on the whole batch.
        """
        if images.device.type == "cpu":
            return self._augment_each(images, choices)
        return self._augment_batch(images, choices)

    def _augment_each(self, images: Tensor, choices: Tensor) -> Tensor:
        """Augments a batch image by image, the baseline's part with numpy."""
        for step in self.steps:
            images = step.apply(images, choices, each=True)
        of_recipe = choices.numpy()[:, : self._own].astype(np.int64).tolist()
        pixels, result = images.numpy(), np.empty(images.shape, dtype=np.float32)
        for image, out, (flip, top, left, y, x, height, width, *seed) in zip(pixels, result, of_recipe, strict=True):
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
            if seed and height:
                places = torch.arange(y, y + height), torch.arange(x, x + width)
                out[:, y : y + height, x : x + width] = normal_noise(torch.tensor(seed), len(out), *places)[0].numpy()
            else:
                out[:, y : y + height, x : x + width] = 0
        return torch.from_numpy(result)

    def _augment_batch(self, images: Tensor, choices: Tensor) -> Tensor:
        """Augments a whole batch in a few operations, without waiting for the device."""
        for step in self.steps:
            images = step.apply(images, choices, each=False)
        of_recipe = to_device_of(images, choices[:, : self._own].to(torch.int64))
        flip, top, left, box_top, box_left, box_height, box_width, *seed = of_recipe[:, :, None].unbind(1)
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
        if seed:
            noise = normal_noise(seed[0][:, 0], result.shape[1], y, x)
            return torch.where(erased[:, None], noise, result).contiguous()
        return result.masked_fill_(erased[:, None], 0).contiguous()


def _overlap(shift: int, length: int) -> tuple[slice, slice]:
    """Computes the slices of crop and picture that overlap when the crop begins `shift` pixels after the picture."""
    shift = min(max(shift, -length), length)  # wide padding: a crop without any of the picture
    return slice(max(-shift, 0), length - max(shift, 0)), slice(max(shift, 0), length - max(-shift, 0))


def _within(position: Tensor, length: Tensor | int) -> Tensor:
    """Tells for each position whether it is in 0 ... length - 1."""
    return (position >= 0) & (position < length)
