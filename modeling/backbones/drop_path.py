"""Stochastic depth: in training, what a layer adds is left out for some images."""

from __future__ import annotations

import torch.distributed as dist
from torch import Tensor, nn


class DropPath(nn.Module):
    """Leaves out what a layer adds for some images in training, and magnifies the rest to the same mean.

    Several processes draw for the whole batch, alike since their random states are, and each takes the draws of its own
    images, which are every n-th of n processes: so they drop what one process does.

    Args:
        probability: with which what is added for an image is left out.
    Source:
        Huang et al., "Deep Networks with Stochastic Depth", ECCV 2016.
    """

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, added: Tensor) -> Tensor:
        """Applies it to what is added [B, ...]."""
        if not self.training or not self.probability:
            return added
        rank, size = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
        kept = 1 - self.probability
        draws = added.new_empty(size * len(added), *(1,) * (added.ndim - 1)).bernoulli_(kept)
        return added * draws[rank::size].div_(kept)

    def extra_repr(self) -> str:
        return f"probability={self.probability}"
