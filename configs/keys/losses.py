"""Keys of the losses, which are parts of MODEL and SOLVER as in reid-strong-baseline."""

from __future__ import annotations

from math import inf

from configs.keys.model import MODEL
from configs.keys.solver import SOLVER
from modeling.losses import ALSO_LOSSES, IDENTITY_LOSSES, METRIC_LOSSES
from utils.families import Family

# Identity loss, of the samplers with softmax: softmax, or a softmax of cosines with a margin: cosface, arcface or
# circle; FILE.py:NAME for your own.
MODEL.ID_LOSS_TYPE = "softmax"
# Weight of the identity loss; 0 leaves it out.
MODEL.ID_LOSS_WEIGHT = 1.0
# Label smoothing of the identity loss: on or off.
MODEL.IF_LABELSMOOTH = "on"
# Epsilon of label smoothing, the probability that is spread over all classes.
MODEL.LABEL_SMOOTHING = 0.1
# Loss over the pairs of a batch, of the samplers with triplet: triplet (batch-hard), weighted_triplet (AGW's, all pairs by
# softmax weights, without a margin) or circle; triplet_center is triplet, and center none, beside center loss; FILE.py:NAME
# for your own.
MODEL.METRIC_LOSS_TYPE = "triplet"
# Features that the losses over pairs see: before the neck, or after it.
MODEL.METRIC_FEAT = "before"
# Weight of that loss, whichever it is; 0 leaves it out.
MODEL.TRIPLET_LOSS_WEIGHT = 1.0
# Triplet loss with the soft margin log(1 + exp(.)) instead of SOLVER.MARGIN.
MODEL.NO_MARGIN = False
# Adds center loss: yes or no.
MODEL.IF_WITH_CENTER = "no"
# Further losses beside those: triplet, weighted_triplet, circle, center, or FILE.py:NAME for your own; text is one of them.
MODEL.ALSO_LOSSES = ("",)
# Weights of the further losses, in order; a single one is for all.
MODEL.ALSO_LOSS_WEIGHTS = (1.0,)
# Factor on the weights of the further losses, which a search can vary: a number, not a list.
MODEL.ALSO_LOSS_FACTOR = 1.0
# Weights of the head's branches in the losses, in order; a single one is for all.
MODEL.BRANCH_WEIGHTS = (1.0,)
# Margin of the triplet loss, in units of feature distance. MODEL.NO_MARGIN chooses the soft margin instead.
SOLVER.MARGIN = 0.3
# Margin of cosface, arcface (radians) and circle as identity loss.
SOLVER.COSINE_MARGIN = 0.5
# Scale of the cosines in cosface, arcface and circle as identity loss.
SOLVER.COSINE_SCALE = 30.0
# Margin (m) of circle loss over pairs.
SOLVER.CIRCLE_MARGIN = 0.25
# Scale (gamma) of circle loss over pairs.
SOLVER.CIRCLE_SCALE = 128.0
# Learning rate of the centers of center loss, by plain SGD.
SOLVER.CENTER_LR = 0.5
# Weight of center loss.
SOLVER.CENTER_LOSS_WEIGHT = 0.0005

CHOICES: dict[str, tuple[object, ...]] = {
    "MODEL.IF_LABELSMOOTH": ("on", "off"),
    "MODEL.ID_LOSS_TYPE": IDENTITY_LOSSES.names,
    "MODEL.METRIC_LOSS_TYPE": METRIC_LOSSES.names,
    "MODEL.METRIC_FEAT": ("before", "after"),
    "MODEL.IF_WITH_CENTER": ("yes", "no"),
}
ABOVE = frozenset({"SOLVER.MARGIN"})
BOUNDS: dict[str, tuple[float, float]] = {
    "MODEL.ID_LOSS_WEIGHT": (0, inf),
    "MODEL.LABEL_SMOOTHING": (0, 1),
    "MODEL.TRIPLET_LOSS_WEIGHT": (0, inf),
    "MODEL.ALSO_LOSS_WEIGHTS": (1e-12, inf),
    "MODEL.ALSO_LOSS_FACTOR": (1e-12, inf),
    "MODEL.BRANCH_WEIGHTS": (0, inf),
    "SOLVER.MARGIN": (0, inf),
    "SOLVER.COSINE_MARGIN": (0, 1.5),
    "SOLVER.COSINE_SCALE": (1e-6, inf),
    "SOLVER.CIRCLE_MARGIN": (0, 1),
    "SOLVER.CIRCLE_SCALE": (1e-6, inf),
    "SOLVER.CENTER_LR": (0, inf),
    "SOLVER.CENTER_LOSS_WEIGHT": (1e-12, inf),
}
ANY_LENGTH = frozenset({"MODEL.ALSO_LOSSES", "MODEL.ALSO_LOSS_WEIGHTS", "MODEL.BRANCH_WEIGHTS"})
FAMILIES: dict[str, Family] = {
    "MODEL.ID_LOSS_TYPE": IDENTITY_LOSSES,
    "MODEL.METRIC_LOSS_TYPE": METRIC_LOSSES,
    "MODEL.ALSO_LOSSES": ALSO_LOSSES,
}
