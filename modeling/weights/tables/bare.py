"""Names of backbones alone: trained on ImageNet, or without labels on images of people.

Sources: torchvision, timm, XingangPan/IBN-Net and Cadene's pretrained-models.pytorch, whose names the backbones here have;
DengpanFu/LUPerson (MoCo) and damo-cv/TransReID-SSL (DINO).
"""

from __future__ import annotations

from modeling.weights.changes import POSITIONS, SHAPE
from modeling.weights.rules import Format, Rule, left_out

# Classifiers of ImageNet, and what self-supervised training has in their place.
_HEADS = left_out("fc.*", "classifier.*", "last_linear.*", "head.*", "head_dist.*", "pre_logits.*")

_CONSTANTS = left_out("*.relative_position_index")  # of torchvision's Swin Transformers

BACKBONE = Format(
    "backbone",
    "a backbone's",
    "* → base.*",
    (
        Rule("pos_embed", "base.pos_embed", POSITIONS),
        Rule("patch_embed.proj.weight", "base.patch_embed.proj.weight", SHAPE),
        Rule("*", "base.*"),
        *_HEADS,
        *_CONSTANTS,
        *left_out("dist_token"),
    ),
)
TIMM = Format("timm", "timm's", "* → base.net.*", (Rule("*", "base.net.*"), *_HEADS))
MOCO = Format(
    "moco",
    "MoCo's",
    "encoder_q.* → base.*",
    (Rule("encoder_q.*", "base.*"), *left_out("encoder_q.*", "encoder_k.*", "queue", "queue_ptr")),
    saved_as="state_dict",
)
DINO = Format(
    "dino",
    "DINO's",
    "backbone.* → base.*",
    (
        Rule("backbone.pos_embed", "base.pos_embed", POSITIONS),
        Rule("backbone.*", "base.*"),
        *left_out("backbone.fc.*", "backbone.head.*", "head.*"),
    ),
    saved_as="teacher",
)
