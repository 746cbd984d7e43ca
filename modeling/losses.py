"""Losses of the training: identity losses, losses over the pairs of a batch, center loss."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from yacs.config import CfgNode

SMOOTHING = 0.1


def euclidean_distances(a: Tensor, b: Tensor) -> Tensor:
    """Computes Euclidean distances [N, M] of the rows of a [N, D] and b [M, D], at least 1e-6, differentiable at 0."""
    squared = a.pow(2).sum(1, keepdim=True) + b.pow(2).sum(1) - 2 * a @ b.t()
    return squared.clamp(min=1e-12).sqrt()


def batch_hard_triplet_loss(features: Tensor, pids: Tensor, margin: float) -> Tensor:
    """Computes the batch-hard triplet loss: the farthest positive against the nearest negative, mean over anchors.

    Identities may have unequal numbers of images; an anchor alone in its identity is its own positive.

    Args:
        features: [B, D].
        pids: identities [B], at least two different ones (`require_negatives`).
        margin: of the hinge, in units of distance; 0 chooses the soft margin log(1 + exp(positive - negative)).
    Returns:
        A scalar.
    Source:
        Hermans et al., "In Defense of the Triplet Loss for Person Re-Identification", arXiv:1703.07737.
    """
    distances = euclidean_distances(features, features)
    same = pids[:, None] == pids[None, :]
    positive = distances.masked_fill(~same, -torch.inf).amax(1)
    negative = distances.masked_fill(same, torch.inf).amin(1)
    if margin == 0:
        return F.softplus(positive - negative).mean()
    return F.relu(positive - negative + margin).mean()


def pairwise_circle_loss(features: Tensor, pids: Tensor, margin: float, scale: float) -> Tensor:
    """Computes the circle loss of cosine similarities over the pairs of a batch, mean over anchors.

    An anchor alone in its identity has no positive pair and adds nothing.

    Args:
        features: [B, D].
        pids: identities [B].
        margin: m, the relaxation; the optimum of a positive pair is 1 + m, of a negative one -m.
        scale: gamma.
    Returns:
        A scalar.
    Source:
        Sun et al., "Circle Loss", CVPR 2020, equation 6.
    """
    unit = F.normalize(features)
    similarities = unit @ unit.t()
    same = pids[:, None] == pids[None, :]
    positive = same & ~torch.eye(len(pids), dtype=torch.bool, device=pids.device)
    pulls = -scale * (1 + margin - similarities.detach()).clamp(min=0) * (similarities - (1 - margin))
    pushes = scale * (similarities.detach() + margin).clamp(min=0) * (similarities - margin)
    lowest = -1e9  # finite: logsumexp over only -inf has no gradient
    pull = pulls.masked_fill(~positive, lowest).logsumexp(1)
    push = pushes.masked_fill(same, lowest).logsumexp(1)
    return F.softplus(pull + push).mean()


def margin_logits(kind: str, cosines: Tensor, pids: Tensor, margin: float, scale: float) -> Tensor:
    """Computes the logits [B, C] of a softmax with an angular margin.

    Args:
        kind: cosface (Wang et al., CVPR 2018: cos - m), arcface (Deng et al., CVPR 2019: cos(angle + m), carried on
            linearly where angle + m would pass pi) or circle (Sun et al., CVPR 2020, class-level labels).
        cosines: of features to class directions [B, C].
        pids: the classes [B]; only their columns get the margin (circle weighs all columns).
        margin: m, in radians for arcface.
        scale: of the logits.
    """
    if kind == "circle":
        target = F.one_hot(pids, cosines.shape[1]).bool()
        positive = (1 + margin - cosines.detach()).clamp(min=0) * (cosines - (1 - margin))
        negative = (cosines.detach() + margin).clamp(min=0) * (cosines - margin)
        return scale * torch.where(target, positive, negative)
    of_class = cosines.gather(1, pids[:, None])
    if kind == "cosface":
        changed = of_class - margin
    else:
        sine = (1 - of_class.pow(2)).clamp(min=1e-12).sqrt()
        turned = of_class * math.cos(margin) - sine * math.sin(margin)
        changed = torch.where(of_class > -math.cos(margin), turned, of_class - margin * math.sin(margin))
    return scale * cosines.scatter(1, pids[:, None], changed)


def require_negatives(pids: Tensor) -> None:
    """Checks, on the host, that a batch has negatives for the triplet loss.

    Raises:
        ValueError: the batch has one identity only, so no anchor has a negative.
    """
    if bool((pids == pids[0]).all()):
        raise ValueError(f"a batch of {len(pids)} images has identity {int(pids[0])} only; triplets need two")


class CenterLoss(nn.Module):
    """Center loss: the mean squared distance of features to a learnt center of their class.

    As in reid-strong-baseline, without a factor 1/2, and with centers drawn from the normal distribution.

    Source:
        Wen et al., "A Discriminative Feature Learning Approach for Deep Face Recognition", ECCV 2016.
    """

    def __init__(self, num_classes: int, channels: int) -> None:
        super().__init__()
        self.centers = nn.Parameter(torch.randn(num_classes, channels))

    def forward(self, features: Tensor, pids: Tensor) -> Tensor:
        """Computes the scalar loss of features [B, D] of classes [B]."""
        return (features - self.centers[pids]).pow(2).sum(1).mean()


@dataclass(frozen=True)
class Criterion:
    """Training loss of a configuration, without center loss."""

    identity: str = ""  # softmax, cosface, arcface or circle; empty: none
    pairs: str = ""  # triplet or circle; empty: none
    smoothing: float = 0.0
    margin: float = 0.3  # of the triplet loss
    cosine_margin: float = 0.5
    cosine_scale: float = 30.0
    circle_margin: float = 0.25
    circle_scale: float = 128.0

    def __call__(self, scores: Tensor, features: Tensor, pids: Tensor) -> Tensor:
        """Computes the scalar loss of a batch.

        Args:
            scores: class scores [B, C]; cosines for a margin loss.
            features: before the neck [B, D].
            pids: identities [B].
        """
        loss = scores.new_zeros(())
        if self.identity:
            if self.identity != "softmax":
                scores = margin_logits(self.identity, scores, pids, self.cosine_margin, self.cosine_scale)
            # F.cross_entropy smooths by epsilon / C, as the Bag of Tricks does.
            loss = loss + F.cross_entropy(scores, pids, label_smoothing=self.smoothing)
        if self.pairs == "triplet":
            loss = loss + batch_hard_triplet_loss(features, pids, self.margin)
        elif self.pairs == "circle":
            loss = loss + pairwise_circle_loss(features, pids, self.circle_margin, self.circle_scale)
        return loss


def build_criterion(cfg: CfgNode) -> Criterion:
    """Builds the training loss; DATALOADER.SAMPLER chooses the losses, MODEL.*_LOSS_TYPE their kind."""
    sampler, solver = cfg.DATALOADER.SAMPLER, cfg.SOLVER
    kinds = {"triplet": "triplet", "triplet_center": "triplet", "circle": "circle", "center": ""}
    return Criterion(
        identity=cfg.MODEL.ID_LOSS_TYPE if "softmax" in sampler else "",
        pairs=kinds[cfg.MODEL.METRIC_LOSS_TYPE] if "triplet" in sampler else "",
        smoothing=SMOOTHING if cfg.MODEL.IF_LABELSMOOTH == "on" else 0.0,
        margin=solver.MARGIN,
        cosine_margin=solver.COSINE_MARGIN,
        cosine_scale=solver.COSINE_SCALE,
        circle_margin=solver.CIRCLE_MARGIN,
        circle_scale=solver.CIRCLE_SCALE,
    )


def build_center_loss(cfg: CfgNode, num_classes: int, channels: int) -> CenterLoss | None:
    """Builds the center loss where MODEL.IF_WITH_CENTER is yes; else None."""
    return CenterLoss(num_classes, channels) if cfg.MODEL.IF_WITH_CENTER == "yes" else None
