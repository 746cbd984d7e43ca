"""Tables of losses. A loss is one file and one line here; nothing is imported before it is built.

A builder is called with (cfg, num_classes, channels) and gives a callable (scores [B, num_classes], features [B, D],
pids [B]) -> scalar, which may be a `torch.nn.Module`. Scores are logits; an identity loss whose builder has
`takes_cosines = True` gets cosines to a direction per class instead. Further attributes of a loss, all optional:
`check(pids)` looks at a batch on the host before it is trained on; a loss with parameters, which is a Module, has
`make_optimizer()`, and its parameters learn as if its weight were 1.
"""

from __future__ import annotations

from typing import Any

from utils.families import Family

# MODEL.ID_LOSS_TYPE: sees the scores of each branch that has some.
IDENTITY_LOSSES = Family(
    {
        "softmax": "modeling.losses.identity:Softmax",
        "cosface": "modeling.losses.identity:CosFace",
        "arcface": "modeling.losses.identity:ArcFace",
        "circle": "modeling.losses.identity:CircleSoftmax",
    },
    key="MODEL.ID_LOSS_TYPE",
)
# MODEL.METRIC_LOSS_TYPE: sees the features of each branch. Of the two last names, reid-strong-baseline's, the first is
# triplet and the second no loss, both beside the center loss that MODEL.IF_WITH_CENTER adds.
METRIC_LOSSES = Family(
    {
        "triplet": "modeling.losses.triplet:BatchHardTriplet",
        "weighted_triplet": "modeling.losses.weighted_triplet:WeightedTriplet",
        "circle": "modeling.losses.circle:PairwiseCircle",
        "triplet_center": "modeling.losses.triplet:BatchHardTriplet",
        "center": "modeling.losses.center:build",
    },
    key="MODEL.METRIC_LOSS_TYPE",
)
# MODEL.ALSO_LOSSES: any number of them, beside those two.
ALSO_LOSSES = Family(
    {name: place for name, place in METRIC_LOSSES.members.items() if name != "triplet_center"},
    key="MODEL.ALSO_LOSSES",
)


def takes_cosines(cfg: Any) -> bool:
    """Tells whether the identity loss takes cosines to a direction per class instead of logits."""
    return bool(getattr(IDENTITY_LOSSES.builder(cfg.MODEL.ID_LOSS_TYPE), "takes_cosines", False))
