"""ResNet without its classifier (He et al., CVPR 2016), in torchvision's form and with its state-dict names.

`resnet…_ibn_a` have IBN-a normalisation in their first three stages (Pan et al., ECCV 2018; the names are IBN-Net's).
MODEL.NON_LOCAL puts non-local blocks into any of them; their names are those of AGW's code and fast-reid's.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet
from yacs.config import CfgNode

from modeling.backbones.layers import number_parts
from modeling.backbones.non_local import NonLocal
from utils.errors import ConfigError

RESNETS: dict[str, tuple[type[BasicBlock | Bottleneck], list[int]]] = {
    "resnet18": (BasicBlock, [2, 2, 2, 2]),
    "resnet34": (BasicBlock, [3, 4, 6, 3]),
    "resnet50": (Bottleneck, [3, 4, 6, 3]),
    "resnet101": (Bottleneck, [3, 4, 23, 3]),
    "resnet152": (Bottleneck, [3, 8, 36, 3]),
}
_IBN = "_ibn_a"


class ResNetBackbone(ResNet):  # type: ignore[misc]
    """Backbone from images [B, 3, H, W] to a feature map [B, out_channels, H/16, W/16] (/32 with last_stride 2).

    Args:
        name: of `RESNETS`, with `_ibn_a` behind it or not.
        last_stride: of the last stage.
        stem_relu: False leaves out the ReLU after the first batch normalisation, as the re-ID baselines' published
            results were obtained (michuanhaohao/reid-strong-baseline); its IBN network always has it.
        stem_ceil: the stem's pooling has no padding and rounds its size up, as fast-reid's, whose weights were trained so.
        non_local: number of non-local blocks in each stage, each behind one of its last blocks.
    Raises:
        ConfigError: a stage has fewer blocks than non-local ones are asked for.
    """

    options = ("NON_LOCAL",)

    def __init__(
        self,
        name: str,
        *,
        last_stride: int = 1,
        stem_relu: bool = False,
        stem_ceil: bool = False,
        non_local: Sequence[int] = (0, 0, 0, 0),
    ) -> None:
        block, layers = RESNETS[name.removesuffix(_IBN)]
        super().__init__(block, layers)
        self.out_channels: int = self.fc.in_features
        ibn = name.endswith(_IBN)
        self.stem_relu = stem_relu or ibn
        del self.fc, self.avgpool
        if stem_ceil:
            self.maxpool = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        first = self.layer4[0]
        strided = first.conv2 if block is Bottleneck else first.conv1
        strided.stride = first.downsample[0].stride = (last_stride, last_stride)
        if ibn:
            for unit in (*self.layer1, *self.layer2, *self.layer3):
                unit.bn1 = IBN(unit.bn1.num_features)
        # Tensors that ImageNet's weights have not.
        self.added = tuple(f"NL_{stage}." for stage, count in enumerate(non_local, start=1) if count)
        for stage, (count, blocks) in enumerate(zip(non_local, layers, strict=True), start=1):
            if count > blocks:
                raise ConfigError(f"MODEL.NON_LOCAL: {count} in stage {stage}, which has {blocks} blocks in {name}")
            if count:
                channels = self.out_channels // 2 ** (4 - stage)
                setattr(self, f"NL_{stage}", nn.ModuleList(NonLocal(channels) for _ in range(count)))

    def forward(self, images: Tensor) -> Tensor:
        x = self.bn1(self.conv1(images))
        if self.stem_relu:
            x = self.relu(x)
        x = self.maxpool(x)
        for stage in (1, 2, 3, 4):
            x = self._stage(stage, x)
        return x  # type: ignore[no-any-return]

    def _stage(self, stage: int, x: Tensor) -> Tensor:
        """Applies one stage, with non-local blocks behind its last blocks where it has some."""
        blocks, non_local = getattr(self, f"layer{stage}"), getattr(self, f"NL_{stage}", ())
        if not non_local:
            return blocks(x)  # type: ignore[no-any-return]
        first = len(blocks) - len(non_local)
        for place, block in enumerate(blocks):
            x = block(x)
            if place >= first:
                x = non_local[place - first](x)
        return x

    def number_layers(self) -> dict[str, int]:
        """Numbers the layer of each parameter; a non-local block is of the layer it stands behind."""
        names = [name for name, _parameter in self.named_parameters()]
        numbers = number_parts(name for name in names if not name.startswith("NL_"))
        for name in names:
            if name.startswith("NL_"):
                stage, place, *_ = name.removeprefix("NL_").split(".")
                block = len(getattr(self, f"layer{stage}")) - len(getattr(self, f"NL_{stage}")) + int(place)
                numbers[name] = numbers[f"layer{stage}.{block}.conv1.weight"]
        return numbers


def build(cfg: CfgNode) -> ResNetBackbone:
    """Builds the network MODEL.NAME with MODEL.LAST_STRIDE, STEM_RELU, STEM_POOLING and NON_LOCAL."""
    return ResNetBackbone(
        cfg.MODEL.NAME,
        last_stride=cfg.MODEL.LAST_STRIDE,
        stem_relu=cfg.MODEL.STEM_RELU,
        stem_ceil=cfg.MODEL.STEM_POOLING == "ceil",
        non_local=cfg.MODEL.NON_LOCAL,
    )


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
