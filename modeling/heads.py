"""Heads of the network, between the backbone's feature map and the losses: pooling and classifiers."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class GeM(nn.Module):
    """Generalised-mean pooling [B, C, H, W] to [B, C, 1, 1] with a learnt exponent (Radenović et al., TPAMI 2019).

    The exponent 1 is the average, a large one the maximum; values below `eps` count as `eps`. Computed in float32.
    """

    def __init__(self, exponent: float = 3.0, eps: float = 1e-6) -> None:
        super().__init__()
        self.p = nn.Parameter(torch.full((1,), exponent))
        self.eps = eps

    def forward(self, feature_map: Tensor) -> Tensor:
        with torch.autocast(feature_map.device.type, enabled=False):
            powers = feature_map.float().clamp(min=self.eps).pow(self.p)
            return F.adaptive_avg_pool2d(powers, 1).pow(1 / self.p)


class CosineClassifier(nn.Linear):
    """Cosine classifier: cosines [B, num_classes] of features [B, D] to a learnt direction per class, unscaled."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__(in_features, out_features, bias=False)
        nn.init.xavier_uniform_(self.weight)

    def forward(self, features: Tensor) -> Tensor:
        with torch.autocast(features.device.type, enabled=False):  # margins are lost in 8 bits of mantissa
            return F.linear(F.normalize(features.to(self.weight.dtype)), F.normalize(self.weight))
