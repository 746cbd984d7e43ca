"""CLIP's image encoder ViT-B/16 (Radford et al., ICML 2021) as CLIP-ReID uses it (Li et al., AAAI 2023).

State-dict names are those of `visual.*` in openai/CLIP, and of `image_encoder.*` in Syliz517/CLIP-ReID.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from yacs.config import CfgNode

from modeling.backbones.layers import number_parts, require_size
from modeling.backbones.side_information import SideInformation
from modeling.backbones.vit import PATCH, patch_grid, resize_positions
from modeling.clip.images import ClipEncoder, ClipFeatures
from modeling.clip.text import TextShape
from modeling.clip.transformer import HEAD_WIDTH, Transformer


class ClipViT(ClipEncoder, SideInformation):
    """Backbone from images [B, 3, H, W] to features [B, out_channels]: the class token, normalised, of the last block.

    Args:
        size: height and width in pixels of the images that positions are learnt for.
        stride: pixels from a patch of PATCH pixels to the next, down and across; less than PATCH: they overlap.
        width: channels C of a token.
        layers: blocks.
        features: length D of the projected feature.
        text: of the text encoder that CLIP trained together with this network.
        sie_camera: adds an embedding of the camera, or of camera and view, to the class token.
        sie_view: adds an embedding of the view.
        sie_weight: factor on that embedding.
    """

    options = ("STRIDE_SIZE", "SIE_CAMERA", "SIE_VIEW")
    file = "ViT-B-16.pt"

    def __init__(
        self,
        size: Sequence[int],
        stride: Sequence[int] = (PATCH, PATCH),
        *,
        width: int = 768,
        layers: int = 12,
        features: int = 512,
        text: TextShape = TextShape(512, 12, 512),  # noqa: B008  immutable
        sie_camera: bool = False,
        sie_view: bool = False,
        sie_weight: float = 1.0,
    ) -> None:
        grid = patch_grid(size, stride)
        super().__init__(grid, (width, width, features), text)
        self.use_origins(camera=sie_camera, view=sie_view, weight=sie_weight)
        scale = width**-0.5
        self.class_embedding = nn.Parameter(scale * torch.randn(width))
        self.positional_embedding = nn.Parameter(scale * torch.randn(grid[0] * grid[1] + 1, width))
        self.proj = nn.Parameter(scale * torch.randn(width, features))
        self.conv1 = nn.Conv2d(3, width, PATCH, stride=(stride[0], stride[1]), bias=False)
        self.ln_pre = nn.LayerNorm(width)
        self.transformer = Transformer(width, layers, max(1, width // HEAD_WIDTH))
        self.ln_post = nn.LayerNorm(width)

    def forward(self, images: Tensor, origins: Tensor | None = None) -> Tensor | ClipFeatures:
        found = self._features(images, self.side_information(origins) if self.takes_origins else None)
        return found if self.gives_all else found.last

    def project(self, images: Tensor) -> Tensor:
        return self._features(images, None).projected

    def _features(self, images: Tensor, side: Tensor | None) -> ClipFeatures:
        """Computes the features of images with embeddings of their origins [B or 1, 1, C], or without."""
        embedded = self.conv1(images)
        patches, positions = embedded.flatten(2).transpose(1, 2), self.positional_embedding[None]
        if embedded.shape[2:] != self.grid:
            positions = resize_positions(positions, self.grid, embedded.shape[2:])
        first = self.class_embedding.expand(images.shape[0], 1, -1)
        first = first if side is None else first + side
        tokens = self.ln_pre(torch.cat([first.to(patches.dtype), patches], 1) + positions)
        *blocks, last = self.transformer.resblocks
        for block in blocks:
            tokens = block(tokens)
        feature = self.ln_post(last(tokens)[:, 0])
        return ClipFeatures(tokens[:, 0], feature, feature @ self.proj)

    def number_layers(self) -> dict[str, int]:
        """Numbers the layer of each parameter: 0 for the embedding, then block by block; see `layers.number_layers`."""
        names = [name for name, _parameter in self.named_parameters()]
        return number_parts(sorted(names, key=lambda name: name == "proj"))  # which is behind the blocks


def build(cfg: CfgNode) -> ClipViT:
    """Builds ViT-B/16 for images of INPUT.SIZE_TRAIN.

    Raises:
        ConfigError: the images are smaller than a patch.
    """
    require_size(cfg, PATCH)
    model = cfg.MODEL
    return ClipViT(
        cfg.INPUT.SIZE_TRAIN,
        model.STRIDE_SIZE,
        sie_camera=model.SIE_CAMERA,
        sie_view=model.SIE_VIEW,
        sie_weight=model.SIE_COE,
    )
