"""Squeeze-and-excitation networks without their classifier (Hu et al., CVPR 2018): SE-ResNet, SE-ResNeXt, SENet-154.

Built of torchvision's blocks; state-dict names are those of the published Caffe conversions (Cadene's
pretrained-models.pytorch), which reid-strong-baseline uses.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from torch import Tensor, nn
from torchvision.models.resnet import Bottleneck
from torchvision.ops import SqueezeExcitation
from yacs.config import CfgNode


class SEBottleneck(Bottleneck):  # type: ignore[misc]
    """Bottleneck of a ResNet with squeeze and excitation: its residual is weighted per channel before it is added."""

    def __init__(self, inplanes: int, planes: int, stride: int, downsample: nn.Module | None, groups: int) -> None:
        super().__init__(inplanes, planes, stride, downsample, groups=groups, base_width=4 if groups > 1 else 64)
        self.se_module = SqueezeExcitation(planes * 4, planes * 4 // 16)

    def forward(self, x: Tensor) -> Tensor:
        residual = self.relu(self.bn1(self.conv1(x)))
        residual = self.relu(self.bn2(self.conv2(residual)))
        residual = self.se_module(self.bn3(self.conv3(residual)))
        identity = x if self.downsample is None else self.downsample(x)
        return self.relu(residual + identity)  # type: ignore[no-any-return]


class SEResNetBottleneck(SEBottleneck):
    """Bottleneck of SE-ResNet, as in Caffe: the first convolution has the stride."""

    def __init__(self, inplanes: int, planes: int, stride: int, downsample: nn.Module | None, groups: int) -> None:
        super().__init__(inplanes, planes, stride, downsample, groups)
        self.conv1.stride, self.conv2.stride = (stride, stride), (1, 1)


class SENetBottleneck(SEBottleneck):
    """Bottleneck of SENet-154: twice the width, and four times in the grouped convolution."""

    def __init__(self, inplanes: int, planes: int, stride: int, downsample: nn.Module | None, groups: int) -> None:
        super().__init__(inplanes, planes, stride, downsample, groups=1)
        self.conv1 = nn.Conv2d(inplanes, planes * 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes * 2)
        self.conv2 = nn.Conv2d(planes * 2, planes * 4, 3, stride, padding=1, groups=groups, bias=False)
        self.bn2 = nn.BatchNorm2d(planes * 4)
        self.conv3 = nn.Conv2d(planes * 4, planes * 4, 1, bias=False)


@dataclass(frozen=True)
class _Architecture:
    """Blocks, layers per stage and groups of a network."""

    block: type[SEBottleneck]
    layers: tuple[int, int, int, int]
    groups: int = 1
    large: bool = False  # SENet-154's stem of three 3x3 convolutions and 3x3 shortcuts


SENETS: dict[str, _Architecture] = {
    "se_resnet50": _Architecture(SEResNetBottleneck, (3, 4, 6, 3)),
    "se_resnet101": _Architecture(SEResNetBottleneck, (3, 4, 23, 3)),
    "se_resnet152": _Architecture(SEResNetBottleneck, (3, 8, 36, 3)),
    "se_resnext50": _Architecture(SEBottleneck, (3, 4, 6, 3), groups=32),
    "se_resnext101": _Architecture(SEBottleneck, (3, 4, 23, 3), groups=32),
    "senet154": _Architecture(SENetBottleneck, (3, 8, 36, 3), groups=64, large=True),
}


class SENetBackbone(nn.Module):
    """Backbone from images [B, 3, H, W] to a feature map [B, 2048, H/16, W/16] (H/32, W/32 with last_stride 2)."""

    out_channels = 2048

    def __init__(self, name: str, *, last_stride: int = 1) -> None:
        super().__init__()
        architecture = SENETS[name]
        self.layer0 = _stem(architecture.large)
        channels = 128 if architecture.large else 64
        for number, (planes, depth) in enumerate(zip((64, 128, 256, 512), architecture.layers, strict=True), start=1):
            stride = (1, 2, 2, last_stride)[number - 1]
            setattr(self, f"layer{number}", _stage(architecture, channels, planes, depth, stride, first=number == 1))
            channels = planes * 4

    def forward(self, images: Tensor) -> Tensor:
        x = self.layer0(images)
        return self.layer4(self.layer3(self.layer2(self.layer1(x))))  # type: ignore[no-any-return, operator]


def _stem(large: bool) -> nn.Sequential:
    """Builds the first layers: one 7x7 convolution, or SENet-154's three of 3x3, and a pooling."""
    widths = ((3, 64, 3, 2), (64, 64, 3, 1), (64, 128, 3, 1)) if large else ((3, 64, 7, 2),)
    parts: list[tuple[str, nn.Module]] = []
    for number, (before, after, kernel, stride) in enumerate(widths, start=1):
        parts += [
            (f"conv{number}", nn.Conv2d(before, after, kernel, stride, padding=kernel // 2, bias=False)),
            (f"bn{number}", nn.BatchNorm2d(after)),
            (f"relu{number}", nn.ReLU(inplace=True)),
        ]
    parts.append(("pool", nn.MaxPool2d(3, stride=2, ceil_mode=True)))
    return nn.Sequential(OrderedDict(parts))


def _stage(
    architecture: _Architecture, inplanes: int, planes: int, depth: int, stride: int, *, first: bool
) -> nn.Sequential:
    """Builds one stage of blocks, the first of which has the stride and a shortcut."""
    kernel = 3 if architecture.large and not first else 1
    shortcut = nn.Sequential(
        nn.Conv2d(inplanes, planes * 4, kernel, stride, padding=kernel // 2, bias=False), nn.BatchNorm2d(planes * 4)
    )
    blocks = [architecture.block(inplanes, planes, stride, shortcut, architecture.groups)]
    blocks += [architecture.block(planes * 4, planes, 1, None, architecture.groups) for _ in range(1, depth)]
    return nn.Sequential(*blocks)


def build(cfg: CfgNode) -> SENetBackbone:
    """Builds the network MODEL.NAME with the last stride MODEL.LAST_STRIDE."""
    return SENetBackbone(cfg.MODEL.NAME, last_stride=cfg.MODEL.LAST_STRIDE)
