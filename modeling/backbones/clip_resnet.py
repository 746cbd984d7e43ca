"""CLIP's image encoder RN50 (Radford et al., ICML 2021) as CLIP-ReID uses it (Li et al., AAAI 2023).

A ResNet-50 with three convolutions as its stem, average pooling in place of strides, and attention as its last pooling.
State-dict names are those of `visual.*` in openai/CLIP, and of `image_encoder.*` in Syliz517/CLIP-ReID.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from yacs.config import CfgNode

from modeling.backbones.layers import require_size
from modeling.backbones.vit import resize_positions
from modeling.clip.images import ClipEncoder, ClipFeatures
from modeling.clip.text import TextShape
from modeling.clip.transformer import HEAD_WIDTH


class Bottleneck(nn.Module):
    """Residual block of three convolutions, whose stride is that of an average pooling behind the second."""

    def __init__(self, channels: int, inner: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, inner, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, 4 * inner, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * inner)
        nn.init.zeros_(self.bn3.weight)
        self.pool = nn.AvgPool2d(stride) if stride > 1 else nn.Identity()
        self.downsample = None
        if stride > 1 or channels != 4 * inner:
            parts = {"-1": nn.AvgPool2d(stride), "0": nn.Conv2d(channels, 4 * inner, 1, bias=False)}
            self.downsample = nn.Sequential(OrderedDict({**parts, "1": nn.BatchNorm2d(4 * inner)}))

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.pool(F.relu(self.bn2(self.conv2(out))))
        out = self.bn3(self.conv3(out))
        return F.relu(out + (x if self.downsample is None else self.downsample(x)))


class AttentionPooling(nn.Module):
    """Pooling of feature maps [B, C, h, w] to features [B, D] by attention, whose query is the mean over all places.

    Args:
        grid: h and w that positions are learnt for.
        channels: C.
        features: D.
    """

    def __init__(self, grid: Sequence[int], channels: int, features: int) -> None:
        super().__init__()
        self.grid = tuple(grid)
        self.heads = max(1, channels // HEAD_WIDTH)
        self.positional_embedding = nn.Parameter(channels**-0.5 * torch.randn(grid[0] * grid[1] + 1, channels))
        self.k_proj = nn.Linear(channels, channels)
        self.q_proj = nn.Linear(channels, channels)
        self.v_proj = nn.Linear(channels, channels)
        self.c_proj = nn.Linear(channels, features)
        for layer in (self.k_proj, self.q_proj, self.v_proj, self.c_proj):
            nn.init.normal_(layer.weight, std=channels**-0.5)

    def forward(self, feature_map: Tensor) -> Tensor:
        places = feature_map.flatten(2).transpose(1, 2)
        positions = self.positional_embedding[None]
        if feature_map.shape[2:] != self.grid:
            positions = resize_positions(positions, self.grid, feature_map.shape[2:])
        tokens = torch.cat([places.mean(1, keepdim=True), places], 1) + positions
        query = self._split(self.q_proj(tokens[:, :1]))
        mixed = F.scaled_dot_product_attention(
            query, self._split(self.k_proj(tokens)), self._split(self.v_proj(tokens))
        )
        return self.c_proj(mixed.transpose(1, 2).flatten(1))  # type: ignore[no-any-return]

    def _split(self, tokens: Tensor) -> Tensor:
        """Splits tokens [B, N, C] among the heads [B, heads, N, C / heads]."""
        batch, number, channels = tokens.shape
        return tokens.view(batch, number, self.heads, channels // self.heads).transpose(1, 2)


class ClipResNet(ClipEncoder):
    """Backbone from images [B, 3, H, W] to a feature map [B, out_channels, H/16, W/16] (/32 with last_stride 2).

    Args:
        size: height and width in pixels of the images that positions are learnt for.
        last_stride: of the last stage; 1 in CLIP-ReID, 2 in CLIP.
        width: channels of the stem.
        blocks: of each stage.
        features: length D of the projected feature.
        text: of the text encoder that CLIP trained together with this network.
    """

    file = "RN50.pt"

    def __init__(
        self,
        size: Sequence[int],
        last_stride: int = 1,
        *,
        width: int = 64,
        blocks: Sequence[int] = (3, 4, 6, 3),
        features: int = 1024,
        text: TextShape = TextShape(512, 12, 1024),  # noqa: B008  immutable
    ) -> None:
        grid = [pixels // (16 * last_stride) for pixels in size]
        super().__init__(grid, (16 * width, 32 * width, features), text)
        self.conv1 = nn.Conv2d(3, width // 2, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width // 2)
        self.conv2 = nn.Conv2d(width // 2, width // 2, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width // 2)
        self.conv3 = nn.Conv2d(width // 2, width, 3, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(width)
        self.layer1 = _stage(width, width, blocks[0], 1)
        self.layer2 = _stage(4 * width, 2 * width, blocks[1], 2)
        self.layer3 = _stage(8 * width, 4 * width, blocks[2], 2)
        self.layer4 = _stage(16 * width, 8 * width, blocks[3], last_stride)
        self.attnpool = AttentionPooling(grid, 32 * width, features)

    def forward(self, images: Tensor) -> Tensor | ClipFeatures:
        earlier, last = self._maps(images)
        return ClipFeatures(earlier.mean((2, 3)), last.mean((2, 3)), self.attnpool(last)) if self.gives_all else last

    def project(self, images: Tensor) -> Tensor:
        projected: Tensor = self.attnpool(self._maps(images)[1])
        return projected

    def _maps(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Computes the feature maps of the stage before the last, and of the last."""
        x = F.relu(self.bn1(self.conv1(images)))
        x = F.relu(self.bn2(self.conv2(x)))
        x = F.avg_pool2d(F.relu(self.bn3(self.conv3(x))), 2)
        earlier = self.layer3(self.layer2(self.layer1(x)))
        return earlier, self.layer4(earlier)


def _stage(channels: int, inner: int, blocks: int, stride: int) -> nn.Sequential:
    """Makes a stage of blocks, of which the first has the stride."""
    rest = [Bottleneck(4 * inner, inner, 1) for _ in range(blocks - 1)]
    return nn.Sequential(Bottleneck(channels, inner, stride), *rest)


def build(cfg: CfgNode) -> ClipResNet:
    """Builds RN50 for images of INPUT.SIZE_TRAIN, with MODEL.LAST_STRIDE.

    Raises:
        ConfigError: the images are smaller than a place of its feature map.
    """
    require_size(cfg, 16 * cfg.MODEL.LAST_STRIDE)
    return ClipResNet(cfg.INPUT.SIZE_TRAIN, cfg.MODEL.LAST_STRIDE)
