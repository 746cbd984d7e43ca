"""Configuration tree of the trainer: the keys of all sections (`configs/keys`) and the values they accept.

A default's type is the key's type: a float key takes whole numbers too, a tuple takes any sequence. The
defaults are the published Bag-of-Tricks recipe without center loss (Luo et al., "Bag of Tricks and a Strong
Baseline for Deep Person Re-identification", CVPRW 2019) on Market-1501; names are reid-strong-baseline's where
it has them. Epochs count from 1.
"""

from __future__ import annotations

from yacs.config import CfgNode as CN

from configs.keys import dataloader, datasets, input, losses, model, prompts, solver, test, wandb
from utils.families import Family

_C = CN()
_C.MODEL = model.MODEL
_C.INPUT = input.INPUT
_C.DATASETS = datasets.DATASETS
_C.DATALOADER = dataloader.DATALOADER
_C.SOLVER = solver.SOLVER
_C.TEST = test.TEST
_C.WANDB = wandb.WANDB

# Folder of the log, the checkpoints and the effective configuration; empty: ./log/<name of the config file>, and of a file in
# a folder below configs/, such as configs/agw/x.yml, ./log/agw/x.
_C.OUTPUT_DIR = ""

# The values a key accepts, where its type does not say so.
CHOICES: dict[str, tuple[object, ...]] = {
    **model.CHOICES,
    **losses.CHOICES,
    **prompts.CHOICES,
    **input.CHOICES,
    **datasets.CHOICES,
    **dataloader.CHOICES,
    **solver.CHOICES,
    **test.CHOICES,
}
# Keys whose smallest value is read, since older checkpoints have it, and is not trained with.
ABOVE: frozenset[str] = losses.ABOVE
# Smallest and largest value, both allowed; for a sequence, of each element.
BOUNDS: dict[str, tuple[float, float]] = {
    **input.BOUNDS,
    **dataloader.BOUNDS,
    **model.BOUNDS,
    **losses.BOUNDS,
    **prompts.BOUNDS,
    **solver.BOUNDS,
    **test.BOUNDS,
    **datasets.BOUNDS,
}
# Sequences that may be of any length; every other one has its default's.
ANY_LENGTH: frozenset[str] = frozenset().union(
    *(section.ANY_LENGTH for section in (input, datasets, dataloader, losses, solver))
)
# Tables of builders of the keys that name one, or a builder in a file of the user's.
FAMILIES: dict[str, Family] = {**model.FAMILIES, **losses.FAMILIES, **dataloader.FAMILIES, **solver.FAMILIES}
# Keys of reid-strong-baseline that are accepted and have no effect: of losses that are not offered, and DEVICE_ID,
# which would win over the launcher's CUDA_VISIBLE_DEVICES.
OBSOLETE: frozenset[str] = frozenset(
    {
        "MODEL.DEVICE_ID",
        "SOLVER.CLUSTER_MARGIN",
        "SOLVER.RANGE_K",
        "SOLVER.RANGE_MARGIN",
        "SOLVER.RANGE_ALPHA",
        "SOLVER.RANGE_BETA",
        "SOLVER.RANGE_LOSS_WEIGHT",
    }
)
