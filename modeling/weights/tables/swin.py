"""Names of Swin Transformers: Microsoft's and timm's, trained on ImageNet, and SOLIDER's, trained on LUPerson and for re-ID.

Sources: microsoft/Swin-Transformer, timm, tinyvision/SOLIDER and tinyvision/SOLIDER-REID, which have mmdetection's names.
The backbones here have torchvision's.
"""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor, nn

from modeling.weights.rules import Change, Format, Rule, Setting, left_out

_STAGES = range(4)


def _in_columns(value: Tensor, _expected: Tensor, _backbone: nn.Module) -> Tensor:
    """Reorders what is for the 2 x 2 patches that are merged [..., 4C]: of mmdetection, which takes them apart by nn.Unfold.

    Its order is channel, row, column; here, as in Swin's own code, it is column, row, channel.
    """
    if value.shape[-1] % 4:
        raise ValueError("not of four patches")
    return value.reshape(*value.shape[:-1], -1, 2, 2).transpose(-3, -1).reshape(value.shape)


def _in_channels(value: Tensor) -> Tensor:
    """Reorders what is for the 2 x 2 patches that are merged [..., 4C] the other way round."""
    return value.reshape(*value.shape[:-1], 2, 2, -1).transpose(-3, -1).reshape(value.shape)


def _resized(value: Tensor, expected: Tensor, _backbone: nn.Module) -> Tensor:
    """Resizes a table of biases by relative position [(2W - 1)², heads] to another width W of windows, bicubically.

    So do Microsoft's code and SOLIDER's.
    """
    sides = math.isqrt(len(value)), math.isqrt(len(expected))
    if value.shape == expected.shape or any(
        side**2 != len(x) for side, x in zip(sides, (value, expected), strict=True)
    ):
        return value
    square = value.T.reshape(1, -1, sides[0], sides[0])
    return F.interpolate(square, size=(sides[1], sides[1]), mode="bicubic").flatten(2)[0].T.contiguous()


_MERGING = Change(_in_columns, _in_channels)
_TABLE = Change(_resized)
_CONSTANTS = left_out("*.relative_position_index", "*.attn_mask")


def _rules(
    prefix: str,
    *,
    patches: str,
    stages: str,
    attention: str,
    layers: tuple[str, str],
    merging: Change | None,
    after: int,
) -> tuple[Rule, ...]:
    """Makes the rules of all stages.

    Args:
        prefix: of all names.
        patches: name of the projection of patches.
        stages: name of the list of stages.
        attention: name of the attention in a block.
        layers: names of the two linear layers of a block.
        merging: what is done to the tensors of a merging of patches.
        after: number of the stage that has the merging behind stage 0.
    """
    rules = [
        Rule(f"{prefix}{patches}.*", "base.features.0.0.*"),
        Rule(f"{prefix}patch_embed.norm.*", "base.features.0.2.*"),
    ]
    for stage in _STAGES:
        theirs, ours = f"{prefix}{stages}.{stage}.blocks.#.", f"base.features.{2 * stage + 1}.#."
        table = "relative_position_bias_table"
        rules += [
            Rule(f"{theirs}{attention}.{table}", f"{ours}attn.{table}", _TABLE),
            Rule(f"{theirs}{attention}.*", f"{ours}attn.*"),
            Rule(f"{theirs}{layers[0]}.*", f"{ours}mlp.0.*"),
            Rule(f"{theirs}{layers[1]}.*", f"{ours}mlp.3.*"),
            Rule(f"{theirs}*", f"{ours}*"),
            Rule(f"{prefix}{stages}.{stage + after}.downsample.*", f"base.features.{2 * stage + 2}.*", merging),
        ]
    return tuple(rules)


_HEAD = left_out("head.*")


def _of_microsoft(after: int) -> tuple[Rule, ...]:
    """Makes the rules for Microsoft's names, and timm's, whose mergings are numbered otherwise; see `_rules`."""
    rules = _rules(
        "",
        patches="patch_embed.proj",
        stages="layers",
        attention="attn",
        layers=("mlp.fc1", "mlp.fc2"),
        merging=None,
        after=after,
    )
    return (*rules, Rule("norm.*", "base.norm.*"), *_HEAD, *_CONSTANTS)


def _of_mmdetection(prefix: str) -> tuple[Rule, ...]:
    """Makes the rules for SOLIDER's names, with a prefix.

    Norms of lower stages, and what the controller would do behind the last, have no effect on the feature that is compared.
    """
    return (
        *_rules(
            prefix,
            patches="patch_embed.projection",
            stages="stages",
            attention="attn.w_msa",
            layers=("ffn.layers.0.0", "ffn.layers.1"),
            merging=_MERGING,
            after=0,
        ),
        Rule(f"{prefix}norm3.*", "base.norm.*"),
        Rule(f"{prefix}semantic_embed_w.#.*", "base.semantic_embed_w.#.*"),
        Rule(f"{prefix}semantic_embed_b.#.*", "base.semantic_embed_b.#.*"),
        *left_out(*(f"{prefix}norm{stage}.*" for stage in _STAGES[:-1])),
        *left_out(*(f"{prefix}semantic_embed_{part}.{_STAGES[-1]}.*" for part in "wb")),
        *_CONSTANTS,
    )


SWIN = Format("swin", "Microsoft's", "layers.* → base.features.*", _of_microsoft(after=0), saved_as="model")
SWIN_TIMM = Format("swin-timm", "timm's", "layers.* → base.features.*", _of_microsoft(after=1))
SOLIDER = Format(
    "solider",
    "SOLIDER's",
    "backbone.stages.* → base.features.*",
    (*_of_mmdetection("backbone."), *_HEAD),
    saved_as="teacher",
)
SOLIDER_REID = Format(
    "solider-reid",
    "SOLIDER-REID's",
    "base.stages.* → base.features.*",
    (
        *_of_mmdetection("base."),
        Rule("bottleneck.*", "bottleneck.*"),
        Rule("classifier.*", "classifier.*"),
    ),
    settings=(Setting("MODEL.SEMANTIC_WEIGHT", 0.2, lambda model: getattr(model.base, "semantic_weight", None)),),
)
