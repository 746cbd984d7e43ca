"""Samplers: the images of an epoch in batches, and a seed for the augmentation of each image.

An epoch is a pure function of (seed, epoch): a resumed run draws what the uninterrupted one would have, also
from the middle of an epoch. Samplers yield batches of `Draw`; the seed in it belongs to the image's place
in the epoch, so neither skipped batches nor the number of worker processes change an augmentation.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

_ORDER, _AUGMENTATION = 0, 1


class Draw(NamedTuple):
    """Image drawn for a batch: its number in the training split, and the seed of its augmentation.

    `batch` are the images of the whole batch, those of other processes too; empty: they are not known.
    """

    image: int
    seed: int
    batch: tuple[int, ...] = ()


class EpochBatchSampler(Sampler[list[Draw]], ABC):
    """Batch sampler of one epoch at a time; not thread-safe, used in the main process."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.epoch = 0
        self.start_batch = 0
        self.rank, self.world_size = 0, 1

    def shard(self, rank: int, world_size: int, *, own_statistics: bool = False) -> None:
        """Restricts the sampler to the shard of every batch that process `rank` of `world_size` trains on.

        The shards of all processes together are the batch of a single process, augmentation too.

        Args:
            rank: of this process.
            world_size: number of processes; the batch size is a multiple of it.
            own_statistics: whether every process normalises its shard by itself.
        """
        self.rank, self.world_size = rank, world_size

    def set_epoch(self, epoch: int, start_batch: int = 0) -> None:
        """Sets the epoch that the next iteration yields, without its first `start_batch` batches."""
        self.epoch = epoch
        self.start_batch = start_batch

    def __iter__(self) -> Iterator[list[Draw]]:
        batches = self.batches(np.random.default_rng([self.seed, self.epoch, _ORDER]))
        images = np.concatenate(batches)
        seeds = np.random.SeedSequence([self.seed, self.epoch, _AUGMENTATION]).generate_state(len(images))
        rest, parts = iter(seeds.tolist()), []
        for batch in batches:
            whole = tuple(batch.tolist())
            draws = [Draw(image, next(rest), whole) for image in whole]
            parts.append(draws[self.rank :: self.world_size])
        return iter(parts[self.start_batch :])

    @abstractmethod
    def __len__(self) -> int:
        """Counts the batches of a whole epoch, whatever `start_batch` is."""

    @abstractmethod
    def batches(self, rng: np.random.Generator) -> list[NDArray[np.int64]]:
        """Draws the image numbers of an epoch's batches from `rng`."""
