"""Builder of the samplers that show every image once an epoch."""

from __future__ import annotations

from typing import Any

from data.datasets.base import ReIDDataset
from data.samplers.base import EpochBatchSampler
from data.samplers.identity import RandomIdentitySampler
from data.samplers.shuffle import ShuffleSampler
from data.settings import uses_identity_sampler


def build_images_sampler(cfg: Any, dataset: ReIDDataset, seed: int) -> EpochBatchSampler:
    """Builds the sampler of shuffled images, or of P × K batches where the losses need these."""
    if not uses_identity_sampler(cfg):
        return ShuffleSampler(len(dataset.train), cfg.SOLVER.IMS_PER_BATCH, seed=seed)
    pids = [sample.pid for sample in dataset.train]
    return RandomIdentitySampler(pids, cfg.SOLVER.IMS_PER_BATCH, cfg.DATALOADER.NUM_INSTANCE, seed=seed)
