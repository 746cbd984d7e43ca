"""Heads of CLIP-ReID and of its baseline (Li et al., AAAI 2023)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from yacs.config import CfgNode

from modeling.branch import Branch
from modeling.clip.images import ClipEncoder, ClipFeatures
from modeling.clip.prompts import PromptStage
from modeling.heads.layers import behind_neck, make_classifier, make_neck
from modeling.losses.criterion import IDENTITY, Term
from modeling.losses.identity import Softmax
from modeling.model import ReIDModel
from modeling.precision import full_precision, no_autocast
from utils.errors import ConfigError


class Clip(ReIDModel):
    """Baseline of CLIP-ReID: CLIP's image encoder alone. State-dict names behind the backbone are CLIP-ReID's.

    The branches are those of the block or stage before the last, of the last, and of the projected feature. The first has no
    scores; the others, joined, are compared.
    """

    def __init__(self, cfg: CfgNode, backbone: nn.Module, num_classes: int) -> None:
        super().__init__(cfg, backbone, num_classes)
        if not isinstance(backbone, ClipEncoder):
            raise ConfigError(
                f"MODEL.HEAD: {cfg.MODEL.HEAD} is for CLIP's image encoders, not for {cfg.MODEL.NAME}; choose MODEL.NAME"
                " clip_vit_b16 or clip_resnet50"
            )
        backbone.gives_all = True
        self.widths = backbone.widths
        self.text = backbone.text
        _earlier, last, projected = self.widths
        self.bottleneck = make_neck(cfg, last)
        self.bottleneck_proj = make_neck(cfg, projected)
        self.classifier = make_classifier(cfg, last, num_classes)
        self.classifier_proj = make_classifier(cfg, projected, num_classes)

    @property
    def channels(self) -> int:
        return sum(self.widths[1:])

    def branches(self, output: ClipFeatures, origins: Tensor | None = None) -> list[Branch]:
        earlier, last, projected = (full_precision(feature) for feature in output)
        return [
            Branch(earlier, earlier),
            behind_neck(last, self.bottleneck, self.classifier),
            behind_neck(projected, self.bottleneck_proj, self.classifier_proj),
        ]

    def join(self, branches: list[Branch]) -> Tensor:
        return super().join(branches[1:])


class TextClassifier(nn.Module):
    """Classifier of features [B, D] by their dot products with a feature of each identity's sentence; it is not trained.

    Zero until the sentences are learnt.
    """

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.weight: Tensor
        self.register_buffer("weight", torch.zeros(out_features, in_features))

    def forward(self, features: Tensor) -> Tensor:
        with no_autocast(features):
            return F.linear(features, self.weight)


class ClipReID(Clip):
    """Head of CLIP-ReID: the baseline, whose projected feature is also classified by learnt sentences."""

    def __init__(self, cfg: CfgNode, backbone: nn.Module, num_classes: int) -> None:
        super().__init__(cfg, backbone, num_classes)
        self.classifier_text = TextClassifier(self.widths[2], num_classes)

    def branches(self, output: ClipFeatures, origins: Tensor | None = None) -> list[Branch]:
        found = super().branches(output, origins)
        if not self.training:
            return found
        projected = found[2].features
        return [*found, Branch(projected, projected, self.classifier_text(projected), for_pairs=False)]

    def join(self, branches: list[Branch]) -> Tensor:
        return super().join(branches[:3])

    def own_terms(self, cfg: CfgNode) -> list[Term]:
        weight = float(cfg.MODEL.I2T_LOSS_WEIGHT)
        return [Term(IDENTITY, "image_to_text", 3, weight, Softmax(cfg))] if weight else []

    def preparation(self, cfg: CfgNode, *, load: bool) -> PromptStage | None:
        choice, path = cfg.MODEL.PRETRAIN_CHOICE, cfg.MODEL.PRETRAIN_PATH
        if load and choice == "self":
            if bool((self.classifier_text.weight != 0).any()):
                return None
            raise ConfigError(
                f"MODEL.PRETRAIN_PATH: {path} has no sentences of these {self.num_classes} identities, and no text encoder"
                " to learn them with; give CLIP's own weights and MODEL.PRETRAIN_CHOICE imagenet, or MODEL.HEAD clip"
            )
        stage = PromptStage(cfg, self.num_classes, self.text)
        if load and choice == "imagenet":
            stage.load_clip(path, cfg.MODEL.PROMPT_NOUN)
        return stage
