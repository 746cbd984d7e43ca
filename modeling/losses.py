"""Training losses: identity loss with label smoothing, batch-hard triplet loss."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from yacs.config import CfgNode

SMOOTHING = 0.1


def euclidean_distances(a: Tensor, b: Tensor) -> Tensor:
    """Euclidean distances [N, M] of the rows of a [N, D] and b [M, D], at least 1e-6, differentiable at 0."""
    squared = a.pow(2).sum(1, keepdim=True) + b.pow(2).sum(1) - 2 * a @ b.t()
    return squared.clamp(min=1e-12).sqrt()


def batch_hard_triplet_loss(features: Tensor, pids: Tensor, margin: float) -> Tensor:
    """Mean over anchors of the farthest positive against the nearest negative (Hermans et al., arXiv:1703.07737).

    Identities may have unequal numbers of images; an anchor alone in its identity is its own positive.

    Args:
        features: [B, D].
        pids: identities [B], at least two different ones (`require_negatives`).
        margin: of the hinge, in units of distance; 0 chooses the soft margin log(1 + exp(positive - negative)).
    """
    distances = euclidean_distances(features, features)
    same = pids[:, None] == pids[None, :]
    positive = distances.masked_fill(~same, -torch.inf).amax(1)
    negative = distances.masked_fill(same, torch.inf).amin(1)
    if margin == 0:
        return F.softplus(positive - negative).mean()
    return F.relu(positive - negative + margin).mean()


def require_negatives(pids: Tensor) -> None:
    """Checks a batch on the host, where it costs nothing.

    Raises:
        ValueError: the batch has one identity only, so no anchor has a negative.
    """
    if bool((pids == pids[0]).all()):
        raise ValueError(f"a batch of {len(pids)} images has identity {int(pids[0])} only; triplets need two")


@dataclass(frozen=True)
class Criterion:
    """The training loss of a configuration."""

    identity: bool
    triplet: bool
    smoothing: float
    margin: float

    def __call__(self, scores: Tensor, features: Tensor, pids: Tensor) -> Tensor:
        """Scalar loss of class scores [B, C], features before the neck [B, D] and identities [B]."""
        loss = scores.new_zeros(())
        if self.identity:
            # F.cross_entropy smooths by epsilon / C, as the Bag of Tricks does.
            loss = loss + F.cross_entropy(scores, pids, label_smoothing=self.smoothing)
        if self.triplet:
            loss = loss + batch_hard_triplet_loss(features, pids, self.margin)
        return loss


def build_criterion(cfg: CfgNode) -> Criterion:
    """DATALOADER.SAMPLER chooses the losses, as in reid-strong-baseline."""
    return Criterion(
        identity="softmax" in cfg.DATALOADER.SAMPLER,
        triplet="triplet" in cfg.DATALOADER.SAMPLER,
        smoothing=SMOOTHING if cfg.MODEL.IF_LABELSMOOTH == "on" else 0.0,
        margin=cfg.SOLVER.MARGIN,
    )
