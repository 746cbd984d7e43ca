"""Features of the query and gallery images, and how well they rank."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from utils.errors import TrainerError
from utils.metrics import rank_features

RANKS = (1, 5, 10)


@dataclass(frozen=True)
class Results:
    """mAP and CMC (by RANKS) as shares 0..1, and the epoch after which they were measured."""

    epoch: int
    mAP: float
    cmc: tuple[float, ...]

    def lines(self) -> list[str]:
        """The log lines of reid-strong-baseline."""
        ranks = [f"CMC curve, Rank-{rank:<3}:{share:.1%}" for rank, share in zip(RANKS, self.cmc, strict=True)]
        return [f"Validation Results - Epoch: {self.epoch}", f"mAP: {self.mAP:.1%}", *ranks]

    def row(self) -> dict[str, float]:
        """Metric names and values in percent."""
        ranks = {f"val/cmc_rank_{rank}": 100 * share for rank, share in zip(RANKS, self.cmc, strict=True)}
        return {"epoch": self.epoch, "val/mAP": 100 * self.mAP, **ranks}


def evaluate(
    model: nn.Module,
    loader: Iterable[Any],
    num_query: int,
    *,
    epoch: int,
    device: torch.device,
    normalise: bool,
    check_stop: Callable[[], None] = lambda: None,
) -> Results:
    """Ranks the gallery for each query by Euclidean distance of features.

    Args:
        model: gives features [B, D] in evaluation mode.
        loader: batches (images, pids, camids, paths), the `num_query` queries first.
        normalise: scale features to unit length first.
        check_stop: called after every batch; may raise.
    Raises:
        TrainerError: no query has a match, or features are not finite.
    """
    features, pids, camids = extract_features(model, loader, device=device, check_stop=check_stop)
    if not torch.isfinite(features).all():
        raise TrainerError(f"diverged: features are not finite after epoch {epoch}")
    if normalise:
        features = F.normalize(features)
    q, g = slice(None, num_query), slice(num_query, None)
    try:
        ranking = rank_features(features[q], pids[q], camids[q], features[g], pids[g], camids[g])
    except ValueError as error:
        raise TrainerError(str(error)) from None
    return Results(epoch=epoch, mAP=ranking.mAP, cmc=tuple(float(ranking.cmc[rank - 1]) for rank in RANKS))


@torch.inference_mode()
def extract_features(
    model: nn.Module, loader: Iterable[Any], *, device: torch.device, check_stop: Callable[[], None] = lambda: None
) -> tuple[Tensor, np.ndarray[Any, np.dtype[np.int64]], np.ndarray[Any, np.dtype[np.int64]]]:
    """Features [N, D] float32 in host memory, identities [N] and cameras [N] of a loader's images."""
    model.eval()
    features, pids, camids = [], [], []
    for images, batch_pids, batch_camids, _paths in loader:
        features.append(model(images.to(device, non_blocking=True)).float().cpu())
        pids.append(batch_pids)
        camids.append(batch_camids)
        check_stop()
    return torch.cat(features), torch.cat(pids).numpy(), torch.cat(camids).numpy()
