"""Keys of CLIP-ReID's prompts: MODEL's, and SOLVER.STAGE1 for the stage that learns them before the epochs.

Names are CLIP-ReID's. What it calls SOLVER.STAGE2 is SOLVER here, as in every other recipe.
"""

from __future__ import annotations

from math import inf

from yacs.config import CfgNode as CN

from configs.keys.model import MODEL
from configs.keys.solver import SOLVER

# What the images show, in the sentence of MODEL.HEAD clip_reid, "A photo of a X X X X person.": person or vehicle.
MODEL.PROMPT_NOUN = "person"
# Weight of the image-to-text loss of MODEL.HEAD clip_reid; 0 leaves it out.
MODEL.I2T_LOSS_WEIGHT = 1.0

SOLVER.STAGE1 = CN()
# Epochs of the first stage, in which MODEL.HEAD clip_reid learns a sentence for each identity; other heads have no such stage.
SOLVER.STAGE1.MAX_EPOCHS = 120
# Learning rate after the first stage's warm-up; from epoch 1 on it would follow half a cosine down to LR_MIN, with Adam.
SOLVER.STAGE1.BASE_LR = 0.00035
# Epochs of the first stage's warm-up, whose rate rises evenly from WARMUP_LR_INIT.
SOLVER.STAGE1.WARMUP_EPOCHS = 5
# Learning rate that the first stage's warm-up would begin with in epoch 0.
SOLVER.STAGE1.WARMUP_LR_INIT = 0.00001
# Learning rate of the first stage's last epoch.
SOLVER.STAGE1.LR_MIN = 0.000001
# Weight decay of the first stage.
SOLVER.STAGE1.WEIGHT_DECAY = 0.0001
# Images in a batch of the first stage.
SOLVER.STAGE1.IMS_PER_BATCH = 64

CHOICES: dict[str, tuple[object, ...]] = {"MODEL.PROMPT_NOUN": ("person", "vehicle")}
BOUNDS: dict[str, tuple[float, float]] = {
    "MODEL.I2T_LOSS_WEIGHT": (0, inf),
    "SOLVER.STAGE1.MAX_EPOCHS": (1, inf),
    "SOLVER.STAGE1.BASE_LR": (0, inf),
    "SOLVER.STAGE1.WARMUP_EPOCHS": (0, inf),
    "SOLVER.STAGE1.WARMUP_LR_INIT": (0, inf),
    "SOLVER.STAGE1.LR_MIN": (0, inf),
    "SOLVER.STAGE1.WEIGHT_DECAY": (0, inf),
    "SOLVER.STAGE1.IMS_PER_BATCH": (2, inf),
}
