"""Transformer of CLIP's encoders, with its state-dict names (openai/CLIP)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

HEAD_WIDTH = 64  # channels of an attention head, in all of CLIP's networks


class Attention(nn.Module):
    """Self-attention of several heads over tokens [B, N, C]; names are `torch.nn.MultiheadAttention`'s.

    Args:
        width: C.
        heads: number of heads.
        causal: whether a token sees itself and the ones before it only.
    """

    def __init__(self, width: int, heads: int, *, causal: bool) -> None:
        super().__init__()
        self.heads, self.causal = heads, causal
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        batch, number, width = tokens.shape
        joined = F.linear(tokens, self.in_proj_weight, self.in_proj_bias)
        query, key, value = (
            joined.view(batch, number, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4).unbind()
        )
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=self.causal)
        return self.out_proj(mixed.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


class Mlp(nn.Module):
    """Two layers with CLIP's approximate GELU between them, x * sigmoid(1.702 x)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.c_fc = nn.Linear(width, 4 * width)
        self.c_proj = nn.Linear(4 * width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        inner = self.c_fc(tokens)
        return self.c_proj(inner * torch.sigmoid(1.702 * inner))  # type: ignore[no-any-return]


class Block(nn.Module):
    """Residual block: attention and a perceptron, each of normalised tokens [B, N, C]."""

    def __init__(self, width: int, heads: int, *, causal: bool) -> None:
        super().__init__()
        self.attn = Attention(width, heads, causal=causal)
        self.ln_1 = nn.LayerNorm(width)
        self.mlp = Mlp(width)
        self.ln_2 = nn.LayerNorm(width)

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = tokens + self.attn(self.ln_1(tokens))
        return tokens + self.mlp(self.ln_2(tokens))  # type: ignore[no-any-return]


class Transformer(nn.Module):
    """Blocks of CLIP over tokens [B, N, C]; random weights are drawn as CLIP's, smaller the more blocks there are."""

    def __init__(self, width: int, layers: int, heads: int, *, causal: bool = False) -> None:
        super().__init__()
        self.resblocks = nn.ModuleList(Block(width, heads, causal=causal) for _ in range(layers))
        into_stream = width**-0.5 * (2 * layers) ** -0.5
        for block in self.resblocks:
            nn.init.normal_(block.attn.in_proj_weight, std=width**-0.5)  # type: ignore[union-attr,arg-type]
            nn.init.normal_(block.attn.out_proj.weight, std=into_stream)  # type: ignore[union-attr,arg-type]
            nn.init.normal_(block.mlp.c_fc.weight, std=(2 * width) ** -0.5)  # type: ignore[union-attr,arg-type]
            nn.init.normal_(block.mlp.c_proj.weight, std=into_stream)  # type: ignore[union-attr,arg-type]
            nn.init.zeros_(block.attn.out_proj.bias)  # type: ignore[union-attr,arg-type]

    def forward(self, tokens: Tensor) -> Tensor:
        for block in self.resblocks:
            tokens = block(tokens)
        return tokens
