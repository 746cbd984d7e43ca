"""CLIP's image encoder ViT-B/16 (Radford et al., ICML 2021) as CLIP-ReID uses it (Li et al., AAAI 2023).

State-dict names are those of `visual.*` in openai/CLIP, and of `image_encoder.*` in Syliz517/CLIP-ReID.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from yacs.config import CfgNode

from modeling.backbones.layers import number_parts
from modeling.clip.text import TextShape
from modeling.clip.transformer import HEAD_WIDTH, Transformer
from utils.errors import ConfigError

PATCH = 16  # pixels
_PREFIX = "visual."


class ClipFeatures(NamedTuple):
    """Features of images that CLIP-ReID's losses see: of the layer before the last [B, C'], the last [B, C], projected [B, D]."""

    earlier: Tensor
    last: Tensor
    projected: Tensor


class ClipViT(nn.Module):
    """Backbone from images [B, 3, H, W] to features [B, out_channels]: the class token, normalised, of the last block.

    Args:
        size: height and width of the images in pixels.
        stride: pixels between the centres of two patches of PATCH pixels, down and across; less than PATCH: they overlap.
        width: channels C of a token.
        layers: blocks.
        features: length D of the projected feature.
        text: of the text encoder that CLIP trained together with this network.

    Attributes:
        widths: length of each of the `ClipFeatures`.
        gives_all: whether the output is all `ClipFeatures`; for the heads that take them.
    """

    trains_every_parameter = False  # the projection is for `ClipFeatures`

    def __init__(
        self,
        size: Sequence[int],
        stride: Sequence[int] = (PATCH, PATCH),
        *,
        width: int = 768,
        layers: int = 12,
        features: int = 512,
        text: TextShape = TextShape(512, 12, 512),  # noqa: B008  immutable
    ) -> None:
        super().__init__()
        self.grid = tuple((pixels - PATCH) // step + 1 for pixels, step in zip(size, stride, strict=True))
        self.out_channels = width
        self.widths = [width, width, features]
        self.text, self.gives_all = text, False
        scale = width**-0.5
        self.class_embedding = nn.Parameter(scale * torch.randn(width))
        self.positional_embedding = nn.Parameter(scale * torch.randn(self.grid[0] * self.grid[1] + 1, width))
        self.proj = nn.Parameter(scale * torch.randn(width, features))
        self.conv1 = nn.Conv2d(3, width, PATCH, stride=(stride[0], stride[1]), bias=False)
        self.ln_pre = nn.LayerNorm(width)
        self.transformer = Transformer(width, layers, max(1, width // HEAD_WIDTH))
        self.ln_post = nn.LayerNorm(width)

    def forward(self, images: Tensor) -> Tensor | ClipFeatures:
        patches = self.conv1(images).flatten(2).transpose(1, 2)
        first = self.class_embedding.to(patches.dtype).expand(len(images), 1, -1)
        tokens = self.ln_pre(torch.cat([first, patches], 1) + self.positional_embedding)
        *blocks, last = self.transformer.resblocks
        for block in blocks:
            tokens = block(tokens)
        feature = self.ln_post(last(tokens)[:, 0])
        return ClipFeatures(tokens[:, 0], feature, feature @ self.proj) if self.gives_all else feature

    def number_layers(self) -> dict[str, int]:
        """Numbers the layer of each parameter: 0 for the embedding, then block by block; see `layers.number_layers`."""
        names = [name for name, _parameter in self.named_parameters()]
        return number_parts(sorted(names, key=lambda name: name == "proj"))  # which is behind the blocks

    def load_imagenet(self, weights: Mapping[str, Tensor] | None) -> None:
        """Loads CLIP's weights; position embeddings are resized to this network's grid, as CLIP-ReID does.

        Args:
            weights: CLIP's state dict, with both encoders or the image encoder alone; None: of no file.
        Raises:
            ConfigError: there is no file, or its weights do not fit.
        """
        if weights is None:
            raise ConfigError(
                "MODEL.PRETRAIN_PATH: is empty; CLIP's weights are not downloaded here: give the file ViT-B-16.pt of"
                " openai/CLIP, or MODEL.PRETRAIN_CHOICE none"
            )
        own = self.state_dict()
        whole = any(name.startswith(_PREFIX) for name in weights)  # the text encoder has names of this one's
        images = {name: value for name, value in weights.items() if name.startswith(_PREFIX) or not whole}
        found = {name.removeprefix(_PREFIX): value.float() for name, value in images.items()}
        missing = [name for name in own if name not in found]
        if missing:
            raise ConfigError(
                f"MODEL.PRETRAIN_PATH: holds no image encoder of CLIP's: {len(missing)} of {len(own)} tensors are"
                f" missing (first: {missing[0]})"
            )
        chosen = {name: found[name] for name in own}
        chosen["positional_embedding"] = resize_positions(chosen["positional_embedding"], self.grid)
        if wrong := next((name for name in own if chosen[name].shape != own[name].shape), None):
            raise ConfigError(
                f"MODEL.PRETRAIN_PATH: {_PREFIX}{wrong} has the shape {list(chosen[wrong].shape)}, this network's has"
                f" {list(own[wrong].shape)}"
            )
        self.load_state_dict(chosen)


def resize_positions(positions: Tensor, grid: Sequence[int]) -> Tensor:
    """Resizes position embeddings [1 + n * n, C] of a square grid to [1 + grid[0] * grid[1], C], bilinearly.

    The first, of the class token, stays.
    """
    side = round((len(positions) - 1) ** 0.5)
    square = positions[1:].reshape(1, side, side, -1).permute(0, 3, 1, 2)
    resized = F.interpolate(square, size=tuple(grid), mode="bilinear", align_corners=False)
    return torch.cat([positions[:1], resized.flatten(2)[0].t()])


def build(cfg: CfgNode) -> ClipViT:
    """Builds ViT-B/16 for images of INPUT.SIZE_TRAIN.

    Raises:
        ConfigError: INPUT.SIZE_TEST is another size.
    """
    if tuple(cfg.INPUT.SIZE_TEST) != tuple(cfg.INPUT.SIZE_TRAIN):
        raise ConfigError(
            f"INPUT.SIZE_TEST: {list(cfg.INPUT.SIZE_TEST)} differs from INPUT.SIZE_TRAIN {list(cfg.INPUT.SIZE_TRAIN)};"
            f" {cfg.MODEL.NAME} takes images of one size"
        )
    return ClipViT(cfg.INPUT.SIZE_TRAIN)
