"""Weighted regularised triplet loss of AGW."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from yacs.config import CfgNode

from modeling.losses.triplet import euclidean_distances, require_negatives


class WeightedTriplet:
    """Weighted regularised triplet loss, which has no margin to choose."""

    def __init__(self, cfg: CfgNode, num_classes: int = 0, channels: int = 0) -> None:
        pass

    def check(self, pids: Tensor) -> None:
        """Checks, on the host, that a batch has negatives; see `require_negatives`."""
        require_negatives(pids)

    def __call__(self, scores: Tensor, features: Tensor, pids: Tensor) -> Tensor:
        """Computes the scalar loss of features [B, D] of identities [B]."""
        return weighted_triplet_loss(features, pids)


def weighted_triplet_loss(features: Tensor, pids: Tensor) -> Tensor:
    """Computes log(1 + exp(mean positive distance - mean negative distance)), mean over anchors.

    The means are weighted by a softmax of the distances among the positives, and of the negated distances among the
    negatives, so that far positives and near negatives count most; gradients go through the weights, too. An anchor is one
    of its own positives, as in the authors' code, which differs for distances above about 14: it adds 1e-6 to the sum of
    the negatives' exponentials.

    Args:
        features: [B, D].
        pids: identities [B], at least two different ones (`require_negatives`).
    Returns:
        A scalar.
    Source:
        Ye et al., "Deep Learning for Person Re-Identification: A Survey and Outlook", TPAMI 2021, on AGW.
    """
    distances = euclidean_distances(features, features)
    same = pids[:, None] == pids[None, :]
    positive = distances.masked_fill(~same, -torch.inf).softmax(1)
    negative = (-distances).masked_fill(same, -torch.inf).softmax(1)
    return F.softplus(((positive - negative) * distances).sum(1)).mean()
