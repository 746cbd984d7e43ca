"""Swin Transformer without its classifier (Liu et al., ICCV 2021), alone or as SOLIDER's network with a semantic controller.

Built of torchvision's blocks, with torchvision's state-dict names; the attention within windows is this module's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.swin_transformer import ShiftedWindowAttention, SwinTransformer, SwinTransformerBlock
from yacs.config import CfgNode

from modeling.backbones.drop_path import DropPath
from modeling.precision import no_autocast

PATCH = 4  # pixels of a side
WINDOW = 7  # patches of a side


@dataclass(frozen=True)
class Architecture:
    """Channels of the first stage, and blocks and heads of each; a stage has twice the channels of the one before.

    `torchvision` is the network's name there.
    """

    channels: int
    depths: tuple[int, ...]
    heads: tuple[int, ...]
    torchvision: str = ""


SWINS: dict[str, Architecture] = {
    "swin_tiny": Architecture(96, (2, 2, 6, 2), (3, 6, 12, 24), "swin_t"),
    "swin_small": Architecture(96, (2, 2, 18, 2), (3, 6, 12, 24), "swin_s"),
    "swin_base": Architecture(128, (2, 2, 18, 2), (4, 8, 16, 32), "swin_b"),
}


class WindowAttention(ShiftedWindowAttention):  # type: ignore[misc]
    """Multi-head self-attention within windows, shifted or not, with a learnt bias for each relative position.

    Equal to torchvision's, by one fused attention for all windows of an image.

    `shifts_single_windows` also shifts along a side that has a single window, as SOLIDER's network does; Swin's own does
    not. Such a window is cut in two by the shift.
    """

    def __init__(
        self,
        dim: int,
        window_size: list[int],
        shift_size: list[int],
        num_heads: int,
        *,
        shifts_single_windows: bool,
        **dropouts: float,
    ) -> None:
        super().__init__(dim, window_size, shift_size, num_heads, **dropouts)
        self.shifts_single_windows = shifts_single_windows

    def define_relative_position_index(self) -> None:
        """Makes the index of each pair's bias, which follows from the window's size and is no part of the weights."""
        super().define_relative_position_index()
        self.register_buffer("relative_position_index", self.relative_position_index, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Computes the attention of patches [B, H, W, C], of the same shape."""
        batch, height, width, channels = x.shape
        (high, wide), heads = self.window_size, self.num_heads
        if height % high or width % wide:
            x = F.pad(x, (0, 0, 0, -width % wide, 0, -height % high))
        rows, columns = x.shape[1] // high, x.shape[2] // wide  # of windows
        shift = [
            size if count > 1 or self.shifts_single_windows else 0
            for size, count in zip(self.shift_size, (rows, columns), strict=True)
        ]
        if any(shift):
            x = torch.roll(x, (-shift[0], -shift[1]), (1, 2))
        qkv = self.qkv(x).view(batch, rows, high, columns, wide, 3, heads, channels // heads)
        # Windows stand beside heads, so that all images share one tensor of biases.
        qkv = qkv.permute(5, 0, 1, 3, 6, 2, 4, 7).reshape(3, batch, rows * columns * heads, high * wide, -1)
        query, key, value = qkv.unbind()
        x = F.scaled_dot_product_attention(query, key, value, attn_mask=self._biases(rows, columns, shift))
        x = x.view(batch, rows, columns, heads, high, wide, -1).permute(0, 1, 4, 2, 5, 3, 6)
        # A copy in any case: the export to ONNX would rely on a layout that only PyTorch's kernel gives.
        x = x.clone(memory_format=torch.contiguous_format).view(batch, rows * high, columns * wide, channels)
        if any(shift):
            x = torch.roll(x, (shift[0], shift[1]), (1, 2))
        attended: Tensor = self.proj(x[:, :height, :width])
        return attended

    def _biases(self, rows: int, columns: int, shift: Sequence[int]) -> Tensor:
        """Computes what is added to the scores [1, windows * heads, N, N] of N = high * wide patches.

        That is the bias of the relative position, or minus infinity between patches that only a shift brought together.
        """
        biases: Tensor = self.get_relative_position_bias()  # [1, heads, N, N]
        if any(shift):
            above = _neighbours(rows, self.window_size[0], shift[0], biases.device)[:, None, :, None, :, None]
            beside = _neighbours(columns, self.window_size[1], shift[1], biases.device)[None, :, None, :, None, :]
            together = (above & beside).flatten(4).flatten(2, 3).flatten(0, 1)  # [windows, N, N]
            biases = biases.where(together[:, None], float("-inf"))
        else:
            biases = biases.expand(rows * columns, -1, -1, -1)
        return biases.reshape(1, -1, *biases.shape[2:])


def _neighbours(windows: int, size: int, shift: int, device: torch.device) -> Tensor:
    """Tells which pairs of positions in each window along a side are neighbours in the image too [windows, size, size].

    In the last window a shift joins the image's end with its beginning.
    """
    begins = torch.arange(windows * size, device=device).view(windows, size) >= windows * size - shift
    return begins[:, :, None] == begins[:, None, :]


class SwinBackbone(SwinTransformer):  # type: ignore[misc]
    """Backbone from images [B, 3, H, W] of any size to a feature map [B, out_channels, H/32, W/32], normalised.

    Args:
        architecture: channels, blocks and heads.
        drop_path: largest probability with which half a block is passed over in training; it rises from 0 in the first.
        semantic_weight: share of semantics, from 0 for appearance alone to 1, that SOLIDER's controller is given; below 0
            there is no controller and the network is Swin's own.
    Source:
        Chen et al., "Beyond Appearance: a Semantic Controllable Self-Supervised Learning Framework for Human-Centric
        Visual Tasks", CVPR 2023, and the code (tinyvision/SOLIDER): after each merging of patches, channels are
        multiplied by softplus(W [w, 1 - w]) and shifted by V [w, 1 - w], where w is the semantic weight. Both maps keep
        the values of pre-training.
    """

    options = ("DROP_PATH", "SEMANTIC_WEIGHT")

    def __init__(self, architecture: Architecture, *, drop_path: float = 0.0, semantic_weight: float = -1.0) -> None:
        controlled = semantic_weight >= 0
        attention = partial(WindowAttention, shifts_single_windows=controlled)
        super().__init__(
            patch_size=[PATCH, PATCH],
            embed_dim=architecture.channels,
            depths=list(architecture.depths),
            num_heads=list(architecture.heads),
            window_size=[WINDOW, WINDOW],
            stochastic_depth_prob=drop_path,
            block=partial(SwinTransformerBlock, attn_layer=attention),
        )
        for part in self.modules():
            if isinstance(part, SwinTransformerBlock):
                part.stochastic_depth = DropPath(part.stochastic_depth.p)
        self.depths = architecture.depths
        self.out_channels: int = self.head.in_features
        del self.head, self.avgpool, self.flatten
        self.semantic_weight = semantic_weight
        self.published_as = "a network with SOLIDER's controller" if controlled else architecture.torchvision
        if controlled:
            widths = [architecture.channels * 2**stage for stage in range(1, len(self.depths))]
            self.semantic_embed_w = nn.ModuleList(_frozen_map(width) for width in widths)
            self.semantic_embed_b = nn.ModuleList(_frozen_map(width) for width in widths)

    def forward(self, images: Tensor) -> Tensor:
        height, width = images.shape[2:]
        if height % PATCH or width % PATCH:
            images = F.pad(images, (0, -width % PATCH, 0, -height % PATCH))
        stem, *layers = self.features
        x = stem(images)
        for number, layer in enumerate(layers):
            x = layer(x)
            if self.semantic_weight >= 0 and number % 2:  # blocks of a stage and merging alternate
                x = self._control(x, number // 2)
        feature_map: Tensor = self.permute(self.norm(x))
        return feature_map

    def _control(self, x: Tensor, merging: int) -> Tensor:
        """Applies the semantic controller behind a merging of patches [B, H, W, C], numbered from 0."""
        with no_autocast(x):
            scale = F.softplus(self._of_shares(self.semantic_embed_w[merging]))
            return x * scale + self._of_shares(self.semantic_embed_b[merging])

    def _of_shares(self, linear: nn.Module) -> Tensor:
        """Applies a linear map of the controller to the shares of semantics and appearance, [C]."""
        assert isinstance(linear, nn.Linear)
        semantics, appearance = linear.weight.unbind(1)
        return self.semantic_weight * semantics + (1 - self.semantic_weight) * appearance + linear.bias

    def number_layers(self) -> dict[str, int]:
        """Numbers the layer of each parameter: blocks from 1; a merging of patches, or a norm, as the block before it."""
        last = [0, *accumulate(self.depths)]  # block before each stage, and of all
        numbers: dict[str, int] = {}
        for name, _parameter in self.named_parameters():
            part, *rest = name.split(".")
            if part == "features":
                stage, merges = divmod(int(rest[0]) + 1, 2)  # the stem counts as a merging
                numbers[name] = last[stage] if merges else last[stage - 1] + 1 + int(rest[1])
            else:
                numbers[name] = last[int(rest[0]) + 1] if part.startswith("semantic_embed") else last[-1]
        return numbers


def _frozen_map(width: int) -> nn.Linear:
    """Makes a linear map of the semantic controller, from two shares to `width` channels, that is not trained."""
    linear = nn.Linear(2, width)
    nn.init.trunc_normal_(linear.weight, std=0.02)
    nn.init.zeros_(linear.bias)
    return linear.requires_grad_(False)


def build(cfg: CfgNode) -> SwinBackbone:
    """Builds the network MODEL.NAME with MODEL.DROP_PATH and MODEL.SEMANTIC_WEIGHT."""
    return SwinBackbone(SWINS[cfg.MODEL.NAME], drop_path=cfg.MODEL.DROP_PATH, semantic_weight=cfg.MODEL.SEMANTIC_WEIGHT)
