"""Samplers that give each of several joined data sets its share of every batch: DATALOADER.SET_WEIGHTS.

The idea is that of fast-reid's SetReWeightSampler, whose weights are whole numbers of identities that fill a batch exactly.
Here a share may be a fraction: where it is no whole number of places, batches have one place more or one fewer, at random,
so that shares hold on average (systematic sampling).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from fractions import Fraction
from itertools import accumulate, pairwise
from math import ceil, floor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.datasets.base import DatasetError, ReIDDataset
from data.samplers.base import EpochBatchSampler
from data.samplers.identity import RandomIdentitySampler
from data.samplers.rounds import DistinctRounds, draw_in_rounds
from data.samplers.shuffle import ShuffleSampler
from data.settings import dataset_names, uses_identity_sampler

_FINEST_WEIGHT = 1_000_000  # weights count to a millionth


def exact_shares(weights: Sequence[float]) -> list[Fraction]:
    """Computes each set's share of a batch as a fraction: rounding must not give a set one place more than it can fill."""
    exact = [Fraction(weight).limit_denominator(_FINEST_WEIGHT) for weight in weights]
    return [weight / sum(exact) for weight in exact]


def divide_places(places: int, shares: Sequence[Fraction], rng: np.random.Generator) -> list[int]:
    """Divides the places of a batch among sets: each gets its share, rounded down or up at random."""
    start = Fraction(rng.random())
    borders = [floor(start + places * border) for border in accumulate(shares, initial=Fraction(0))]
    return [end - begin for begin, end in pairwise(borders)]


class SetShuffleSampler(ShuffleSampler):
    """Draws the images of each batch from several sets by their weights; those of a set in rounds.

    Args:
        sets: images in each set; those of a set follow one another.
        batch_size: images in a batch.
        weights: of the sets.
        seed: of the order.
    Raises:
        DatasetError: fewer images than a step needs.
    """

    def __init__(self, sets: Sequence[int], batch_size: int, weights: Sequence[float], *, seed: int) -> None:
        super().__init__(sum(sets), batch_size, seed=seed)
        self.shares = exact_shares(weights)
        self.images = np.split(np.arange(sum(sets)), np.cumsum(sets)[:-1])

    def batches(self, rng: np.random.Generator) -> list[NDArray[np.int64]]:
        sizes = np.diff([*self.starts, self.used])
        places = np.array([divide_places(int(size), self.shares, rng) for size in sizes])
        drawn = [
            np.split(draw_in_rounds(images, int(of_set.sum()), rng), np.cumsum(of_set)[:-1])
            for images, of_set in zip(self.images, places.T, strict=True)
        ]
        # Shuffled, so that the shards of all processes have about the same of each set.
        return [rng.permutation(np.concatenate(parts)) for parts in zip(*drawn, strict=True)]


class SetIdentitySampler(RandomIdentitySampler):
    """Draws the identities of each P × K batch from several sets by their weights; those of a set in rounds.

    A round of a set shows each of its images about once. An epoch has as many batches as hold all images once.

    Args:
        pids: identity of each image.
        sets: images in each set; those of a set follow one another.
        batch_size: images in a batch.
        num_instances: K.
        weights: of the sets.
        names: of the sets, for messages.
        seed: of the order.
    Raises:
        DatasetError: a batch needs more identities of a set than it has, and as RandomIdentitySampler.
    """

    def __init__(
        self,
        pids: Sequence[int],
        sets: Sequence[int],
        batch_size: int,
        num_instances: int,
        weights: Sequence[float],
        names: Sequence[str],
        *,
        seed: int,
    ) -> None:
        super().__init__(pids, batch_size, num_instances, seed=seed)
        self.shares = exact_shares(weights)
        self.num_batches = -(-int(self.groups_per_id.sum()) // self.ids_per_batch)
        set_of_image = np.repeat(np.arange(len(sets)), sets)
        set_of_id = np.array([set_of_image[images[0]] for images in self.images])
        self.ids_of_set = [np.flatnonzero(set_of_id == number) for number in range(len(sets))]
        for name, ids, share in zip(names, self.ids_of_set, self.shares, strict=True):
            needed = ceil(self.ids_per_batch * share)
            if needed > len(ids):
                raise DatasetError(
                    f"DATALOADER.SET_WEIGHTS: a batch needs up to {needed} identities of {name}, which has {len(ids)};"
                    " give it a smaller weight, or a smaller SOLVER.IMS_PER_BATCH"
                )

    def _schedule(self, rng: np.random.Generator) -> Iterator[Collection[int]]:
        rounds = [DistinctRounds(np.repeat(ids, self.groups_per_id[ids]).tolist(), rng) for ids in self.ids_of_set]
        for _ in range(self.num_batches):
            places = divide_places(self.ids_per_batch, self.shares, rng)
            yield [identity for of_set, number in zip(rounds, places, strict=True) for identity in of_set.draw(number)]


def build_sets_sampler(cfg: Any, dataset: ReIDDataset, seed: int) -> EpochBatchSampler:
    """Builds the sampler of single images, or of P × K batches where the losses need these."""
    sets = dataset.train_sets or (len(dataset.train),)
    weights = tuple(cfg.DATALOADER.SET_WEIGHTS)
    weights = weights * len(sets) if len(weights) == 1 else weights
    batch_size = cfg.SOLVER.IMS_PER_BATCH
    if not uses_identity_sampler(cfg):
        return SetShuffleSampler(sets, batch_size, weights, seed=seed)
    pids = [sample.pid for sample in dataset.train]
    names = dataset_names(cfg)
    return SetIdentitySampler(pids, sets, batch_size, cfg.DATALOADER.NUM_INSTANCE, weights, names, seed=seed)
