"""Re-identification network: backbone, pooling, BNNeck, classifier."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from yacs.config import CfgNode

from modeling.backbones import build_backbone
from modeling.backbones.timm_models import TimmBackbone
from modeling.heads import CosineClassifier, GeM
from utils.errors import ConfigError


class ReIDModel(nn.Module):
    """Bag-of-Tricks network (Luo et al., CVPRW 2019); state-dict names are reid-strong-baseline's.

    In training, images [B, 3, H, W] give (class scores [B, num_classes], features before the neck [B, D]); in
    evaluation they give features [B, D], taken after or before the neck. Features are float32 under autocast too.

    Args:
        backbone: gives feature maps [B, channels, h, w], or features [B, channels] that are pooled already.
        gem: generalised-mean instead of average pooling.
        cosine: scores are cosines, for the margin losses.
        autocast: the lower precision to compute in where it is safe, bfloat16 or float16; None: float32.
        channels_last: store feature maps, and the weights of convolutions, so.
    """

    def __init__(
        self,
        backbone: nn.Module,
        channels: int,
        num_classes: int,
        *,
        neck: bool = True,
        neck_feat: str = "after",
        gem: bool = False,
        cosine: bool = False,
        autocast: torch.dtype | None = None,
        channels_last: bool = False,
    ) -> None:
        super().__init__()
        self.autocast = autocast
        self.channels_last = channels_last
        self.base = backbone
        self.gap = GeM() if gem else nn.AdaptiveAvgPool2d(1)
        self.feature_from_neck = neck and neck_feat == "after"
        self.bottleneck: nn.Module | None = None
        if neck:
            self.bottleneck = nn.BatchNorm1d(channels)
            self.bottleneck.bias.requires_grad_(False)
        self.classifier: nn.Linear
        if cosine:
            self.classifier = CosineClassifier(channels, num_classes)
        else:
            self.classifier = nn.Linear(channels, num_classes, bias=not neck)
            if neck:
                nn.init.normal_(self.classifier.weight, std=0.001)
        if channels_last:
            self.to(memory_format=torch.channels_last)

    @property
    def num_classes(self) -> int:
        """Number of training identities."""
        return self.classifier.out_features

    @property
    def channels(self) -> int:
        """Length D of a feature."""
        return self.classifier.in_features

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        if self.channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        if self.autocast is None:
            return self._forward(images)
        with torch.autocast(images.device.type, dtype=self.autocast):
            return self._forward(images)

    def _forward(self, images: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        output: Tensor = self.base(images)
        feature = self.gap(output).flatten(1) if output.ndim == 4 else output
        if feature.dtype == self.autocast:
            feature = feature.float()
        if not self.training and not self.feature_from_neck:
            return feature
        necked = self.bottleneck(feature) if self.bottleneck is not None else feature
        return (self.classifier(necked), feature) if self.training else necked


def build_model(cfg: CfgNode, num_classes: int) -> ReIDModel:
    """Builds a network with random weights, which depend on torch's seed only.

    Raises:
        ConfigError: timm cannot build the network MODEL.NAME.
    """
    backbone, channels = build_backbone(
        cfg.MODEL.NAME,
        last_stride=cfg.MODEL.LAST_STRIDE,
        stem_relu=cfg.MODEL.STEM_RELU,
        size=cfg.INPUT.SIZE_TRAIN,
    )
    if isinstance(backbone, TimmBackbone) and backbone.fixed_size and backbone.size != tuple(cfg.INPUT.SIZE_TEST):
        raise ConfigError(
            f"INPUT.SIZE_TEST: {list(cfg.INPUT.SIZE_TEST)} differs from INPUT.SIZE_TRAIN {list(backbone.size)};"
            f" {cfg.MODEL.NAME} takes images of one size"
        )
    return ReIDModel(
        backbone,
        channels,
        num_classes,
        neck=cfg.MODEL.NECK == "bnneck",
        neck_feat=cfg.TEST.NECK_FEAT,
        gem=cfg.MODEL.POOLING == "gem",
        cosine=cfg.MODEL.ID_LOSS_TYPE != "softmax",
        autocast={"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[cfg.MODEL.PRECISION],
        channels_last=cfg.MODEL.CHANNELS_LAST,
    )


def resolve_device(name: str) -> torch.device:
    """Resolves MODEL.DEVICE to a device of this machine.

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
        raise ValueError(f"{name} does not exist; this process sees {torch.cuda.device_count()} GPU(s), counted from 0")
    return device
