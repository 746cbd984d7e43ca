"""CLIP of a few channels, for tests: MODEL.NAME tests/modeling/tiny_clip.py:build, and weights in the form of CLIP's file."""

from __future__ import annotations

import torch
from torch import Tensor
from yacs.config import CfgNode

from modeling.backbones.clip_vit import ClipViT
from modeling.clip.text import TextShape

NAME = f"{__file__}:build"
WIDTH, LAYERS, FEATURES, TEXT = 128, 2, 24, TextShape(64, 2, 24)


def build(cfg: CfgNode) -> ClipViT:
    model = cfg.MODEL
    return ClipViT(
        cfg.INPUT.SIZE_TRAIN,
        model.STRIDE_SIZE,
        width=WIDTH,
        layers=LAYERS,
        features=FEATURES,
        text=TEXT,
        sie_camera=model.SIE_CAMERA,
        sie_view=model.SIE_VIEW,
        sie_weight=model.SIE_COE,
    )


def clip_weights(seed: int = 0) -> dict[str, Tensor]:
    """State dict of a CLIP of these sizes, by openai/CLIP's names, trained for 64x64 images: a grid of 4 x 4 patches."""
    generator = torch.Generator().manual_seed(seed)

    def drawn(*shape: int) -> Tensor:
        return 0.2 * torch.randn(*shape, generator=generator)

    def blocks(prefix: str, width: int, layers: int) -> dict[str, Tensor]:
        found = {}
        for number in range(layers):
            block = f"{prefix}transformer.resblocks.{number}."
            for norm in ("ln_1", "ln_2"):
                found |= {f"{block}{norm}.weight": 1 + drawn(width), f"{block}{norm}.bias": drawn(width)}
            found |= {
                f"{block}attn.in_proj_weight": drawn(3 * width, width),
                f"{block}attn.in_proj_bias": drawn(3 * width),
            }
            for name, out, into in (
                ("attn.out_proj", width, width),
                ("mlp.c_fc", 4 * width, width),
                ("mlp.c_proj", width, 4 * width),
            ):
                found |= {f"{block}{name}.weight": drawn(out, into), f"{block}{name}.bias": drawn(out)}
        return found

    def norm(name: str, width: int) -> dict[str, Tensor]:
        return {f"{name}.weight": 1 + drawn(width), f"{name}.bias": drawn(width)}

    return {
        "visual.class_embedding": drawn(WIDTH),
        "visual.positional_embedding": drawn(17, WIDTH),
        "visual.proj": drawn(WIDTH, FEATURES),
        "visual.conv1.weight": drawn(WIDTH, 3, 16, 16),
        **norm("visual.ln_pre", WIDTH),
        **blocks("visual.", WIDTH, LAYERS),
        **norm("visual.ln_post", WIDTH),
        **blocks("", TEXT.width, TEXT.layers),
        "token_embedding.weight": drawn(49408, TEXT.width),
        "positional_embedding": drawn(77, TEXT.width),
        **norm("ln_final", TEXT.width),
        "text_projection": drawn(TEXT.width, TEXT.features),
        "logit_scale": torch.tensor(4.6),
        "input_resolution": torch.tensor(64),
        "context_length": torch.tensor(77),
        "vocab_size": torch.tensor(49408),
    }
