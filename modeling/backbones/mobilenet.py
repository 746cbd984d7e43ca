"""MobileNetV2 without its classifier (Sandler et al., CVPR 2018), with torchvision's state-dict names."""

from __future__ import annotations

from torch import Tensor
from torchvision.models import MobileNetV2
from yacs.config import CfgNode


class MobileNetV2Backbone(MobileNetV2):  # type: ignore[misc]
    """Backbone from images [B, 3, H, W] to a feature map [B, 1280, H/16, W/16] (H/32, W/32 with last_stride 2)."""

    def __init__(self, *, last_stride: int = 1) -> None:
        super().__init__()
        self.out_channels: int = self.last_channel
        del self.classifier
        # The first block of the last stage but one is the one with the last stride of 2.
        self.features[14].conv[1][0].stride = (last_stride, last_stride)

    def forward(self, images: Tensor) -> Tensor:
        return self.features(images)  # type: ignore[no-any-return]


def build(cfg: CfgNode) -> MobileNetV2Backbone:
    """Builds MobileNetV2 with the last stride MODEL.LAST_STRIDE."""
    return MobileNetV2Backbone(last_stride=cfg.MODEL.LAST_STRIDE)
