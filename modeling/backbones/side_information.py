"""Side information embeddings of TransReID (He et al., ICCV 2021): of the cameras and views that images are from."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from modeling.precision import no_autocast


class SideInformation(nn.Module):
    """Backbone with an embedding for each camera, view, or pair of both, whose state-dict name is TransReID's.

    A subclass calls `use_origins` in its `__init__`, and adds `side_information` to its tokens where `takes_origins` is True.
    """

    added = ("sie_embed",)
    out_channels: int
    sie_embed: nn.Parameter

    def use_origins(self, *, camera: bool, view: bool, weight: float) -> None:
        """Says what embeddings are for: cameras, views, or pairs of both; and the factor on them."""
        self.sie_camera, self.sie_view, self.sie_weight = camera, view, weight
        self.takes_origins = camera or view
        self.notes: list[str] = []

    def add_origins(self, num_cameras: int, num_views: int) -> None:
        """Adds the embeddings of cameras and views, where there are several to tell apart."""
        cameras = self._counted("CAMERA", num_cameras) if self.sie_camera else 1
        views = self._counted("VIEW", num_views) if self.sie_view else 1
        self.takes_origins = cameras * views > 1
        if self.takes_origins:
            self.sie_shape = (cameras, views)
            self.sie_embed = nn.Parameter(torch.zeros(cameras * views, 1, self.out_channels))
            nn.init.trunc_normal_(self.sie_embed, std=0.02)

    def side_information(self, origins: Tensor | None) -> Tensor:
        """Gives the embedding of each image's camera and view [B or 1, 1, C], times the factor; a mean over what is not known.

        Args:
            origins: cameras and views [B, 2], each -1 where it is not known; None: none is.
        """
        with no_autocast(self.sie_embed):
            if origins is None:
                return self.sie_weight * self.sie_embed.mean(0, keepdim=True)
            (cameras, views), embeddings = self.sie_shape, self.sie_embed
            of_camera = _shares(origins[:, 0], cameras, embeddings)
            of_view = _shares(origins[:, 1], views, embeddings)
            shares = (of_camera[:, :, None] * of_view[:, None, :]).flatten(1)
            return self.sie_weight * (shares @ embeddings[:, 0]).unsqueeze(1)

    def _counted(self, what: str, count: int) -> int:
        """Counts the embeddings of cameras or views: 1, with a note, where there is nothing to tell apart."""
        if count < 2:
            reason = f"all training images are of one {what.lower()}" if count else "no training image has a view"
            self.notes.append(f"MODEL.SIE_{what}: not used, since {reason}")
        return max(count, 1)


def _shares(numbers: Tensor, count: int, like: Tensor) -> Tensor:
    """Gives the share of each of `count` embeddings in those of `numbers` [B]: all of one's own, or equal ones [B, count].

    A number that is not among 0 ... count - 1 is not known, or has not been learnt.
    """
    own = numbers[:, None] == torch.arange(count, device=numbers.device)
    return torch.where(own.any(1, keepdim=True), own.to(like.dtype), 1 / count)
