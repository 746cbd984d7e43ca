"""Layers of heads: pooling, neck and classifier, as MODEL says, and a whole branch of them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from yacs.config import CfgNode

from modeling.branch import Branch
from modeling.heads import POOLINGS
from modeling.losses import takes_cosines
from modeling.precision import full_precision, no_autocast


class AveragePooling(nn.AdaptiveAvgPool2d):
    """Average pooling [B, C, H, W] to [B, C, 1, 1]."""

    def __init__(self) -> None:
        super().__init__(1)


class MaxPooling(nn.Module):
    """Maximum pooling [B, C, H, W] to [B, C, 1, 1]."""

    def forward(self, feature_map: Tensor) -> Tensor:
        return feature_map.amax((2, 3), keepdim=True)  # unlike torch's pooling deterministic on a GPU


class GeM(nn.Module):
    """Generalised-mean pooling [B, C, H, W] to [B, C, 1, 1] with a learnt exponent (Radenović et al., TPAMI 2019).

    The exponent 1 is the average, a large one the maximum; values below `eps` count as `eps`. Computed in float32 at least.
    """

    def __init__(self, exponent: float = 3.0, eps: float = 1e-6) -> None:
        super().__init__()
        self.p = nn.Parameter(torch.full((1,), exponent))
        self.eps = eps

    def forward(self, feature_map: Tensor) -> Tensor:
        with no_autocast(feature_map):
            powers = full_precision(feature_map).clamp(min=self.eps).pow(self.p)
            return F.adaptive_avg_pool2d(powers, 1).pow(1 / self.p)


class CosineClassifier(nn.Linear):
    """Cosine classifier: cosines [B, num_classes] of features [B, D] to a learnt direction per class, unscaled."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__(in_features, out_features, bias=False)
        nn.init.xavier_uniform_(self.weight)

    def forward(self, features: Tensor) -> Tensor:
        with no_autocast(features):  # margins are lost in 8 bits of mantissa
            return F.linear(F.normalize(features.to(self.weight.dtype)), F.normalize(self.weight))


class BranchLayers(nn.Module):
    """Neck and classifier of one branch, for heads with several: features [B, channels] become a `Branch`."""

    def __init__(self, cfg: CfgNode, channels: int, num_classes: int) -> None:
        super().__init__()
        self.bottleneck = make_neck(cfg, channels)
        self.classifier = make_classifier(cfg, channels, num_classes)

    def forward(self, features: Tensor) -> Branch:
        return behind_neck(features, self.bottleneck, self.classifier)


def behind_neck(features: Tensor, neck: nn.Module | None, classifier: nn.Module) -> Branch:
    """Applies a neck, if there is one, and in training a classifier to features [B, D], which become float32."""
    features = full_precision(features)
    necked = features if neck is None else neck(features)
    return Branch(features, necked, classifier(necked) if classifier.training else None)


def make_pooling(cfg: CfgNode) -> nn.Module:
    """Makes the pooling that MODEL.POOLING names, from feature maps [B, C, H, W] to [B, C, 1, 1]."""
    pooling: nn.Module = POOLINGS.builder(cfg.MODEL.POOLING)()
    return pooling


def make_neck(cfg: CfgNode, channels: int) -> nn.Module | None:
    """Makes the neck: batch normalisation whose bias stays 0 (Luo et al., CVPRW 2019); None by MODEL.NECK no."""
    if cfg.MODEL.NECK != "bnneck":
        return None
    neck = nn.BatchNorm1d(channels)
    neck.bias.requires_grad_(False)
    return neck


def make_classifier(cfg: CfgNode, channels: int, num_classes: int, *, bias: bool = True) -> nn.Linear:
    """Makes the classifier of features [B, channels]: of cosines where the identity loss takes them, else linear.

    A linear one behind a neck has no bias; without a neck it has one where `bias` says so.
    """
    if takes_cosines(cfg):
        return CosineClassifier(channels, num_classes)
    neck = cfg.MODEL.NECK == "bnneck"
    classifier = nn.Linear(channels, num_classes, bias=bias and not neck)
    if neck:
        nn.init.normal_(classifier.weight, std=0.001)
    return classifier


def pooled(pooling: nn.Module, output: Tensor) -> Tensor:
    """Pools a feature map [B, C, H, W] to float32 features [B, C]; features that are pooled already stay."""
    return full_precision(pooling(output).flatten(1) if output.ndim == 4 else output)
