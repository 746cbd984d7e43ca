"""Backbones by name: image batches to feature maps."""

from __future__ import annotations

from torch import nn

from modeling.backbones.resnet import RESNETS, ResNetBackbone

NAMES: tuple[str, ...] = tuple(RESNETS)


def build_backbone(name: str, *, last_stride: int, stem_relu: bool) -> tuple[nn.Module, int]:
    """The backbone called `name`, and the number of channels of its feature map."""
    backbone = ResNetBackbone(name, last_stride=last_stride, stem_relu=stem_relu)
    return backbone, backbone.out_channels
