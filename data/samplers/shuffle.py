"""Sampler that shuffles the images of an epoch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from data.datasets.base import DatasetError
from data.samplers.base import EpochBatchSampler


class ShuffleSampler(EpochBatchSampler):
    """Shuffles the images, each once an epoch; the last batch may be smaller.

    A last batch of one image to normalise, which batch normalisation cannot train on, is joined to the one before.

    Raises:
        DatasetError: fewer images than a step needs.
    """

    def __init__(self, num_images: int, batch_size: int, *, seed: int) -> None:
        super().__init__(seed)
        self.num_images = num_images
        self.batch_size = batch_size
        self.shard(0, 1)

    def shard(self, rank: int, world_size: int, *, own_statistics: bool = False) -> None:
        """Restricts the sampler to a shard, leaving out the images by which an epoch is no multiple of `world_size`."""
        super().shard(rank, world_size, own_statistics=own_statistics)
        self.used = self.num_images - self.num_images % world_size
        lonely = world_size if own_statistics else 1
        least = max(2, world_size, 2 * lonely if self.batch_size > lonely else 1)
        if self.used < least:
            raise DatasetError(f"the training split has {self.num_images} image(s), a step needs {least}")
        last_is_lonely = self.used > self.batch_size > lonely and self.used % self.batch_size == lonely
        self.starts = list(range(0, self.used - lonely * last_is_lonely, self.batch_size))

    def __len__(self) -> int:
        return len(self.starts)

    def batches(self, rng: np.random.Generator) -> list[NDArray[np.int64]]:
        return np.split(rng.permutation(self.num_images)[: self.used], self.starts[1:])
