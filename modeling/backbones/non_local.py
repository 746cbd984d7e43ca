"""Non-local block: what a place of a feature map adds from all others (Wang et al., CVPR 2018)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class NonLocal(nn.Module):
    """Non-local block from feature maps [B, C, H, W] to the same shape, x + BN(W y) with y the sum over all places.

    Of the embedded places theta, phi and g, y_i is the mean over j of (theta_i . phi_j) g_j: the dot-product form, divided
    by the number of places. Batch normalisation begins at 0, so that an untrained block changes nothing. The embedding has
    one channel, as in the code that the published results of AGW (mangye16/ReID-Survey) and of fast-reid are from, and the
    tensors have its names.
    """

    def __init__(self, channels: int, embedding: int = 1) -> None:
        super().__init__()
        self.g = nn.Conv2d(channels, embedding, 1)
        norm = nn.BatchNorm2d(channels)
        nn.init.zeros_(norm.weight)
        self.W = nn.Sequential(nn.Conv2d(embedding, channels, 1), norm)
        self.theta = nn.Conv2d(channels, embedding, 1)
        self.phi = nn.Conv2d(channels, embedding, 1)

    def forward(self, x: Tensor) -> Tensor:
        g, theta, phi = (embed(x).flatten(2) for embed in (self.g, self.theta, self.phi))  # [B, E, H W]
        # Sums over places first: a matrix [E, E], where theta phi^T would have one number for each pair of places.
        sums = torch.bmm(g / g.shape[2], phi.transpose(1, 2))
        y = torch.bmm(sums, theta).view(x.shape[0], -1, *x.shape[2:])  # len() would fix it in an export
        return x + self.W(y)  # type: ignore[no-any-return]
