"""The part of the query and gallery images whose features a process extracts, and how the parts become one again."""

from __future__ import annotations

import torch

from data import ReIDDataset
from data.build import stretch
from engine.evaluation import Features
from engine.world import World


class EvalPart:
    """The stretch of the images that `data.build.build_eval_loader` gives this process."""

    def __init__(self, dataset: ReIDDataset, world: World) -> None:
        self.tracks = dataset.gallery_tracks
        total = len(dataset.query) + len(dataset.gallery)
        self._counts = [len(stretch(total, rank, world.size)) for rank in range(world.size)]
        self._world = world

    def gather(self, own: Features) -> Features:
        """Features, identities and cameras of all images, in the data set's order, from each process's own."""
        if self._world.size == 1:
            return own
        features, pids, camids = (self._world.gather_rows(torch.as_tensor(rows), self._counts) for rows in own)
        return features, pids.numpy(), camids.numpy()
