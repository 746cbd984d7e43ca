"""Keys of the training: optimizer, schedule, periods and seed."""

from __future__ import annotations

from math import inf

from yacs.config import CfgNode as CN

from utils.families import Family

# Optimizers: each is called with (parameter groups, cfg) and returns a torch.optim.Optimizer. A group has `params`,
# `weight_decay` and `lr_factor`, by which its `lr` is multiplied in every step.
OPTIMIZERS = Family(
    {
        "Adam": "engine.solver:build_adam",
        "AdamW": "engine.solver:build_adamw",
        "AMSGrad": "engine.solver:build_amsgrad",
        "SGD": "engine.solver:build_sgd",
    }
)
# Schedules: each is called with (cfg, epoch), the epoch from 1, and returns the factor on the learning rate beside warm-up.
SCHEDULES = Family(
    {
        "multistep": "engine.solver:multistep_factor",
        "cosine": "engine.solver:cosine_factor",
        "cosine_whole": "engine.solver:cosine_whole_factor",
    }
)

SOLVER = CN()
# Optimizer: Adam, AdamW, AMSGrad (Adam with the largest mean of squares so far) or SGD; FILE.py:NAME for your own.
SOLVER.OPTIMIZER_NAME = "Adam"
# Epochs to train.
SOLVER.MAX_EPOCHS = 120
# Learning rate after warm-up.
SOLVER.BASE_LR = 0.00035
# Factor on the learning rate of parameters whose name contains "bias".
SOLVER.BIAS_LR_FACTOR = 1.0
# Factor on the learning rate of the parameters behind the backbone: pooling, neck and classifier.
SOLVER.HEADS_LR_FACTOR = 1.0
# Factor on the learning rate from each layer of the backbone to the one below: a layer's rate is multiplied by
# LAYER_DECAY ** n, with n = 1 for the last layer and n = 0 behind the backbone. A layer is a block of the network, the stem
# is the lowest; 1: one rate for all. Usual with transformers: 0.65 to 0.9.
SOLVER.LAYER_DECAY = 1.0
# Momentum of SGD.
SOLVER.MOMENTUM = 0.9
# Decay rates of the running means of the gradient and of its square, in Adam, AdamW and AMSGrad.
SOLVER.BETAS = (0.9, 0.999)
# Weight decay.
SOLVER.WEIGHT_DECAY = 0.0005
# Weight decay of parameters whose name contains "bias".
SOLVER.WEIGHT_DECAY_BIAS = 0.0005
# Factor on the weight decay of the weights of normalisation layers.
SOLVER.WEIGHT_DECAY_NORM_FACTOR = 1.0
# Learning rate after warm-up: multistep (GAMMA at each of STEPS), cosine (half a cosine, which would reach
# MIN_LR_FACTOR with the epoch after MAX_EPOCHS) or cosine_whole (half a cosine over all epochs, whose beginning warm-up takes
# the place of, and which reaches MIN_LR_FACTOR in the last, as in timm and TransReID); FILE.py:NAME for your own.
SOLVER.SCHEDULE = "multistep"
# Factor on the learning rate that cosine and cosine_whole fall towards.
SOLVER.MIN_LR_FACTOR = 0.0
# Epochs before cosine begins to fall, warm-up included; the rate stays at BASE_LR until then. Without effect where warm-up
# is longer.
SOLVER.DELAY_EPOCHS = 0
# Factor on the learning rate at each of STEPS.
SOLVER.GAMMA = 0.1
# Epochs at whose start the learning rate is multiplied by GAMMA, increasing.
SOLVER.STEPS = (40, 70)
# Factor on the learning rate at the start of warm-up.
SOLVER.WARMUP_FACTOR = 0.01
# Length of warm-up in WARMUP_UNIT; 0: no warm-up.
SOLVER.WARMUP_ITERS = 10
# What WARMUP_ITERS counts: epoch (the rate changes as an epoch starts) or iteration.
SOLVER.WARMUP_UNIT = "epoch"
# Warm-up: linear (from WARMUP_FACTOR up to 1) or constant (WARMUP_FACTOR throughout).
SOLVER.WARMUP_METHOD = "linear"
# Epochs between checkpoints; the last epoch always writes one, and so does SIGTERM.
SOLVER.CHECKPOINT_PERIOD = 10
# Keep the weights with the highest mAP of all evaluations, on the first set that is tested on, as best.pth beside the
# checkpoints.
SOLVER.KEEP_BEST = True
# Iterations between log lines.
SOLVER.LOG_PERIOD = 20
# Epochs between evaluations; the last epoch is always evaluated.
SOLVER.EVAL_PERIOD = 10
# Images in a training batch; under torchrun, of all processes together.
SOLVER.IMS_PER_BATCH = 64
# Batches whose gradients are averaged for a step of the optimizer.
SOLVER.ACCUMULATE = 1
# Largest norm of a step's gradient, all parameters together; a longer one is shortened. 0: no limit.
SOLVER.CLIP_NORM = 0.0
# Epochs at the start in which the backbone is frozen.
SOLVER.FREEZE_EPOCHS = 0
# Batches at the start in which the backbone is frozen, where that is longer: 1000 or more in fast-reid's SBS.
SOLVER.FREEZE_ITERS = 0
# Decay of the exponential moving average of the weights, which is what is evaluated then, as in 0.9995; 0: none.
SOLVER.EMA_DECAY = 0.0
# Resume also where settings of the optimizer, the schedule, losses or augmentation differ from those of the checkpoint: the
# new ones count from there on, and momenta and counters are kept. False refuses to resume with other settings.
SOLVER.RESUME_CHANGED = False
# Use only algorithms that give the same bits every time, slower on GPUs.
SOLVER.DETERMINISTIC = False
# Seed of weights, sampling and augmentation.
SOLVER.SEED = 0

