"""Circle loss over the pairs of a batch."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from yacs.config import CfgNode


class PairwiseCircle:
    """Circle loss over the pairs of a batch, with SOLVER.CIRCLE_MARGIN and SOLVER.CIRCLE_SCALE."""

    def __init__(self, cfg: CfgNode, num_classes: int = 0, channels: int = 0) -> None:
        self.margin, self.scale = float(cfg.SOLVER.CIRCLE_MARGIN), float(cfg.SOLVER.CIRCLE_SCALE)

    def __call__(self, scores: Tensor, features: Tensor, pids: Tensor) -> Tensor:
        """Computes the scalar loss of features [B, D] of identities [B]."""
        return pairwise_circle_loss(features, pids, self.margin, self.scale)


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
