"""Backbones by name: networks from image batches to feature maps."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from modeling.backbones.mobilenet import MobileNetV2Backbone
from modeling.backbones.resnet import RESNETS, ResNetBackbone
from modeling.backbones.senet import SENETS, SENetBackbone
from modeling.backbones.timm_models import PREFIX, TimmBackbone

MOBILENET = "mobilenet_v2"
NAMES: tuple[str, ...] = (*RESNETS, *SENETS, MOBILENET)


def build_backbone(
    name: str, *, last_stride: int, stem_relu: bool, size: Sequence[int] = (256, 128)
) -> tuple[nn.Module, int]:
    """Builds a backbone; returns it and the number of channels of its output.

    Args:
        name: one of NAMES, or timm/<name>.
        last_stride: of the last stage (He et al.'s networks have 2); timm's networks keep their own.
        stem_relu: see ResNetBackbone.
        size: height and width of the images, for networks made for one size.
    Raises:
        ConfigError: timm is needed and missing, or does not have the network.
    """
    backbone: ResNetBackbone | SENetBackbone | MobileNetV2Backbone | TimmBackbone
    if name.startswith(PREFIX):
        backbone = TimmBackbone(name.removeprefix(PREFIX), size)
    elif name in SENETS:
        backbone = SENetBackbone(name, last_stride=last_stride)
    elif name == MOBILENET:
        backbone = MobileNetV2Backbone(last_stride=last_stride)
    else:
        backbone = ResNetBackbone(name, last_stride=last_stride, stem_relu=stem_relu)
    return backbone, backbone.out_channels
