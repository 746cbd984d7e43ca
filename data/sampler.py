"""Samplers: the images of an epoch in batches, and a seed for the augmentation of each image.

An epoch is a pure function of (seed, epoch): a resumed run draws what the uninterrupted one would have, also
from the middle of an epoch. Samplers yield batches of `Draw`; the seed in it belongs to the image's place
in the epoch, so neither skipped batches nor the number of worker processes change an augmentation.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

from data.datasets.base import DatasetError
from data.settings import batch_problems

_ORDER, _AUGMENTATION = 0, 1


class Draw(NamedTuple):
    """Image drawn for a batch: its number in the training split, and the seed of its augmentation."""

    image: int
    seed: int


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
        draws = map(Draw, images.tolist(), seeds.tolist())
        parts = [list(islice(draws, len(batch)))[self.rank :: self.world_size] for batch in batches]
        return iter(parts[self.start_batch :])

    @abstractmethod
    def __len__(self) -> int:
        """Counts the batches of a whole epoch, whatever `start_batch` is."""

    @abstractmethod
    def batches(self, rng: np.random.Generator) -> list[NDArray[np.int64]]:
        """Draws the image numbers of an epoch's batches from `rng`."""


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


class RandomIdentitySampler(EpochBatchSampler):
    """Draws P × K batches: K images of each of P different identities.

    Every image is shown at least once an epoch. The images of an identity are shuffled and cut into groups of
    K, the last of which is filled up with other images of the identity. An epoch has the fewest batches that
    can hold all groups, no identity twice in one; places left over are filled with further groups of random
    identities, so every batch is a full P × K. Where one identity has many more images than the others this
    repeats the others rather than lose its images.

    Raises:
        DatasetError: K < 1, a batch size that is not a multiple of K with at least two identities, or fewer
            identities than a batch needs.
    Source:
        Hermans et al., "In Defense of the Triplet Loss for Person Re-Identification", 2017.
    """

    def __init__(self, pids: Sequence[int], batch_size: int, num_instances: int, *, seed: int) -> None:
        super().__init__(seed)
        if problems := batch_problems(batch_size, num_instances):
            raise DatasetError("; ".join(problems))
        self.num_instances = num_instances
        self.ids_per_batch = batch_size // num_instances
        values, positions = np.unique(np.asarray(pids, dtype=np.int64), return_inverse=True)
        if len(values) < 2:
            raise DatasetError(
                "the training split has 1 identity, batches of several identities need two; DATALOADER.SAMPLER softmax"
                " takes any images"
            )
        if len(values) < self.ids_per_batch:
            raise DatasetError(
                f"SOLVER.IMS_PER_BATCH: {batch_size} needs {self.ids_per_batch} identities "
                f"(DATALOADER.NUM_INSTANCE is {num_instances}), the training split has {len(values)}; "
                f"give at most {len(values) * num_instances}"
            )
        self.images = [np.flatnonzero(positions == identity) for identity in range(len(values))]
        groups = np.array([-(-len(images) // num_instances) for images in self.images])
        self.groups_per_id: NDArray[np.int64] = groups
        self.num_batches = max(-(-int(groups.sum()) // self.ids_per_batch), int(groups.max()))

    def __len__(self) -> int:
        return self.num_batches

    def batches(self, rng: np.random.Generator) -> list[NDArray[np.int64]]:
        waiting = [list(self._groups(images, rng)) for images in self.images]
        batches = []
        for chosen in self._schedule(rng):
            for identity in chosen:  # more groups for one that only fills the batch
                waiting[identity] = waiting[identity] or list(self._groups(self.images[identity], rng))
            batches.append(np.concatenate([waiting[identity].pop() for identity in chosen]))
        return batches

    def _groups(self, images: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        """Shuffles an identity's images into rows of K; the last row is filled up with the first images."""
        rows = -(-len(images) // self.num_instances)
        return np.resize(rng.permutation(images), (rows, self.num_instances))

    def _schedule(self, rng: np.random.Generator) -> Iterator[Collection[int]]:
        """Yields the identities of each batch at random, those with more groups left more often.

        An identity with as many groups left as there are batches left must be taken. There are never more
        than P of these, because P × (batches left) is at least the number of groups left, before and after
        every batch.

        One of all groups left is drawn, and another where its identity is in the batch already: the time this takes
        does not grow with the number of identities.
        """
        left: list[int] = self.groups_per_id.tolist()
        groups: list[int] = np.repeat(np.arange(len(left)), left).tolist()  # the identity of each that is left
        came_to: list[list[int]] = [[] for _ in range(self.num_batches + 1)]  # identities, by groups left
        for identity, number in enumerate(left):
            came_to[number].append(identity)
        forced: set[int] = set()  # their groups are removed from `groups` when met
        free, numbers = len(groups), _uniform(rng)  # groups left of the others
        for batches_left in range(self.num_batches, 0, -1):
            due = [identity for identity in came_to[batches_left] if left[identity] == batches_left]
            forced.update(due)
            free -= batches_left * len(due)
            chosen = dict.fromkeys(sorted(forced))
            eligible = free
            while len(chosen) < self.ids_per_batch and eligible:
                place = int(next(numbers) * len(groups))
                identity = groups[place]
                if identity not in chosen or identity in forced:
                    groups[place] = groups[-1]
                    groups.pop()
                if identity not in chosen:
                    chosen[identity] = None
                    eligible -= left[identity]
            while len(chosen) < self.ids_per_batch:
                chosen[int(next(numbers) * len(left))] = None
            for identity in chosen:
                if left[identity] and identity not in forced:
                    free -= 1
                    came_to[left[identity] - 1].append(identity)
                left[identity] = max(left[identity] - 1, 0)
            yield chosen


def _uniform(rng: np.random.Generator) -> Iterator[float]:
    """Yields random numbers from 0 to 1, drawn 1024 at a time."""
    while True:
        yield from rng.random(1024).tolist()
