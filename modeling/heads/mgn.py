"""Multiple Granularity Network: a global branch, and two of horizontal stripes (Wang et al., ACM MM 2018).

Each branch has its own copy of the backbone's last stages, all but the first block of the last but one. Feature maps of
the stripes' branches keep their size; that of the global branch has the stride MODEL.LAST_STRIDE, 2 in the paper.
"""

from __future__ import annotations

import copy
import re

from torch import Tensor, nn
from yacs.config import CfgNode

from modeling.backbones import build_backbone
from modeling.backbones.layers import number_parts
from modeling.branch import Branch
from modeling.heads.layers import make_classifier, make_neck, make_pooling, pooled
from modeling.model import ReIDModel
from modeling.precision import full_precision
from utils.errors import ConfigError

REDUCED = 256  # length of each feature that is compared
STRIPES = {"b1": 0, "b2": 2, "b3": 3}  # of each branch, the horizontal stripes beside the whole feature map
_TAIL = re.compile(r"b\d\.([01])\.(\d+)\.(.*)")


class BranchedStages(nn.Module):
    """Backbone from images [B, 3, H, W] to three feature maps [B, C, h, w], one for each of `STRIPES`.

    State-dict names are those of `trunk`, the backbone up to the first block of its third stage, and of each branch, whose
    part 0 is the rest of the third stage and part 1 the fourth.

    Raises:
        ConfigError: the backbone has no such stages, or non-local blocks between them.
    """

    def __init__(self, cfg: CfgNode, backbone: nn.Module) -> None:
        super().__init__()
        if not all(isinstance(getattr(backbone, f"layer{stage}", None), nn.Sequential) for stage in (1, 2, 3, 4)):
            raise ConfigError(
                f"MODEL.HEAD: mgn needs a backbone of four stages, as resnet50 has them, which {cfg.MODEL.NAME} has not"
            )
        if any(cfg.MODEL.NON_LOCAL):
            raise ConfigError(
                f"MODEL.NON_LOCAL: {list(cfg.MODEL.NON_LOCAL)} is not for MODEL.HEAD mgn, which divides the backbone's stages;"
                " give [0,0,0,0]"
            )
        self.out_channels: int = backbone.out_channels  # type: ignore[assignment]
        self.notes: list[str] = getattr(backbone, "notes", [])
        unstrided = backbone if cfg.MODEL.LAST_STRIDE == 1 else _with_last_stride_1(cfg, backbone)
        for name, stripes in STRIPES.items():
            setattr(self, name, copy.deepcopy(_tail(unstrided if stripes else backbone)))
        backbone.layer3, backbone.layer4 = nn.Sequential(backbone.layer3[0]), nn.Sequential()  # type: ignore[index, arg-type]
        self.trunk = backbone

    def forward(self, images: Tensor) -> list[Tensor]:
        shared = self.trunk(images)
        return [getattr(self, name)(shared) for name in STRIPES]

    def plain_name(self, name: str) -> str:
        """Gives the name that a tensor of this backbone has in an unbranched one, whose weights all branches begin with."""
        if match := _TAIL.fullmatch(name):
            stage, block, rest = int(match[1]), int(match[2]), match[3]
            return f"layer{3 + stage}.{block + (stage == 0)}.{rest}"
        return name.removeprefix("trunk.")

    def number_layers(self) -> dict[str, int]:
        """Numbers the layer of each parameter as in the unbranched backbone; see `layers.number_layers`."""
        names = {name: self.plain_name(name) for name, _parameter in self.named_parameters()}
        trunk = [plain for name, plain in names.items() if name.startswith("trunk.")]
        tail = [plain for name, plain in names.items() if name.startswith("b1.")]
        numbers = number_parts([*trunk, *tail])
        return {name: numbers[plain] for name, plain in names.items()}