CHOICES: dict[str, tuple[object, ...]] = {
    "SOLVER.OPTIMIZER_NAME": OPTIMIZERS.names,
    "SOLVER.SCHEDULE": SCHEDULES.names,
    "SOLVER.WARMUP_METHOD": ("linear", "constant"),
    "SOLVER.WARMUP_UNIT": ("epoch", "iteration"),
}
# Tables of builders, by the key that names one; beside their names a file of the user's is allowed.
FAMILIES: dict[str, Family] = {"SOLVER.OPTIMIZER_NAME": OPTIMIZERS, "SOLVER.SCHEDULE": SCHEDULES}
BOUNDS: dict[str, tuple[float, float]] = {
    "SOLVER.MAX_EPOCHS": (1, inf),
    "SOLVER.BASE_LR": (0, inf),
    "SOLVER.BIAS_LR_FACTOR": (0, inf),
    "SOLVER.HEADS_LR_FACTOR": (0, inf),
    "SOLVER.LAYER_DECAY": (0.001, 1),
    "SOLVER.MOMENTUM": (0, 1),
    "SOLVER.BETAS": (0, 0.999999),
    "SOLVER.WEIGHT_DECAY": (0, inf),
    "SOLVER.WEIGHT_DECAY_BIAS": (0, inf),
    "SOLVER.WEIGHT_DECAY_NORM_FACTOR": (0, inf),
    "SOLVER.MIN_LR_FACTOR": (0, 1),
    "SOLVER.DELAY_EPOCHS": (0, inf),
    "SOLVER.GAMMA": (0, inf),
    "SOLVER.STEPS": (1, inf),
    "SOLVER.WARMUP_FACTOR": (0, inf),
    "SOLVER.WARMUP_ITERS": (0, inf),
    "SOLVER.CHECKPOINT_PERIOD": (1, inf),
    "SOLVER.LOG_PERIOD": (1, inf),
    "SOLVER.EVAL_PERIOD": (1, inf),
    "SOLVER.IMS_PER_BATCH": (1, inf),
    "SOLVER.ACCUMULATE": (1, inf),
    "SOLVER.CLIP_NORM": (0, inf),
    "SOLVER.FREEZE_EPOCHS": (0, inf),
    "SOLVER.FREEZE_ITERS": (0, inf),
    "SOLVER.EMA_DECAY": (0, 0.999999),
    "SOLVER.SEED": (0, 2**32 - 1),
}
ANY_LENGTH = frozenset({"SOLVER.STEPS"})
