"""Batch-hard triplet loss."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from yacs.config import CfgNode


class BatchHardTriplet:
    """Batch-hard triplet loss with SOLVER.MARGIN, or with the soft margin where MODEL.NO_MARGIN is True."""

    def __init__(self, cfg: CfgNode, num_classes: int = 0, channels: int = 0) -> None:
        self.margin: float | None = None if cfg.MODEL.NO_MARGIN else float(cfg.SOLVER.MARGIN)

    def check(self, pids: Tensor) -> None:
        """Checks, on the host, that a batch has negatives; see `require_negatives`."""
        require_negatives(pids)

    def __call__(self, scores: Tensor, features: Tensor, pids: Tensor) -> Tensor:
        """Computes the scalar loss of features [B, D] of identities [B]."""
        return batch_hard_triplet_loss(features, pids, self.margin)


def euclidean_distances(a: Tensor, b: Tensor) -> Tensor:
    """Computes Euclidean distances [N, M] of the rows of a [N, D] and b [M, D], at least 1e-6, differentiable at 0."""
    squared = a.pow(2).sum(1, keepdim=True) + b.pow(2).sum(1) - 2 * a @ b.t()
    return squared.clamp(min=1e-12).sqrt()


def batch_hard_triplet_loss(features: Tensor, pids: Tensor, margin: float | None) -> Tensor:
    """Computes the batch-hard triplet loss: the farthest positive against the nearest negative, mean over anchors.

    Identities may have unequal numbers of images; an anchor alone in its identity is its own positive.

    Args:
        features: [B, D].
        pids: identities [B], at least two different ones (`require_negatives`).
        margin: of the hinge, in units of distance; None chooses the soft margin log(1 + exp(positive - negative)).
    Returns:
        A scalar.
    Source:
        Hermans et al., "In Defense of the Triplet Loss for Person Re-Identification", arXiv:1703.07737.
    """
    distances = euclidean_distances(features, features)
    same = pids[:, None] == pids[None, :]
    positive = distances.masked_fill(~same, -torch.inf).amax(1)
    negative = distances.masked_fill(same, torch.inf).amin(1)
    if margin is None:
        return F.softplus(positive - negative).mean()
    return F.relu(positive - negative + margin).mean()


def require_negatives(pids: Tensor) -> None:
    """Checks, on the host, that a batch has negatives for the triplet loss.

    Raises:
        ValueError: the batch has one identity only, so no anchor has a negative.
    """
    if bool((pids == pids[0]).all()):
        raise ValueError(f"a batch of {len(pids)} images has identity {int(pids[0])} only; triplets need two")
