"""Vision transformers (Dosovitskiy et al., ICLR 2021; DeiT: Touvron et al., ICML 2021) as TransReID has them.

TransReID (He et al., ICCV 2021) lets patches overlap and adds embeddings of side information, the camera and the view, to
the positions' (SIE). State-dict names are those of damo-cv/TransReID, which are timm's but for `sie_embed`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from yacs.config import CfgNode

from modeling.backbones.drop_path import DropPath
from modeling.backbones.layers import require_size
from modeling.backbones.side_information import SideInformation
from modeling.precision import full_precision

PATCH = 16  # pixels of a side


@dataclass(frozen=True)
class Architecture:
    """Width C of a token, number of blocks and attention heads, and width of the hidden layer as a multiple of C.

    `scale` multiplies the products of queries and keys; None: one over the square root of a head's width.
    """

    channels: int
    depth: int
    heads: int
    hidden: float = 4.0
    qkv_bias: bool = True
    scale: float | None = None


# vit_small is TransReID's, timm's before version 0.4: no DeiT-S.
ARCHITECTURES: dict[str, Architecture] = {
    "vit_base": Architecture(768, 12, 12),
    "vit_small": Architecture(768, 8, 8, hidden=3.0, qkv_bias=False, scale=768**-0.5),
    "deit_base": Architecture(768, 12, 12),
    "deit_small": Architecture(384, 12, 6),
    "deit_tiny": Architecture(192, 12, 3),
}


class Attention(nn.Module):
    """Multi-head self-attention of tokens [B, N, C] (Vaswani et al., NeurIPS 2017)."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        channels = architecture.channels
        self.heads, self.scale = architecture.heads, architecture.scale
        self.qkv = nn.Linear(channels, 3 * channels, bias=architecture.qkv_bias)
        self.proj = nn.Linear(channels, channels)

    def forward(self, tokens: Tensor) -> Tensor:
        batch, number, channels = tokens.shape
        parts = self.qkv(tokens).view(batch, number, 3, self.heads, channels // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4).unbind(0)
        attended = F.scaled_dot_product_attention(query, key, value, scale=self.scale)
        projected: Tensor = self.proj(attended.transpose(1, 2).reshape(batch, number, channels))
        return projected


class Mlp(nn.Module):
    """Two layers with a GELU between them, for each token by itself."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels, hidden)
        self.fc2 = nn.Linear(hidden, channels)

    def forward(self, tokens: Tensor) -> Tensor:
        output: Tensor = self.fc2(F.gelu(self.fc1(tokens)))
        return output


class Block(nn.Module):
    """Block of a transformer: attention and two layers, each normalised before and added to its input.

    Args:
        architecture: of the network.
        drop_path: probability with which what is added for an image is left out in training.
    """

    def __init__(self, architecture: Architecture, drop_path: float = 0.0) -> None:
        super().__init__()
        channels = architecture.channels
        self.norm1 = nn.LayerNorm(channels, eps=1e-6)
        self.attn = Attention(architecture)
        self.norm2 = nn.LayerNorm(channels, eps=1e-6)
        self.mlp = Mlp(channels, int(channels * architecture.hidden))
        self.drop_path = DropPath(drop_path)

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = tokens + self.drop_path(self.attn(self.norm1(tokens)))
        mixed: Tensor = tokens + self.drop_path(self.mlp(self.norm2(tokens)))
        return mixed


class PatchEmbedding(nn.Module):
    """Linear embedding of square patches, which overlap where the stride is smaller than they are."""

    def __init__(self, channels: int, stride: Sequence[int]) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, channels, PATCH, stride=(stride[0], stride[1]))
        nn.init.normal_(self.proj.weight, std=math.sqrt(2 / (PATCH * PATCH * channels)))

    def forward(self, images: Tensor) -> Tensor:
        embedded: Tensor = self.proj(images)
        return embedded


class VisionTransformer(SideInformation):
    """Backbone from images [B, 3, H, W] to the class token after the last block [B, C], or to all tokens before it.

    Args:
        architecture: of the network.
        size: height and width in pixels of the images that positions are learnt for; for others their embeddings are
            interpolated.
        stride: pixels from a patch to the next, down and across; smaller than 16: they overlap.
        drop_path: of the last block; it rises from 0 in the first.
        sie_camera: adds an embedding of the camera, or of camera and view, to those of the positions.
        sie_view: adds an embedding of the view.
        sie_weight: factor on that embedding.
    """

    options = ("DROP_PATH", "STRIDE_SIZE", "SIE_CAMERA", "SIE_VIEW")

    def __init__(
        self,
        architecture: Architecture,
        size: Sequence[int],
        *,
        stride: Sequence[int] = (PATCH, PATCH),
        drop_path: float = 0.0,
        sie_camera: bool = False,
        sie_view: bool = False,
        sie_weight: float = 3.0,
    ) -> None:
        super().__init__()
        channels, depth = architecture.channels, architecture.depth
        self.out_channels = channels
        self.use_origins(camera=sie_camera, view=sie_view, weight=sie_weight)
        self.patch_embed = PatchEmbedding(channels, stride)
        self.grid = patch_grid(size, stride)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, channels))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + self.grid[0] * self.grid[1], channels))
        rates = (drop_path * number / max(depth - 1, 1) for number in range(depth))
        self.blocks = nn.ModuleList(Block(architecture, rate) for rate in rates)
        self.norm: nn.Module | None = nn.LayerNorm(channels, eps=1e-6)
        for parameter in (self.cls_token, self.pos_embed):
            nn.init.trunc_normal_(parameter, std=0.02)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def hand_over_end(self) -> None:
        """Gives the last block and the last normalisation away: the output is all tokens [B, 1 + N, C] before them."""
        del self.blocks[-1]
        self.norm = None

    def forward(self, images: Tensor, origins: Tensor | None = None) -> Tensor:
        patches = self.patch_embed(images)
        tokens = torch.cat((self.cls_token.expand(images.shape[0], -1, -1), patches.flatten(2).transpose(1, 2)), 1)
        tokens = tokens + self._positions(patches.shape[2:])
        if self.takes_origins:
            tokens = tokens + self.side_information(origins)
        for block in self.blocks:
            tokens = block(tokens)
        return tokens if self.norm is None else self.norm(tokens[:, 0])

    def _positions(self, grid: Sequence[int]) -> Tensor:
        """Gives the embeddings of the positions of a grid of patches [1, 1 + N, C]."""
        if tuple(grid) == self.grid:
            return self.pos_embed
        return resize_positions(self.pos_embed, self.grid, grid)

    def number_layers(self) -> dict[str, int]:
        """Numbers the layer of each parameter as timm does: 0 for the embeddings, then block by block."""
        numbers = {}
        for name, _parameter in self.named_parameters():
            part, _, rest = name.partition(".")
            number = int(rest.partition(".")[0]) + 1 if part == "blocks" else 0
            numbers[name] = len(self.blocks) if part == "norm" else number
        return numbers


def patch_grid(size: Sequence[int], stride: Sequence[int]) -> tuple[int, int]:
    """Computes how many patches lie one below the other, and beside each other, in an image of `size` pixels."""
    down, across = ((pixels - PATCH) // step + 1 for pixels, step in zip(size, stride, strict=True))
    return down, across


def resize_positions(positions: Tensor, grid: Sequence[int], wanted: Sequence[int]) -> Tensor:
    """Resizes position embeddings [1, 1 + N, C] from one grid of patches to another, bilinearly, as TransReID does.

    Args:
        positions: of the class token, then of the patches, row by row.
        grid: number of patches down and across.
        wanted: those of the result.
    """
    of_patches = positions[:, 1:].reshape(1, grid[0], grid[1], -1).permute(0, 3, 1, 2)
    resized = F.interpolate(
        full_precision(of_patches), size=(wanted[0], wanted[1]), mode="bilinear", align_corners=False
    )
    return torch.cat((positions[:, :1], resized.flatten(2).transpose(1, 2).to(positions.dtype)), 1)


def build(cfg: CfgNode) -> VisionTransformer:
    """Builds the transformer MODEL.NAME for images of INPUT.SIZE_TRAIN.

    Raises:
        ConfigError: the images are smaller than a patch.
    """
    model = cfg.MODEL
    require_size(cfg, PATCH)
    return VisionTransformer(
        ARCHITECTURES[model.NAME],
        cfg.INPUT.SIZE_TRAIN,
        stride=model.STRIDE_SIZE,
        drop_path=model.DROP_PATH,
        sie_camera=model.SIE_CAMERA,
        sie_view=model.SIE_VIEW,
        sie_weight=model.SIE_COE,
    )
