"""The part of the query and gallery images whose features a process extracts, and how the parts become one again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from data import ReIDDataset
from engine.evaluation import Features
from engine.world import World


class EvalPart:
    """Every `world.size`-th query and gallery image, beginning with this process's own number."""

    def __init__(self, dataset: ReIDDataset, world: World) -> None:
        mine = slice(world.rank, None, world.size)
        self.dataset = replace(dataset, query=dataset.query[mine], gallery=dataset.gallery[mine])
        self.num_query = len(dataset.query)
        self.tracks = dataset.gallery_tracks
        self._total = self.num_query + len(dataset.gallery)
        self._world = world

    def gather(self, own: Features) -> Features:
        """Features, identities and cameras of all images, in the data set's order, from each process's own."""
        if self._world.size == 1:
            return own
        images = np.arange(self._total)
        owner = np.where(images < self.num_query, images, images - self.num_query) % self._world.size
        counts = np.bincount(owner, minlength=self._world.size).tolist()
        # The parts one behind the other hold the images sorted by owner; this puts them back.
        place = torch.from_numpy(np.argsort(np.argsort(owner, kind="stable"), kind="stable"))
        features, pids, camids = (self._world.gather_rows(torch.as_tensor(rows), counts)[place] for rows in own)
        return features, pids.numpy(), camids.numpy()
