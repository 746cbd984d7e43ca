"""Head of TransReID: the class token, and groups of shuffled patches beside it (He et al., ICCV 2021)."""

from __future__ import annotations

import copy
import re
from typing import Any

import torch
from torch import Tensor, nn
from yacs.config import CfgNode

from modeling.branch import Branch
from modeling.heads.layers import behind_neck, make_classifier, make_neck
from modeling.model import ReIDModel
from utils.errors import ConfigError

_END = re.compile(r"b[12]\.([01])\.(.*)")


class JigsawPatches(ReIDModel):
    """Jigsaw patch module (JPM): one branch of all tokens, and one for each of several groups of patches.

    The last block of the transformer, and its normalisation, are there twice: `b1` sees all tokens and gives the global
    branch; `b2` sees the class token with each group and gives the local ones. With MODEL.RE_ARRANGE patches are shifted
    and shuffled before they are divided, so that each group covers the whole image. Evaluation joins the global feature
    with the local ones, each divided by their number. State-dict names are those of damo-cv/TransReID.
    """

    def __init__(self, cfg: CfgNode, backbone: nn.Module, num_classes: int) -> None:
        super().__init__(cfg, backbone, num_classes)
        transformer: Any = backbone
        if not hasattr(transformer, "hand_over_end"):
            raise ConfigError(
                f"MODEL.HEAD: jpm needs a network of tokens such as vit_base, not MODEL.NAME {cfg.MODEL.NAME}"
            )
        channels, model = self.widths[0], cfg.MODEL
        self.groups: int = model.DEVIDE_LENGTH
        self.widths = [channels] * (1 + self.groups)
        self.trains_every_parameter = all(model.BRANCH_WEIGHTS)
        self.b1 = nn.Sequential(transformer.blocks[-1], transformer.norm)
        self.b2 = copy.deepcopy(self.b1)
        transformer.hand_over_end()
        self._ends = (f"base.blocks.{len(transformer.blocks)}", "base.norm")  # of b1 and b2, in the transformer alone
        for name in self._names():
            self.add_module(f"bottleneck{name}", make_neck(cfg, channels) or nn.Identity())
            self.add_module(f"classifier{name}", make_classifier(cfg, channels, num_classes))
        self.rearrange, self.shift, self.shuffled = model.RE_ARRANGE, model.SHIFT_NUM, model.SHUFFLE_GROUP
        patches = transformer.pos_embed.shape[1] - 1
        if patches < max(self.groups, self.shift if self.rearrange else 0):
            raise ConfigError(
                f"MODEL.HEAD: jpm has {patches} patches of an image of INPUT.SIZE_TRAIN {list(cfg.INPUT.SIZE_TRAIN)}, too"
                f" few for MODEL.DEVIDE_LENGTH {self.groups} and MODEL.SHIFT_NUM {self.shift}"
            )

    def _names(self) -> list[str]:
        """Lists the endings of the names of the branches' layers: the global one's is empty."""
        return ["", *(f"_{number}" for number in range(1, 1 + self.groups))]

    def plain_name(self, name: str) -> str:
        match = _END.fullmatch(name)
        return f"{self._ends[int(match[1])]}.{match[2]}" if match else name

    def branches(self, output: Tensor, origins: Tensor | None = None) -> list[Branch]:
        patches, (number, _, channels) = output[:, 1:], output.shape
        length = patches.shape[1] // self.groups
        if self.rearrange:
            patches = shuffle_patches(patches, self.shift, self.shuffled)
        # Group by group: processes drop together what one does (`DropPath`) where a batch's images stand in their order.
        divided = patches[:, : length * self.groups].reshape(number, self.groups, length, channels).transpose(0, 1)
        class_tokens = output[None, :, :1].expand(self.groups, -1, -1, -1)
        local = self.b2(torch.cat((class_tokens, divided), 2).flatten(0, 1))[:, 0].reshape(
            self.groups, number, channels
        )
        features = [self.b1(output)[:, 0], *local.unbind(0)]
        return [
            behind_neck(feature, self.get_submodule(f"bottleneck{name}"), self.get_submodule(f"classifier{name}"))
            for name, feature in zip(self._names(), features, strict=True)
        ]

    def join(self, branches: list[Branch]) -> Tensor:
        whole, *local = [branch.necked if self.compares_necked else branch.features for branch in branches]
        return torch.cat([whole, *(feature / self.groups for feature in local)], 1)


def shuffle_patches(patches: Tensor, shift: int, groups: int) -> Tensor:
    """Shifts patches [B, N, C] and deals them out, so that neighbours come to lie far apart.

    Args:
        patches: row by row.
        shift: the first `shift` - 1 patches go to the end. The paper moves `shift`; its code, with which the published
            results were obtained, one less.
        groups: of the shifted patches, groups of equal length are dealt out: the first of each, then the second of each,
            and so on. Where the number does not divide by `groups`, patches before the last are there once more.
    Returns:
        [B, N, C], or a few patches more.
    """
    shifted = torch.cat((patches[:, shift - 1 :], patches[:, : shift - 1]), 1)
    if missing := -shifted.shape[1] % groups:
        shifted = torch.cat((shifted, shifted[:, -1 - missing : -1]), 1)
    number, length, channels = shifted.shape
    return shifted.reshape(number, groups, length // groups, channels).transpose(1, 2).flatten(1, 2)
