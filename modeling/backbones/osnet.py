"""OSNet and OSNet-AIN, with torchreid's state-dict names (Zhou et al., ICCV 2019 and TPAMI 2021).

The layer of 512 features behind the pooling is part of the backbone, as in torchreid, whose weights have it and whose
recipes freeze it with the convolutions. So heads get features that are pooled already: MODEL.POOLING has no effect.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from yacs.config import CfgNode

STREAMS = 4  # of a block; stream t sees 2t + 1 pixels
FEATURES = 512


def convolution(before: int, after: int, kernel: int = 1, *, norm: str = "batch", relu: bool = True) -> nn.Sequential:
    """Makes a convolution without bias; then normalisation, batch, instance or none, and ReLU. A 7x7 has stride 2."""
    stride = 2 if kernel == 7 else 1
    parts: list[tuple[str, nn.Module]] = [
        ("conv", nn.Conv2d(before, after, kernel, stride, padding=kernel // 2, bias=False))
    ]
    if norm != "none":
        parts.append(("bn", nn.InstanceNorm2d(after, affine=True) if norm == "instance" else nn.BatchNorm2d(after)))
    if relu:
        parts.append(("relu", nn.ReLU(inplace=True)))
    return nn.Sequential(OrderedDict(parts))


def lite_convolution(channels: int) -> nn.Sequential:
    """Makes a 3x3 convolution of two factors: pointwise and linear, then depthwise with normalisation and ReLU."""
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(channels, channels, 1, bias=False),
            conv2=nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False),
            bn=nn.BatchNorm2d(channels),
            relu=nn.ReLU(inplace=True),
        )
    )


class AggregationGate(nn.Module):
    """Sum of streams [B, C, h, w], each weighted per channel by one small network that all of them share."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, channels // 16, 1)
        self.fc2 = nn.Conv2d(channels // 16, channels, 1)

    def forward(self, streams: Sequence[Tensor]) -> Tensor:
        # One pass over the means of all streams: four times fewer small kernels.
        means = torch.cat([stream.mean((2, 3), keepdim=True) for stream in streams])
        # Not chunk(), with which an exported network takes batches of one size only.
        gates = torch.sigmoid(self.fc2(F.relu(self.fc1(means)))).view(len(streams), -1, *means.shape[1:]).unbind()
        total = streams[0] * gates[0]
        for stream, gate in zip(streams[1:], gates[1:], strict=True):
            total = torch.addcmul(total, stream, gate)
        return total


class OSBlock(nn.Module):
    """Omni-scale residual block from [B, before, h, w] to [B, after, h, w].

    `norm_behind` adds instance normalisation behind the sum with the shortcut, as OSNet-IBN has it.
    """

    def __init__(self, before: int, after: int, *, norm_behind: bool = False) -> None:
        super().__init__()
        middle = after // 4
        self.conv1 = convolution(before, middle)
        self.conv2a = lite_convolution(middle)
        for depth, letter in enumerate("bcd", start=2):
            setattr(self, f"conv2{letter}", nn.Sequential(*(lite_convolution(middle) for _ in range(depth))))
        self.gate = AggregationGate(middle)
        self.conv3 = convolution(middle, after, relu=False)
        self.downsample = convolution(before, after, relu=False) if before != after else nn.Identity()
        self.IN = nn.InstanceNorm2d(after, affine=True) if norm_behind else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        first = self.conv1(x)
        streams = [getattr(self, f"conv2{letter}")(first) for letter in "abcd"]
        return F.relu(self.IN(self.conv3(self.gate(streams)) + self.downsample(x)))


class Stream(nn.Module):
    """Stream of `depth` lite convolutions in a block of OSNet-AIN."""

    def __init__(self, channels: int, depth: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(*(lite_convolution(channels) for _ in range(depth)))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)  # type: ignore[no-any-return]


class AINBlock(nn.Module):
    """Omni-scale residual block of OSNet-AIN from [B, before, h, w] to [B, after, h, w].

    `norm_inside` normalises the residual by instance instead of by batch, before it is added.
    """

    def __init__(self, before: int, after: int, *, norm_inside: bool) -> None:
        super().__init__()
        middle = after // 4
        self.conv1 = convolution(before, middle)
        self.conv2 = nn.ModuleList(Stream(middle, depth) for depth in range(1, STREAMS + 1))
        self.gate = AggregationGate(middle)
        self.conv3 = convolution(middle, after, norm="none" if norm_inside else "batch", relu=False)
        self.downsample = convolution(before, after, relu=False) if before != after else nn.Identity()
        self.IN = nn.InstanceNorm2d(after, affine=True) if norm_inside else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        first = self.conv1(x)
        residual = self.IN(self.conv3(self.gate([stream(first) for stream in self.conv2])))
        return F.relu(residual + self.downsample(x))


def _transition(channels: int) -> nn.Sequential:
    """Makes what halves height and width between two stages."""
    return nn.Sequential(convolution(channels, channels), nn.AvgPool2d(2))


class OSNetBackbone(nn.Module):
    """Backbone from images [B, 3, H, W] to features [B, 512]; feature maps have H/16 x W/16 pixels.

    Args:
        width: factor on the channels.
        ibn: instance normalisation in the stem and the first stage (OSNet-IBN).
    """

    out_channels = FEATURES

    def __init__(self, width: float = 1.0, *, ibn: bool = False) -> None:
        super().__init__()
        stem, *channels = (round(width * full) for full in (64, 256, 384, 512))
        self.conv1 = convolution(3, stem, 7, norm="instance" if ibn else "batch")
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self._add_stages(stem, channels, ibn)
        self.conv5 = convolution(channels[-1], channels[-1])
        self.fc = nn.Sequential(nn.Linear(channels[-1], FEATURES), nn.BatchNorm1d(FEATURES), nn.ReLU(inplace=True))
        self.notes: list[str] = []
        self._initialise()

    def _add_stages(self, before: int, channels: Sequence[int], ibn: bool) -> None:
        """Adds the three stages, of two blocks each; the first two end with a transition."""
        for number, after in enumerate(channels, start=2):
            block = partial(OSBlock, norm_behind=ibn and number == 2)
            ending = [] if number == 4 else [_transition(after)]
            setattr(self, f"conv{number}", nn.Sequential(block(before, after), block(after, after), *ending))
            before = after

    def _initialise(self) -> None:
        """Draws random weights as torchreid does: convolutions by the fan-out, the linear layer with deviation 0.01."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.01)
            if isinstance(module, (nn.Conv2d, nn.Linear)) and module.bias is not None:
                nn.init.zeros_(module.bias)

    def feature_map(self, images: Tensor) -> Tensor:
        """Computes the last feature map [B, 512 x width, H/16, W/16]."""
        x = self.maxpool(self.conv1(images))
        return self.conv5(self.conv4(self.conv3(self.conv2(x))))  # type: ignore[no-any-return, operator]

    def forward(self, images: Tensor) -> Tensor:
        return self.fc(self.feature_map(images).mean((2, 3)))  # type: ignore[no-any-return]


class OSNetAINBackbone(OSNetBackbone):
    """OSNet-AIN: instance normalisation where an architecture search put it; shapes are those of `OSNetBackbone`."""

    # Whether the two blocks of each stage normalise their residual by instance.
    norms_inside = ((True, True), (False, True), (True, False))

    def __init__(self, width: float = 1.0) -> None:
        super().__init__(width, ibn=True)

    def _add_stages(self, before: int, channels: Sequence[int], ibn: bool) -> None:
        for number, (after, (first, second)) in enumerate(zip(channels, self.norms_inside, strict=True), start=2):
            blocks = AINBlock(before, after, norm_inside=first), AINBlock(after, after, norm_inside=second)
            setattr(self, f"conv{number}", nn.Sequential(*blocks))
            if number < 4:
                setattr(self, f"pool{number}", _transition(after))
            before = after

    def feature_map(self, images: Tensor) -> Tensor:
        x = self.pool2(self.conv2(self.maxpool(self.conv1(images))))  # type: ignore[operator]
        return self.conv5(self.conv4(self.pool3(self.conv3(x))))  # type: ignore[no-any-return, operator]


OSNETS: Mapping[str, Callable[[], OSNetBackbone]] = {
    **{f"osnet_x{width}".replace(".", "_"): partial(OSNetBackbone, width) for width in (1.0, 0.75, 0.5, 0.25)},
    "osnet_ibn_x1_0": partial(OSNetBackbone, ibn=True),
    **{f"osnet_ain_x{width}".replace(".", "_"): partial(OSNetAINBackbone, width) for width in (1.0, 0.75, 0.5, 0.25)},
}


def build(cfg: CfgNode) -> OSNetBackbone:
    """Builds the network MODEL.NAME, which has no stride that MODEL.LAST_STRIDE could change."""
    backbone = OSNETS[cfg.MODEL.NAME]()
    if cfg.MODEL.LAST_STRIDE != 1:
        backbone.notes.append(
            f"MODEL.LAST_STRIDE is not applied to {cfg.MODEL.NAME}, whose feature map has a stride of 16 always"
        )
    return backbone
