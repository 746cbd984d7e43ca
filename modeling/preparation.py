"""Stage of training before the epochs, which a head may ask for."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn


class Preparation(nn.Module):
    """Stage in which something beside the network learns from features of the training images, which are computed once.

    Its parameters that need a gradient are trained (`engine.preparation`); what they lead to is put into the network in the end.
    """

    def encode(self, model: Any, images: Tensor) -> Tensor:
        """Computes the features [B, D] of images [B, 3, H, W] with the network, which stays as it is."""
        raise NotImplementedError

    def loss(self, features: Tensor, pids: Tensor) -> Tensor:
        """Computes the scalar loss of features [B, D] of identities [B]."""
        raise NotImplementedError

    def finish(self, model: Any) -> None:
        """Puts the result into a network."""
        raise NotImplementedError
