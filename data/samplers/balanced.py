"""Samplers that show every identity equally often, however many images it has.

Each image is weighted by the inverse of the number of images of its identity, as in fast-reid's
ImbalancedDatasetSampler. Instead of drawing with replacement, identities come in rounds, and so do the images of each: the
expected number is the same, and an epoch is closer to it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.datasets.base import ReIDDataset
from data.samplers.base import EpochBatchSampler
from data.samplers.identity import RandomIdentitySampler
from data.samplers.rounds import DistinctRounds, draw_in_rounds
from data.samplers.shuffle import ShuffleSampler
from data.settings import uses_identity_sampler


class BalancedShuffleSampler(ShuffleSampler):
    """Draws images of random identities, as many an epoch as there are; some are shown often, others not at all.

    Raises:
        DatasetError: fewer images than a step needs.
    """

    def __init__(self, pids: Sequence[int], batch_size: int, *, seed: int) -> None:
        super().__init__(len(pids), batch_size, seed=seed)
        self.pids = np.unique(np.asarray(pids, dtype=np.int64), return_inverse=True)[1]

    def batches(self, rng: np.random.Generator) -> list[NDArray[np.int64]]:
        identities = draw_in_rounds(np.arange(self.pids.max() + 1), self.used, rng)
        images = np.empty_like(identities)
        for identity in range(self.pids.max() + 1):
            places = identities == identity
            images[places] = draw_in_rounds(np.flatnonzero(self.pids == identity), int(places.sum()), rng)
        return np.split(images, self.starts[1:])


class BalancedIdentitySampler(RandomIdentitySampler):
    """Draws P × K batches in which every identity comes equally often, as many batches as hold all images once.

    Raises:
        DatasetError: as RandomIdentitySampler.
    """

    def __init__(self, pids: Sequence[int], batch_size: int, num_instances: int, *, seed: int) -> None:
        super().__init__(pids, batch_size, num_instances, seed=seed)
        self.num_batches = -(-int(self.groups_per_id.sum()) // self.ids_per_batch)

    def _schedule(self, rng: np.random.Generator) -> Iterator[Collection[int]]:
        rounds = DistinctRounds(range(len(self.images)), rng)
        for _ in range(self.num_batches):
            yield list(rounds.draw(self.ids_per_batch))


def build_identities_sampler(cfg: Any, dataset: ReIDDataset, seed: int) -> EpochBatchSampler:
    """Builds the sampler of single images, or of P × K batches where the losses need these."""
    pids = [sample.pid for sample in dataset.train]
    if not uses_identity_sampler(cfg):
        return BalancedShuffleSampler(pids, cfg.SOLVER.IMS_PER_BATCH, seed=seed)
    return BalancedIdentitySampler(pids, cfg.SOLVER.IMS_PER_BATCH, cfg.DATALOADER.NUM_INSTANCE, seed=seed)
