"""ResNeSt without its classifier (Zhang et al., "ResNeSt: Split-Attention Networks", CVPRW 2022).

State-dict names are those of the authors' published weights (zhanghang1989/ResNeSt), which fast-reid uses. timm's networks
have the same names, but keep no exact form with a last stride of 1.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from yacs.config import CfgNode

RADIX = 2  # splits of a group of channels
# Width of the stem, and blocks of the stages.
RESNESTS: dict[str, tuple[int, tuple[int, int, int, int]]] = {
    "resnest50": (32, (3, 4, 6, 3)),
    "resnest101": (64, (3, 4, 23, 3)),
    "resnest200": (64, (3, 24, 36, 3)),
    "resnest269": (64, (3, 30, 48, 8)),
}


class SplitAttention(nn.Module):
    """3x3 convolution [B, C, h, w] to two splits of C channels, and their sum, weighted per channel by a softmax."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            channels, RADIX * channels, 3, padding=dilation, dilation=dilation, groups=RADIX, bias=False
        )
        self.bn0 = nn.BatchNorm2d(RADIX * channels)
        self.fc1 = nn.Conv2d(channels, channels // 2, 1)
        self.bn1 = nn.BatchNorm2d(channels // 2)
        self.fc2 = nn.Conv2d(channels // 2, RADIX * channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        first, second = F.relu(self.bn0(self.conv(x)), inplace=True).chunk(RADIX, 1)
        means = (first + second).mean((2, 3), keepdim=True)
        scores = self.fc2(F.relu(self.bn1(self.fc1(means)))).unflatten(1, (RADIX, -1))
        weights = scores.softmax(1)
        return torch.addcmul(first * weights[:, 0], second, weights[:, 1])


class SplitAttentionBottleneck(nn.Module):
    """Residual block from [B, before, h, w] to [B, 4 x planes, h / stride, w / stride].

    Args:
        before: channels.
        planes: channels within.
        stride: of an average pooling behind the split attention.
        dilation: of its convolution.
        shortcut: what the input goes through, if anything.
        pools: whether there is such a pooling; it smooths where its stride is 1.
    """

    def __init__(
        self, before: int, planes: int, *, stride: int, dilation: int, shortcut: nn.Module | None, pools: bool
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, planes, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = SplitAttention(planes, dilation)
        self.avd_layer = nn.AvgPool2d(3, stride, padding=1) if pools else nn.Identity()
        self.conv3 = nn.Conv2d(planes, 4 * planes, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * planes)
        self.downsample = shortcut

    def forward(self, x: Tensor) -> Tensor:
        residual = self.conv2(F.relu(self.bn1(self.conv1(x)), inplace=True))
        residual = self.bn3(self.conv3(self.avd_layer(residual)))
        return F.relu(residual + (x if self.downsample is None else self.downsample(x)), inplace=True)


class ResNeStBackbone(nn.Module):
    """Backbone from images [B, 3, H, W] to a feature map [B, 2048, H/16, W/16] (/32 with last_stride 2).

    With last_stride 1 the last stage is fast-reid's: all its blocks but the first are dilated, so that they see as much.
    """

    out_channels = 2048

    def __init__(self, name: str, *, last_stride: int = 1) -> None:
        super().__init__()
        width, depths = RESNESTS[name]
        self.conv1 = nn.Sequential(
            nn.Conv2d(3, width, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, 2 * width, 3, padding=1, bias=False),
        )
        self.bn1 = nn.BatchNorm2d(2 * width)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = _stage(2 * width, 64, depths[0], stride=1, pools=False)
        self.layer2 = _stage(256, 128, depths[1], stride=2)
        self.layer3 = _stage(512, 256, depths[2], stride=2)
        self.layer4 = _stage(1024, 512, depths[3], stride=last_stride, dilation=2 if last_stride == 1 else 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> Tensor:
        x = self.maxpool(F.relu(self.bn1(self.conv1(images)), inplace=True))
        return self.layer4(self.layer3(self.layer2(self.layer1(x))))  # type: ignore[no-any-return]


def _stage(
    before: int, planes: int, depth: int, *, stride: int, dilation: int = 1, pools: bool = True
) -> nn.Sequential:
    """Builds one stage of blocks; the first has the stride and a shortcut, the others the dilation."""
    shortcut = nn.Sequential(
        nn.AvgPool2d(stride, stride, ceil_mode=True, count_include_pad=False),
        nn.Conv2d(before, 4 * planes, 1, bias=False),
        nn.BatchNorm2d(4 * planes),
    )
    blocks = [SplitAttentionBottleneck(before, planes, stride=stride, dilation=1, shortcut=shortcut, pools=pools)]
    blocks += [
        SplitAttentionBottleneck(4 * planes, planes, stride=1, dilation=dilation, shortcut=None, pools=False)
        for _ in range(1, depth)
    ]
    return nn.Sequential(*blocks)


def build(cfg: CfgNode) -> ResNeStBackbone:
    """Builds the network MODEL.NAME with the last stride MODEL.LAST_STRIDE."""
    return ResNeStBackbone(cfg.MODEL.NAME, last_stride=cfg.MODEL.LAST_STRIDE)
