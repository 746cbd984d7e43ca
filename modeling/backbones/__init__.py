"""Table of backbones. A backbone is one file and one line here; nothing is imported before it is built.

A builder is called with (cfg) and gives a `torch.nn.Module` from images [B, 3, H, W] to what the heads take: a feature
map [B, C, h, w], tokens, or features [B, C] that are pooled already. Its attribute `out_channels` is C. Further
attributes, all optional: `options` names those of MODEL.OUTPUT_STRIDE, MODEL.DROP_PATH and MODEL.NON_LOCAL that it applies;
`added` are the beginnings of names of tensors that ImageNet's weights lack, and that start at random then; `notes` are
lines for the start of the log; with `takes_origins` it has a method `add_origins(num_cameras, num_views)`, which may set
it to False, and is called with the images and their origins (int64 [B, 2]: camera and view, -1: not known; or None);
`trains_every_parameter = False` says that some parameters have no effect on the output; `load_imagenet(weights)` loads
ImageNet weights in its own way; `number_layers()` numbers the layer of each parameter (`modeling/backbones/layers.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from utils.errors import ConfigError
from utils.families import Family

if TYPE_CHECKING:
    from torch import nn

_RESNET, _SENET = "modeling.backbones.resnet:build", "modeling.backbones.senet:build"
_OSNET = "modeling.backbones.osnet:build"
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
        "osnet_x1_0": _OSNET,
        "osnet_x0_75": _OSNET,
        "osnet_x0_5": _OSNET,
        "osnet_x0_25": _OSNET,
        "osnet_ibn_x1_0": _OSNET,
        "osnet_ain_x1_0": _OSNET,
        "osnet_ain_x0_75": _OSNET,
        "osnet_ain_x0_5": _OSNET,
        "osnet_ain_x0_25": _OSNET,
        "timm/": "modeling.backbones.timm_models:build",
    },
    key="MODEL.NAME",
)


# Settings that only some backbones apply: the value that is none, and names of those that do.
_OPTIONS = {"OUTPUT_STRIDE": ("0", "timm/…"), "DROP_PATH": ("0", "timm/…"), "NON_LOCAL": ("[0,0,0,0]", "resnet…")}


def build_backbone(cfg: Any) -> nn.Module:
    """Builds the backbone that MODEL.NAME names.

    Raises:
        ConfigError: it cannot be built, for example since timm is needed and missing.
    """
    backbone: nn.Module = BACKBONES.builder(cfg.MODEL.NAME)(cfg)
    for key, (none, having) in _OPTIONS.items():
        value = cfg.MODEL[key]
        if (any(value) if isinstance(value, tuple) else value) and key not in getattr(backbone, "options", ()):
            raise ConfigError(
                f"MODEL.{key}: {value} is not for {cfg.MODEL.NAME}, which does not have it; give {none}, or a network that"
                f" does, of {having}"
            )
    return backbone
