"""ResNet without its classifier (He et al., CVPR 2016), in torchvision's form and with its state-dict names.

`resnet50_ibn_a` has IBN-a normalisation in its first three stages (Pan et al., ECCV 2018).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet
from yacs.config import CfgNode

RESNETS: dict[str, tuple[type[BasicBlock | Bottleneck], list[int]]] = {
    "resnet18": (BasicBlock, [2, 2, 2, 2]),
    "resnet34": (BasicBlock, [3, 4, 6, 3]),
    "resnet50": (Bottleneck, [3, 4, 6, 3]),
    "resnet101": (Bottleneck, [3, 4, 23, 3]),
    "resnet152": (Bottleneck, [3, 8, 36, 3]),
    "resnet50_ibn_a": (Bottleneck, [3, 4, 6, 3]),
}


class ResNetBackbone(ResNet):  # type: ignore[misc]
    """Backbone from images [B, 3, H, W] to a feature map [B, out_channels, H/16, W/16] (/32 with last_stride 2).

    `stem_relu` False leaves out the ReLU after the first batch normalisation, as the re-ID baselines' published
    results were obtained (michuanhaohao/reid-strong-baseline); its IBN network always has it.
    """

    def __init__(self, name: str, *, last_stride: int = 1, stem_relu: bool = False) -> None:
        block, layers = RESNETS[name]
        super().__init__(block, layers)
        self.out_channels: int = self.fc.in_features
        ibn = name.endswith("_ibn_a")
        self.stem_relu = stem_relu or ibn
        del self.fc, self.avgpool
        first = self.layer4[0]
        strided = first.conv2 if block is Bottleneck else first.conv1
        strided.stride = first.downsample[0].stride = (last_stride, last_stride)
        if ibn:
            for unit in (*self.layer1, *self.layer2, *self.layer3):
                unit.bn1 = IBN(unit.bn1.num_features)

    def forward(self, images: Tensor) -> Tensor:
        x = self.bn1(self.conv1(images))
        if self.stem_relu:
            x = self.relu(x)
        x = self.maxpool(x)
        return self.layer4(self.layer3(self.layer2(self.layer1(x))))  # type: ignore[no-any-return]


def build(cfg: CfgNode) -> ResNetBackbone:
    """Builds the network MODEL.NAME with MODEL.LAST_STRIDE and MODEL.STEM_RELU."""
    return ResNetBackbone(cfg.MODEL.NAME, last_stride=cfg.MODEL.LAST_STRIDE, stem_relu=cfg.MODEL.STEM_RELU)


class IBN(nn.Module):
    """Instance normalisation of the first half of the channels, batch normalisation of the others."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.halves = [channels // 2, channels - channels // 2]
        self.IN = nn.InstanceNorm2d(self.halves[0], affine=True)
        self.BN = nn.BatchNorm2d(self.halves[1])

    def forward(self, x: Tensor) -> Tensor:
        instance, batch = torch.split(x, self.halves, 1)
        return torch.cat((self.IN(instance.contiguous()), self.BN(batch.contiguous())), 1)
