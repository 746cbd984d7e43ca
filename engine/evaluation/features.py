"""Extraction of the features of query and gallery images, in one process or in shards by several."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from data import ReIDDataset
from data.build import shard_range
from engine.distributed import ProcessGroup

# Features [N, D], identities [N], cameras [N].
Features = tuple[Tensor, np.ndarray[Any, np.dtype[np.int64]], np.ndarray[Any, np.dtype[np.int64]]]


@torch.inference_mode()
def extract_features(
    model: nn.Module,
    loader: Iterable[Any],
    *,
    device: torch.device,
    flip: bool = False,
    check_stop: Callable[[], None] = lambda: None,
) -> Features:
    """Extracts the features of a loader's images.

    Args:
        model: gives features [B, D] in evaluation mode.
        loader: batches (images, pids, camids, paths).
        device: computes the features.
        flip: averages the features of an image and of its mirror image.
        check_stop: called after every batch; may raise.
    Returns:
        Features [N, D] float32 in host memory, identities [N] and cameras [N].
    """
    model.eval()
    features, pids, camids = [], [], []
    for images, batch_pids, batch_camids, _paths in loader:
        images = images.to(device, non_blocking=True)
        feature = model(images).float()
        if flip:
            feature = (feature + model(images.flip(3)).float()) / 2
        features.append(feature.cpu())
        pids.append(batch_pids)
        camids.append(batch_camids)
        check_stop()
    return torch.cat(features), torch.cat(pids).numpy(), torch.cat(camids).numpy()


class EvalShard:
    """This process's shard of the query and gallery images, as `data.build.build_eval_loader` gives it out."""

    def __init__(self, dataset: ReIDDataset, group: ProcessGroup) -> None:
        self.tracks = dataset.gallery_tracks
        total = len(dataset.query) + len(dataset.gallery)
        self._counts = [len(shard_range(total, rank, group.size)) for rank in range(group.size)]
        self._group = group

    def all_gather(self, own: Features) -> Features:
        """Joins the features, identities and cameras of all shards, in the data set's order, on every process."""
        if self._group.size == 1:
            return own
        features, pids, camids = (self._group.all_gather_rows(torch.as_tensor(rows), self._counts) for rows in own)
        return features, pids.numpy(), camids.numpy()