def _with_last_stride_1(cfg: CfgNode, backbone: nn.Module) -> nn.Module:
    """Builds the same backbone with equal weights, whose last stage keeps the size of its feature map."""
    cfg = cfg.clone()
    cfg.defrost()
    cfg.MODEL.LAST_STRIDE = 1
    unstrided = build_backbone(cfg)
    unstrided.load_state_dict(backbone.state_dict())
    return unstrided


def _tail(backbone: nn.Module) -> nn.Sequential:
    """Takes the stages of a backbone that each branch has for itself."""
    third, fourth = backbone.layer3, backbone.layer4
    return nn.Sequential(nn.Sequential(*list(third)[1:]), fourth)  # type: ignore[arg-type]


def stripe(feature_map: Tensor, number: int, of: int) -> Tensor:
    """Cuts one of `of` horizontal stripes, counted from 0, out of a feature map [B, C, h, w].

    Where h is no multiple of `of`, neighbours share a row, as in adaptive pooling.
    """
    height = feature_map.shape[2]
    return feature_map[:, :, number * height // of : -(-(number + 1) * height // of)]


class Granularity(nn.Module):
    """Layers behind one feature map or stripe: pooling, reduction to `REDUCED` features, neck and classifier.

    Without a neck, as in the paper, the reduction ends with batch normalisation and ReLU, and the classifier of a global
    feature sees it before the reduction. With MODEL.NECK bnneck, as in fast-reid, the neck takes the place of both, and
    the classifier is behind it.
    """

    def __init__(self, cfg: CfgNode, channels: int, num_classes: int, *, is_global: bool) -> None:
        super().__init__()
        self.is_global = is_global
        self.gap = make_pooling(cfg)
        convolution = nn.Conv2d(channels, REDUCED, 1, bias=False)
        nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
        self.reduction = nn.Sequential(convolution)
        self.bottleneck = make_neck(cfg, REDUCED)
        if self.bottleneck is None:
            self.reduction.extend([nn.BatchNorm2d(REDUCED), nn.ReLU(inplace=True)])
        self.before_reduction = is_global and self.bottleneck is None
        classified = channels if self.before_reduction else REDUCED
        self.classifier = make_classifier(cfg, classified, num_classes, bias=False)

    def forward(self, feature_map: Tensor) -> Branch:
        whole = pooled(self.gap, feature_map)
        features = full_precision(self.reduction(whole[:, :, None, None])).flatten(1)
        necked = features if self.bottleneck is None else self.bottleneck(features)
        scores = self.classifier(whole if self.before_reduction else necked) if self.training else None
        return Branch(features, necked, scores, for_pairs=self.is_global)


class MGN(ReIDModel):
    """Multiple Granularity Network: eight branches of 256 features, three of them global.

    In the order of `MODEL.BRANCH_WEIGHTS` they are: the global branch; of two stripes the whole, then each from the top;
    of three stripes the same. The identity loss sees all, losses over pairs the three global ones.
    """

    def __init__(self, cfg: CfgNode, backbone: nn.Module, num_classes: int) -> None:
        super().__init__(cfg, BranchedStages(cfg, backbone), num_classes)
        channels = self.widths[0]
        self.widths = []
        for name, stripes in STRIPES.items():
            for part in range(stripes + 1):  # 0: the whole feature map
                layers = Granularity(cfg, channels, num_classes, is_global=part == 0)
                setattr(self, f"{name}{part or ''}_head", layers)  # fast-reid's names
                self.widths.append(REDUCED)

    def plain_name(self, name: str) -> str:
        part, _, rest = name.partition(".")
        return f"base.{self.base.plain_name(rest)}" if part == "base" else name  # type: ignore[operator]

    def branches(self, output: list[Tensor], origins: Tensor | None = None) -> list[Branch]:
        found: list[Branch] = []
        for feature_map, (name, stripes) in zip(output, STRIPES.items(), strict=True):
            found.append(getattr(self, f"{name}_head")(feature_map))
            for part in range(stripes):
                found.append(getattr(self, f"{name}{part + 1}_head")(stripe(feature_map, part, stripes)))
        return found
