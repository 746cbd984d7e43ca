"""Names of re-identification networks: the trainers whose checkpoints hold backbone, neck and classifier.

Sources: michuanhaohao/reid-strong-baseline, damo-cv/TransReID, JDAI-CV/fast-reid, KaiyangZhou/deep-person-reid,
mangye16/ReID-Survey and mikwieczorek/centroids-reid.
"""

from __future__ import annotations

from torch import nn

from modeling.model import ORIGIN_COUNTS
from modeling.weights.changes import POSITIONS
from modeling.weights.rules import Format, Rule, Setting, left_out


def _trunk(model: nn.Module) -> nn.Module:
    """Finds the part of a network with the stem: the backbone, or what is before its branches."""
    trunk: nn.Module = getattr(model.base, "trunk", model.base)  # type: ignore[arg-type]
    return trunk


def _has_stem_relu(model: nn.Module) -> bool:
    """Tells whether a network has the ReLU of the stem, as those have that know no other."""
    return bool(getattr(_trunk(model), "stem_relu", True))


def _stem_pooling(model: nn.Module) -> str:
    """Tells MODEL.STEM_POOLING of a network; `ceil` of those that know no other."""
    pooling = getattr(_trunk(model), "maxpool", None)
    return "padded" if getattr(pooling, "padding", 0) else "ceil"


def _neck(model: nn.Module) -> str:
    """Tells MODEL.NECK of a network."""
    return "no" if getattr(model, "bottleneck", None) is None else "bnneck"


_STEM_RELU = Setting("MODEL.STEM_RELU", True, _has_stem_relu)

# Of networks that carry the classifier of ImageNet along.
_UNUSED = left_out("base.fc.*")

_POSITIONS = Rule("base.pos_embed", "base.pos_embed", POSITIONS)

OURS = Format("plain", "this trainer's", "* → *", (_POSITIONS, Rule("*", "*"), *_UNUSED))
STRONG_BASELINE = Format(
    "strong-baseline", "reid-strong-baseline's", "* → *", (Rule("*", "*"), *_UNUSED), lacks=(ORIGIN_COUNTS,)
)
TRANSREID = Format(
    "transreid",
    "TransReID's",
    "* → *",
    # The last block and its normalisation, which its head jpm has copies of, and does not use else.
    (_POSITIONS, Rule("*", "*"), *_UNUSED, *left_out("base.blocks.11.*", "base.blocks.7.*", "base.norm.*")),
    lacks=(ORIGIN_COUNTS,),
)
FAST_REID = Format(
    "fast-reid",
    "fast-reid's",
    "backbone.* → base.*, heads.* → bottleneck, classifier",
    (
        Rule("backbone.*", "base.*"),
        Rule("heads.bottleneck.0.*", "bottleneck.*"),
        Rule("heads.pool_layer.p", "gap.p"),
        Rule("heads.weight", "classifier.weight"),
        Rule("heads.classifier.weight", "classifier.weight"),  # before version 1.0
        *left_out("pixel_mean", "pixel_std"),
    ),
    saved_as="model",
    settings=(_STEM_RELU, Setting("MODEL.STEM_POOLING", "ceil", _stem_pooling)),
)
FAST_REID_MGN = Format(
    "fast-reid-mgn",
    "fast-reid's MGN's",
    "backbone.# and b#.* → base.*, b#_head.bottleneck.0.* → reduction, b#_head.weight → classifier",
    (
        Rule("backbone.0.*", "base.trunk.conv1.*"),
        Rule("backbone.1.*", "base.trunk.bn1.*"),
        Rule("backbone.4.*", "base.trunk.layer1.*"),
        Rule("backbone.5.*", "base.trunk.layer2.*"),
        Rule("backbone.6.*", "base.trunk.layer3.0.*"),
        Rule("b#_head.bottleneck.0.*", "b#_head.reduction.0.*"),
        Rule("b#_head.bottleneck.1.*", "b#_head.bottleneck.*"),
        Rule("b#_head.pool_layer.p", "b#_head.gap.p"),
        Rule("b#_head.weight", "b#_head.classifier.weight"),
        Rule("b#.*", "base.b#.*"),
        *left_out("pixel_mean", "pixel_std"),
    ),
    saved_as="model",
    settings=FAST_REID.settings,
)
SURVEY = Format(
    "reid-survey",
    "ReID-Survey's",
    "global_pool.p → gap.p",
    (Rule("global_pool.p", "gap.p"), Rule("*", "*"), *_UNUSED),
)
CENTROIDS = Format(
    "centroids-reid",
    "centroids-reid's",
    "backbone.base.* → base.*, bn.* → bottleneck.*, fc_query.* → classifier.*",
    (
        Rule("backbone.base.*", "base.*"),
        Rule("bn.*", "bottleneck.*"),
        Rule("fc_query.*", "classifier.*"),
        *left_out("backbone.base.fc.*", "center_loss.centers"),
    ),
    saved_as="state_dict",
)
TORCHREID = Format(
    "torchreid",
    "torchreid's",
    "* → base.*",
    (Rule("classifier.*", "classifier.*"), Rule("*", "base.*")),
    saved_as="state_dict",
    settings=(_STEM_RELU, Setting("MODEL.NECK", "no", _neck)),
)
