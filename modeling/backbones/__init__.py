"""Table of backbones. A backbone is one file and one line here; nothing is imported before it is built.

A builder is called with (cfg) and gives a `torch.nn.Module` from images [B, 3, H, W] to what the heads take: a feature
map [B, C, h, w], tokens, or features [B, C] that are pooled already. Its attribute `out_channels` is C. Further
attributes, all optional: `options` names those of the keys OPTIONS, of MODEL, that it applies;
`added` are the beginnings of names of tensors that ImageNet's weights lack, and that start at random then; `notes` are
lines for the start of the log; with `takes_origins` it has a method `add_origins(num_cameras, num_views)`, which may set
it to False, and is called with the images and their origins (int64 [B, 2]: camera and view, -1: not known; or None);
`trains_every_parameter = False` says that some parameters have no effect on the output; `load_imagenet(weights)` loads
ImageNet weights in its own way; `published_as` is torchvision's name of the network, where that is not MODEL.NAME;
`number_layers()` numbers the layer of each parameter (`modeling/backbones/layers.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from utils.errors import ConfigError
from utils.families import Family

if TYPE_CHECKING:
    from torch import nn

_RESNET, _SENET = "modeling.backbones.resnet:build", "modeling.backbones.senet:build"
_OSNET, _RESNEST = "modeling.backbones.osnet:build", "modeling.backbones.resnest:build"
_VIT, _SWIN = "modeling.backbones.vit:build", "modeling.backbones.swin:build"
# MODEL.NAME
BACKBONES = Family(
    {
        "resnet18": _RESNET,
        "resnet34": _RESNET,
        "resnet50": _RESNET,
        "resnet101": _RESNET,
        "resnet152": _RESNET,
        "resnet18_ibn_a": _RESNET,
        "resnet34_ibn_a": _RESNET,
        "resnet50_ibn_a": _RESNET,
        "resnet101_ibn_a": _RESNET,
        "se_resnet50": _SENET,
        "se_resnet101": _SENET,
        "se_resnet152": _SENET,
        "se_resnext50": _SENET,
        "se_resnext101": _SENET,
        "senet154": _SENET,
        "mobilenet_v2": "modeling.backbones.mobilenet:build",
        "clip_vit_b16": "modeling.backbones.clip_vit:build",
        "clip_resnet50": "modeling.backbones.clip_resnet:build",
        "resnest50": _RESNEST,
        "resnest101": _RESNEST,
        "resnest200": _RESNEST,
        "resnest269": _RESNEST,
        "osnet_x1_0": _OSNET,
        "osnet_x0_75": _OSNET,
        "osnet_x0_5": _OSNET,
        "osnet_x0_25": _OSNET,
        "osnet_ibn_x1_0": _OSNET,
        "osnet_ain_x1_0": _OSNET,
        "osnet_ain_x0_75": _OSNET,
        "osnet_ain_x0_5": _OSNET,
        "osnet_ain_x0_25": _OSNET,
        "vit_base": _VIT,
        "vit_small": _VIT,
        "deit_base": _VIT,
        "deit_small": _VIT,
        "deit_tiny": _VIT,
        "swin_tiny": _SWIN,
        "swin_small": _SWIN,
        "swin_base": _SWIN,
        "timm/": "modeling.backbones.timm_models:build",
    },
    key="MODEL.NAME",
)


# Keys of MODEL that only some backbones apply: the value that asks for nothing, and names of those that do.
_TRANSFORMERS = "vit_… and deit_…"
OPTIONS: dict[str, tuple[Any, str]] = {
    "OUTPUT_STRIDE": (0, "timm/…"),
    "DROP_PATH": (0, f"timm/…, swin_…, {_TRANSFORMERS}"),
    "NON_LOCAL": ((0, 0, 0, 0), "resnet…"),
    "STRIDE_SIZE": ((16, 16), f"{_TRANSFORMERS}, clip_vit_b16"),
    "SIE_CAMERA": (False, f"{_TRANSFORMERS}, clip_vit_b16"),
    "SIE_VIEW": (False, f"{_TRANSFORMERS}, clip_vit_b16"),
    "SEMANTIC_WEIGHT": (-1, "swin_…"),
}


def build_backbone(cfg: Any) -> nn.Module:
    """Builds the backbone that MODEL.NAME names.

    Raises:
        ConfigError: it cannot be built, for example since timm is needed and missing.
    """
    backbone: nn.Module = BACKBONES.builder(cfg.MODEL.NAME)(cfg)
    for key, (none, having) in OPTIONS.items():
        value = cfg.MODEL[key]
        if value != none and key not in getattr(backbone, "options", ()):
            unset = str(list(none)).replace(" ", "") if isinstance(none, tuple) else none
            raise ConfigError(
                f"MODEL.{key}: {value} is not for {cfg.MODEL.NAME}, which does not have it; give {unset}, or a network that"
                f" does, of {having}"
            )
    return backbone
