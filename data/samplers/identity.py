"""Sampler of P × K batches: K images of each of P identities."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from data.datasets.base import DatasetError
from data.samplers.base import EpochBatchSampler
from data.settings import batch_problems


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
