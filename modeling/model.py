"""Re-identification network: a backbone and a head."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from yacs.config import CfgNode

from modeling.backbones import build_backbone
from modeling.branch import Branch
from modeling.heads import HEADS
from modeling.precision import PRECISIONS, autocast, full_precision
from modeling.settings import branch_weights
from utils.errors import ConfigError

ORIGIN_COUNTS = "origin_counts"  # buffer of networks that take origins: numbers of cameras and views
MOST_ORIGINS = 10_000  # cameras or views

if TYPE_CHECKING:
    from modeling.losses.criterion import Term
    from modeling.preparation import Preparation


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
        takes_origins: whether the backbone or the head uses the images' cameras and views. A head with
            `takes_origins = True` has a method `add_origins(num_cameras, num_views)`, which may set it to False.
    """

    trains_every_parameter = False
    takes_origins = False

    def __init__(self, cfg: CfgNode, backbone: nn.Module, num_classes: int) -> None:
        super().__init__()
        self.autocast = PRECISIONS[cfg.MODEL.PRECISION]
        self.channels_last: bool = cfg.MODEL.CHANNELS_LAST
        self.compares_necked = cfg.TEST.NECK_FEAT == "after"
        self.pairs_necked = cfg.MODEL.METRIC_FEAT == "after"
        self.base = backbone
        self.num_classes = num_classes
        self.widths: list[int] = [int(backbone.out_channels)]  # type: ignore[arg-type]

    @property
    def channels(self) -> int:
        """Length D of the features that are compared."""
        return sum(self.widths)

    def branches(self, output: Any, origins: Tensor | None = None) -> list[Branch]:
        """Applies the head.

        Args:
            output: the backbone's: a feature map [B, C, h, w], tokens, or features [B, C] that are pooled already.
            origins: numbers of the images' cameras and views int64 [B, 2], each -1 where it is not known; None: none is.
        """
        raise NotImplementedError

    def join(self, branches: list[Branch]) -> Tensor:
        """Joins the branches to the features [B, D] that are compared."""
        features = [branch.necked if self.compares_necked else branch.features for branch in branches]
        return features[0] if len(features) == 1 else torch.cat(features, 1)

    def plain_name(self, name: str) -> str:
        """Gives the name that a tensor of the state dict has in weights of a network without branches.

        Copies of a layer, in several branches, have the same and get the same weights. A name that begins with `base.` then is
        one of the backbone's.
        """
        return name

    def own_terms(self, cfg: CfgNode) -> list[Term]:
        """Lists losses of the head's own, beside those of the configuration; a term may be of a branch without `widths`."""
        return []

    def preparation(self, cfg: CfgNode, *, load: bool) -> Preparation | None:
        """Makes the stage of training before the epochs; None: there is none.

        Args:
            cfg: the configuration.
            load: whether to load its starting weights; they come from a checkpoint else.
        Raises:
            TrainerError: the starting weights cannot be loaded.
        """
        return None

    def forward(self, images: Tensor, origins: Tensor | None = None) -> list[Branch] | Tensor:
        if self.channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        with autocast(images, self.autocast):
            output = self.base(images, origins) if getattr(self.base, "takes_origins", False) else self.base(images)
            branches = self.branches(output, origins)
            if not self.training:
                return full_precision(self.join(branches))
        return [branch.for_losses(necked=self.pairs_necked) for branch in branches]


def is_of_classifier(name: str) -> bool:
    """Tells whether a parameter of this name is of a classifier of the head, which only training uses."""
    parts = name.split(".")[:-1]
    return any(part.startswith("classifier") for part in parts) and parts[0] != "base"


def build_model(cfg: CfgNode, num_classes: int, num_cameras: int = 1, num_views: int = 1) -> ReIDModel:
    """Builds a network with random weights, which depend on torch's seed only.

    Args:
        cfg: the configuration.
        num_classes: number of training identities.
        num_cameras: of the images that are trained on, for networks that take origins.
        num_views: likewise; 0: the views are not known.
    Raises:
        ConfigError: the network of MODEL.NAME or the head of MODEL.HEAD cannot be built, or MODEL.BRANCH_WEIGHTS are not
            for this head.
    """
    backbone = build_backbone(cfg)
    counts = (num_cameras, num_views)
    _add_origins(backbone, *counts)
    model: ReIDModel = HEADS.builder(cfg.MODEL.HEAD)(cfg, backbone, num_classes)
    _add_origins(model, *counts)
    if model.takes_origins or getattr(backbone, "takes_origins", False):
        model.takes_origins = True
        model.register_buffer(ORIGIN_COUNTS, torch.tensor(counts))
    branch_weights(cfg, len(model.widths))
    if cfg.MODEL.CHANNELS_LAST:
        model.to(memory_format=torch.channels_last)
    return model


def _add_origins(part: nn.Module, num_cameras: int, num_views: int) -> None:
    """Tells a backbone or a head that takes origins how many cameras and views there are.

    Raises:
        ConfigError: there are more than anything could be learnt for, as where the numbers are not counted from 0.
    """
    if not getattr(part, "takes_origins", False):
        return
    for what, count in (("cameras", num_cameras), ("views", num_views)):
        if count > MOST_ORIGINS:
            raise ConfigError(
                f"the {what} of the training images have numbers up to {count - 1}, too many for this network to learn"
                f" one by one: count them from 0, or use a network that does not take {what}"
            )
    part.add_origins(num_cameras, num_views)  # type: ignore[operator]


def origin_counts(cfg: CfgNode, weights: Mapping[str, Tensor]) -> tuple[int, int]:
    """Reads the numbers of cameras and views that weights were trained with; (1, 1) where they take none.

    TransReID's and CLIP-ReID's files do not note them: of these the number of embeddings tells.

    Raises:
        ConfigError: embeddings are of cameras and views together, and nothing says of how many each.
    """
    found, embeddings = weights.get(ORIGIN_COUNTS), weights.get("base.sie_embed", weights.get("cv_embed"))
    if found is not None:
        cameras, views = found.tolist()
        return cameras, views
    if embeddings is None:
        return 1, 1
    if cfg.MODEL.SIE_CAMERA and cfg.MODEL.SIE_VIEW:
        raise ConfigError(
            f"the weights hold {len(embeddings)} embeddings of cameras and views together, and do not say how many views"
            f" there are: add {ORIGIN_COUNTS} to the file, torch.tensor([CAMERAS, VIEWS]), which is [20, 8] for VeRi-776"
        )
    return (1, len(embeddings)) if cfg.MODEL.SIE_VIEW else (len(embeddings), 1)


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
