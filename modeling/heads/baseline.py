"""Head of the Bag of Tricks: one branch of pooling, BNNeck and classifier (Luo et al., CVPRW 2019)."""

from __future__ import annotations

from torch import Tensor, nn
from yacs.config import CfgNode

from modeling.branch import Branch
from modeling.heads.layers import behind_neck, make_classifier, make_neck, make_pooling, pooled
from modeling.model import ReIDModel


class Baseline(ReIDModel):
    """Bag-of-Tricks network; state-dict names are reid-strong-baseline's."""

    trains_every_parameter = True

    def __init__(self, cfg: CfgNode, backbone: nn.Module, num_classes: int) -> None:
        super().__init__(cfg, backbone, num_classes)
        channels = self.widths[0]
        self.gap = make_pooling(cfg)
        self.bottleneck = make_neck(cfg, channels)
        self.classifier = make_classifier(cfg, channels, num_classes)

    def branches(self, output: Tensor, origins: Tensor | None = None) -> list[Branch]:
        return [behind_neck(pooled(self.gap, output), self.bottleneck, self.classifier)]
