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
from engine.evaluation.protocols import Labels

# Features [N, D], identities [N], cameras [N].
Features = tuple[Tensor, np.ndarray[Any, np.dtype[np.int64]], np.ndarray[Any, np.dtype[np.int64]]]


@torch.inference_mode()
def extract_features(
    model: nn.Module,
    loader: Iterable[Any],
    *,
    device: torch.device,
    flip: bool = False,
    known_origins: bool = False,
    check_stop: Callable[[], None] = lambda: None,
) -> Features:
    """Extracts the features of a loader's images.

    Args:
        model: gives features [B, D] in evaluation mode.
        loader: batches (images, pids, camids, paths, origins).
        device: computes the features.
        flip: averages the features of an image and of its mirror image.
        known_origins: whether cameras and views have the numbers that the model was trained with; one that takes origins
            gets them then.
        check_stop: called after every batch; may raise.
    Returns:
        Features [N, D] float32 in host memory, identities [N] and cameras [N].
    """
    model.eval()
    features, pids, camids = [], [], []
    takes_origins = known_origins and getattr(model, "takes_origins", False)
    for images, batch_pids, batch_camids, _paths, origins in loader:
        images = images.to(device, non_blocking=True)
        others = (origins.to(device, non_blocking=True),) if takes_origins else ()
        feature = model(images, *others).float()
        if flip:
            feature = (feature + model(images.flip(3), *others).float()) / 2
        features.append(feature.cpu())
        pids.append(batch_pids)
        camids.append(batch_camids)
        check_stop()
    return torch.cat(features), torch.cat(pids).numpy(), torch.cat(camids).numpy()


def knows_origins(model: nn.Module, dataset: ReIDDataset, trained: str, say: Callable[[str], object]) -> bool:
    """Tells whether the cameras and views of query and gallery have the numbers that a model was trained with.

    Args:
        model: the network.
        dataset: to be evaluated.
        trained: name of the first data set that was trained on, whose cameras come first.
        say: gets a line where they have others and the model takes origins.
    """
    name = dataset.tested or dataset.name
    if name != trained:
        reason = f"trained on {trained}"
    elif not dataset.same_cameras:
        reason = "trained on cameras without numbers"
    else:
        return True
    if getattr(model, "takes_origins", False):
        say(f"Cameras of {name} are not known to the network, {reason}: it takes the mean of its embeddings")
    return False


class EvalShard:
    """This process's shard of the query and gallery images, as `data.build.build_eval_loader` gives it out."""

    def __init__(self, dataset: ReIDDataset, group: ProcessGroup) -> None:
        self.labels = Labels.of(dataset)
        total = len(dataset.query) + len(dataset.gallery)
        self._counts = [len(shard_range(total, rank, group.size)) for rank in range(group.size)]
        self._group = group

    def all_gather(self, own: Features) -> Features:
        """Joins the features, identities and cameras of all shards, in the data set's order, on every process."""
        if self._group.size == 1:
            return own
        features, pids, camids = (self._group.all_gather_rows(torch.as_tensor(rows), self._counts) for rows in own)
        return features, pids.numpy(), camids.numpy()
