"""Training losses: identity losses, losses over the pairs of a batch, center loss."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
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


def pairwise_circle_loss(features: Tensor, pids: Tensor, margin: float, scale: float) -> Tensor:
    """Mean over anchors of the circle loss of cosine similarities (Sun et al., CVPR 2020, equation 6).

    An anchor alone in its identity has no positive pair and adds nothing.

    Args:
        features: [B, D].
        pids: identities [B].
        margin: m, the relaxation; the optimum of a positive pair is 1 + m, of a negative one -m.
        scale: gamma.
    """
    unit = F.normalize(features)
    similarities = unit @ unit.t()
    same = pids[:, None] == pids[None, :]
    positive = same & ~torch.eye(len(pids), dtype=torch.bool, device=pids.device)
    pulls = -scale * (1 + margin - similarities.detach()).clamp(min=0) * (similarities - (1 - margin))
    pushes = scale * (similarities.detach() + margin).clamp(min=0) * (similarities - margin)
    lowest = -1e9  # finite: logsumexp of nothing but -inf has no gradient
    pull = pulls.masked_fill(~positive, lowest).logsumexp(1)
    push = pushes.masked_fill(same, lowest).logsumexp(1)
    return F.softplus(pull + push).mean()


def margin_logits(kind: str, cosines: Tensor, pids: Tensor, margin: float, scale: float) -> Tensor:
    """Logits [B, C] of an angular margin softmax.

    Args:
        kind: cosface (Wang et al., CVPR 2018: cos - m), arcface (Deng et al., CVPR 2019: cos(angle + m), carried on
            linearly where angle + m would pass pi) or circle (Sun et al., CVPR 2020, class-level labels).
        cosines: of features to class directions [B, C].
        pids: the classes [B]; only their columns get the margin (circle weighs all columns).
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
    """Checks a batch on the host, where it costs nothing.

    Raises:
        ValueError: the batch has one identity only, so no anchor has a negative.
    """
    if bool((pids == pids[0]).all()):
        raise ValueError(f"a batch of {len(pids)} images has identity {int(pids[0])} only; triplets need two")


class CenterLoss(nn.Module):
    """Mean squared distance of features to a learnt center of their class (Wen et al., ECCV 2016).

    reid-strong-baseline's: no factor 1/2, centers drawn from the normal distribution.
    """

    def __init__(self, num_classes: int, channels: int) -> None:
        super().__init__()
        self.centers = nn.Parameter(torch.randn(num_classes, channels))

    def forward(self, features: Tensor, pids: Tensor) -> Tensor:
        """Scalar loss of features [B, D] of classes [B]."""
        return (features - self.centers[pids]).pow(2).sum(1).mean()


@dataclass(frozen=True)
class Criterion:
    """The training loss of a configuration, center loss apart."""

    identity: str = ""  # softmax, cosface, arcface or circle; empty: none
    pairs: str = ""  # triplet or circle; empty: none
    smoothing: float = 0.0
    margin: float = 0.3  # of the triplet loss
    cosine_margin: float = 0.5
    cosine_scale: float = 30.0
    circle_margin: float = 0.25
    circle_scale: float = 128.0

    def __call__(self, scores: Tensor, features: Tensor, pids: Tensor) -> Tensor:
        """Scalar loss of class scores [B, C] (cosines for a margin loss), features before the neck [B, D] and
        identities [B]."""
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
    """DATALOADER.SAMPLER chooses the losses, as in reid-strong-baseline; MODEL.*_LOSS_TYPE choose their kind."""
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
    """The center loss where MODEL.IF_WITH_CENTER asks for it."""
    return CenterLoss(num_classes, channels) if cfg.MODEL.IF_WITH_CENTER == "yes" else None
