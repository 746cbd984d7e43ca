"""Interfaces of random transforms, and what is common to them.

A transform takes resized images, uint8 [n, 3, H, W] in red, green and blue, and gives images of the same shape. What is
random is drawn first, for each image from a generator of its own, and applied later: to a whole batch on a GPU, image
by image on a processor, where an image fits the cache. No transform reads a global random state.
"""

from __future__ import annotations

import math
import random
from abc import ABC, abstractmethod
from collections.abc import Sequence

from torch import Tensor

_BOX_ATTEMPTS = 100

# Top, left, height and width in pixels; the height is 0 where there is no box.
Box = tuple[int, int, int, int]


class RandomTransform(ABC):
    """Transform of images, each of which is changed with probability `prob`."""

    def __init__(self, prob: float) -> None:
        self.prob = prob

    @abstractmethod
    def draw(self, rng: random.Random) -> Sequence[float]:
        """Draws the choices for one image: always as many numbers, stored as float32."""


class ImageTransform(RandomTransform):
    """Random transform of images by themselves."""

    @abstractmethod
    def apply(self, images: Tensor, choices: Tensor) -> Tensor:
        """Transforms images by their choices.

        Args:
            images: uint8 [n, 3, H, W] on any device; not to be changed.
            choices: float32 [n, number of choices], always in the processor's memory; `per_image` moves a column.
        Returns:
            Images uint8 [n, 3, H, W] on the same device.
        """


class PairTransform(RandomTransform):
    """Random transform that takes pixels of another training image.

    The first choice says which: its place among all training images, from 0 to less than 1. Such transforms are applied
    where images are read, before all others.
    """

    @abstractmethod
    def apply(self, images: Tensor, others: Tensor, choices: Tensor) -> Tensor:
        """Transforms images, which may be changed, by their choices and other images; shapes as for ImageTransform."""


def per_image(values: Tensor, images: Tensor) -> Tensor:
    """Moves a number for each image, [n], to the images' device, as [n, 1, 1, 1]."""
    return to_device_of(images, values).reshape(-1, 1, 1, 1)


def to_device_of(images: Tensor, values: Tensor) -> Tensor:
    """Copies numbers to the images' device without waiting for it."""
    if images.device.type == "cuda":
        values = values.pin_memory()  # a copy of pageable memory waits for the whole device
    return values.to(images.device, non_blocking=True)


def draw_box(rng: random.Random, size: Sequence[int], area: Sequence[float], aspect: float) -> Box:
    """Draws a box smaller than the image in both directions; height 0 where no attempt gave one.

    Args:
        rng: generator.
        size: height and width of the image in pixels.
        area: least and largest share of the image's area.
        aspect: least ratio of height to width; the largest is its inverse.
    """
    image_height, image_width = size
    for _ in range(_BOX_ATTEMPTS):
        pixels = rng.uniform(*area) * image_height * image_width
        ratio = rng.uniform(aspect, 1 / aspect)
        height, width = round(math.sqrt(pixels * ratio)), round(math.sqrt(pixels / ratio))
        if height < image_height and width < image_width:
            return rng.randint(0, image_height - height), rng.randint(0, image_width - width), height, width
    return 0, 0, 0, 0
