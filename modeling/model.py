"""The re-identification network: backbone, global average pooling, BNNeck, classifier."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from yacs.config import CfgNode

from modeling.backbones import build_backbone


class ReIDModel(nn.Module):
    """Bag-of-Tricks network (Luo et al., CVPRW 2019); state-dict names are reid-strong-baseline's.

    In training, images [B, 3, H, W] give (class scores [B, num_classes], features before the neck [B, D]); in
    evaluation they give features [B, D], taken after or before the neck.
    """

    def __init__(
        self, backbone: nn.Module, channels: int, num_classes: int, *, neck: bool = True, neck_feat: str = "after"
    ) -> None:
        super().__init__()
        self.base = backbone
        self.gap = nn.AdaptiveAvgPool2d(1)
        self.feature_from_neck = neck and neck_feat == "after"
        self.bottleneck: nn.Module | None = None
        if neck:
            self.bottleneck = nn.BatchNorm1d(channels)
            self.bottleneck.bias.requires_grad_(False)
        self.classifier = nn.Linear(channels, num_classes, bias=not neck)
        if neck:
            nn.init.normal_(self.classifier.weight, std=0.001)

    @property
    def num_classes(self) -> int:
        return self.classifier.out_features

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        feature: Tensor = self.gap(self.base(images)).flatten(1)
        if not self.training and not self.feature_from_neck:
            return feature
        necked = self.bottleneck(feature) if self.bottleneck is not None else feature
        return (self.classifier(necked), feature) if self.training else necked


def build_model(cfg: CfgNode, num_classes: int) -> ReIDModel:
    """A freshly initialised network; weights depend on torch's seed only."""
    backbone, channels = build_backbone(
        cfg.MODEL.NAME, last_stride=cfg.MODEL.LAST_STRIDE, stem_relu=cfg.MODEL.STEM_RELU
    )
    return ReIDModel(backbone, channels, num_classes, neck=cfg.MODEL.NECK == "bnneck", neck_feat=cfg.TEST.NECK_FEAT)


def resolve_device(name: str) -> torch.device:
    """The device that MODEL.DEVICE means here.

    Raises:
        ValueError: this machine, or this build of torch, does not have it.
    """
    found = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(kind for kind, there in found.items() if there))
    device = torch.device(name)
    if not found[device.type]:
        raise ValueError(f"{name} is not available here; choose auto or {' or '.join(k for k in found if found[k])}")
    if device.type == "cuda" and device.index is not None and device.index >= torch.cuda.device_count():
        raise ValueError(f"{name} is not there; this process sees {torch.cuda.device_count()} GPU(s), counted from 0")
    return device
