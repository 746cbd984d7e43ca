"""Re-identification network: a backbone and a head."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from yacs.config import CfgNode

from modeling.backbones import build_backbone
from modeling.branch import Branch
from modeling.heads import HEADS
from modeling.precision import PRECISIONS, autocast, full_precision
from modeling.settings import branch_weights


class ReIDModel(nn.Module):
    """Network: a backbone, and the head that a subclass puts behind it.

    In training, images [B, 3, H, W] give a list of branches, whose features and scores the losses see; in evaluation
    they give features [B, D], those of all branches joined, before or after the neck as TEST.NECK_FEAT says. Both are
    float32 under autocast too.

    A subclass adds layers in `__init__` and applies them in `branches`. Names of its layers that begin with "classifier"
    are for classifiers, which only training uses: weights of other identities may lack them.

    Attributes:
        base: the backbone.
        widths: length D of each branch's features, one branch as wide as the backbone's output unless a subclass says
            otherwise.
        trains_every_parameter: whether each loss reaches every parameter behind the backbone, as a head of one branch
            does; several processes look for the others at each step.
    """

    trains_every_parameter = False

    def __init__(self, cfg: CfgNode, backbone: nn.Module, num_classes: int) -> None:
        super().__init__()
        self.autocast = PRECISIONS[cfg.MODEL.PRECISION]
        self.channels_last: bool = cfg.MODEL.CHANNELS_LAST
        self.compares_necked = cfg.TEST.NECK_FEAT == "after"
        self.base = backbone
        self.num_classes = num_classes
        self.widths: list[int] = [int(backbone.out_channels)]  # type: ignore[arg-type]

    @property
    def channels(self) -> int:
        """Length D of the features that are compared."""
        return sum(self.widths)

    def branches(self, output: Any, cameras: Tensor | None = None) -> list[Branch]:
        """Applies the head.

        Args:
            output: the backbone's: a feature map [B, C, h, w], tokens, or features [B, C] that are pooled already.
            cameras: numbers of the images' cameras [B], where they are known.
        """
        raise NotImplementedError

    def join(self, branches: list[Branch]) -> Tensor:
        """Joins the branches to the features [B, D] that are compared."""
        features = [branch.necked if self.compares_necked else branch.features for branch in branches]
        return features[0] if len(features) == 1 else torch.cat(features, 1)

    def forward(self, images: Tensor, cameras: Tensor | None = None) -> list[Branch] | Tensor:
        if self.channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        with autocast(images, self.autocast):
            output = self.base(images, cameras) if getattr(self.base, "takes_cameras", False) else self.base(images)
            branches = self.branches(output, cameras)
            if not self.training:
                return full_precision(self.join(branches))
        return [branch.in_full_precision() for branch in branches]


def is_of_classifier(name: str) -> bool:
    """Tells whether a parameter of this name is of a classifier of the head, which only training uses."""
    parts = name.split(".")[:-1]
    return any(part.startswith("classifier") for part in parts) and parts[0] != "base"


def build_model(cfg: CfgNode, num_classes: int) -> ReIDModel:
    """Builds a network with random weights, which depend on torch's seed only.

    Raises:
        ConfigError: the network of MODEL.NAME or the head of MODEL.HEAD cannot be built, or MODEL.BRANCH_WEIGHTS are not
            for this head.
    """
    backbone = build_backbone(cfg)
    model: ReIDModel = HEADS.builder(cfg.MODEL.HEAD)(cfg, backbone, num_classes)
    branch_weights(cfg, len(model.widths))
    if cfg.MODEL.CHANNELS_LAST:
        model.to(memory_format=torch.channels_last)
    return model


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
