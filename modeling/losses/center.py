"""Center loss: pulls features towards a learnt center of their class."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from yacs.config import CfgNode


class CenterLoss(nn.Module):
    """Center loss: the mean squared distance of features to a learnt center of their class.

    As in reid-strong-baseline, without a factor 1/2, and with centers drawn from the normal distribution.

    Args:
        num_classes: number of classes.
        channels: length D of a feature.
        rate: learning rate of the centers.
    Source:
        Wen et al., "A Discriminative Feature Learning Approach for Deep Face Recognition", ECCV 2016.
    """

    def __init__(self, num_classes: int, channels: int, rate: float = 0.5) -> None:
        super().__init__()
        self.rate = rate
        self.centers = nn.Parameter(torch.randn(num_classes, channels))

    def forward(self, scores: Tensor | None, features: Tensor, pids: Tensor) -> Tensor:
        """Computes the scalar loss of features [B, D] of classes [B]."""
        return (features - self.centers[pids]).pow(2).sum(1).mean()

    def make_optimizer(self) -> torch.optim.Optimizer:
        """Makes the optimizer of the centers: plain SGD."""
        return torch.optim.SGD(self.parameters(), lr=self.rate)


def build(cfg: CfgNode, num_classes: int, channels: int) -> CenterLoss:
    """Builds the center loss of a branch, whose centers learn at SOLVER.CENTER_LR."""
    return CenterLoss(num_classes, channels, cfg.SOLVER.CENTER_LR)
