"""The trainer's configuration tree: every key, its default, its unit and what it accepts.

A default's type is the key's type: a float key takes whole numbers too, a tuple takes any sequence. The
defaults are the published Bag-of-Tricks recipe without center loss (Luo et al., "Bag of Tricks and a Strong
Baseline for Deep Person Re-identification", CVPRW 2019) on Market-1501; names are reid-strong-baseline's where
it has them. Epochs count from 1.
"""

from __future__ import annotations

from math import inf

from yacs.config import CfgNode as CN

_C = CN()

_C.MODEL = CN()
# Where to compute: auto (the first of cuda, mps, cpu that is there), cpu, mps, cuda or cuda:N. Which GPUs a
# process sees is CUDA_VISIBLE_DEVICES' business and never set here.
_C.MODEL.DEVICE = "auto"
# Backbone: resnet18, resnet34, resnet50, resnet101 or resnet152.
_C.MODEL.NAME = "resnet50"
# Stride of the backbone's last stage: 1 keeps a feature map twice as high and wide as 2 does.
_C.MODEL.LAST_STRIDE = 1
# ReLU after the stem's batch normalisation. Published re-ID results were obtained without it.
_C.MODEL.STEM_RELU = False
# Starting weights: imagenet (backbone only; from PRETRAIN_PATH, else torchvision's download), self (a
# checkpoint of this trainer or a state dict, from PRETRAIN_PATH) or none (random).
_C.MODEL.PRETRAIN_CHOICE = "imagenet"
# File of starting weights; empty: none.
_C.MODEL.PRETRAIN_PATH = ""
# Head between backbone and classifier: bnneck (batch normalisation with frozen bias) or no.
_C.MODEL.NECK = "bnneck"
# Label smoothing of the identity loss with epsilon 0.1: on or off.
_C.MODEL.IF_LABELSMOOTH = "on"

_C.INPUT = CN()
# Height and width in pixels that images are resized to for training.
_C.INPUT.SIZE_TRAIN = (256, 128)
# Height and width in pixels that images are resized to for evaluation.
_C.INPUT.SIZE_TEST = (256, 128)
# Probability of a horizontal flip in training.
_C.INPUT.PROB = 0.5
# Probability of random erasing in training.
_C.INPUT.RE_PROB = 0.5
# Mean of the red, green and blue channel, for pixel values in 0..1.
_C.INPUT.PIXEL_MEAN = (0.485, 0.456, 0.406)
# Standard deviation of the red, green and blue channel, for pixel values in 0..1.
_C.INPUT.PIXEL_STD = (0.229, 0.224, 0.225)
# Pixels of padding on each side before the random crop in training.
_C.INPUT.PADDING = 10

_C.DATASETS = CN()
# Data sets by name; `synthetic` is drawn when missing. A bare string is one name.
_C.DATASETS.NAMES = ("market1501",)
# Folder that holds the data sets' folders.
_C.DATASETS.ROOT_DIR = "./datasets"

_C.DATALOADER = CN()
# Worker processes that read images; 0 reads them in the training process.
_C.DATALOADER.NUM_WORKERS = 8
# Sampling and losses: softmax (shuffled images, identity loss), triplet (P identities x K images, batch-hard
# triplet loss) or softmax_triplet (P x K, both losses).
_C.DATALOADER.SAMPLER = "softmax_triplet"
# K: images of each identity in a batch, for the samplers with triplet.
_C.DATALOADER.NUM_INSTANCE = 4

_C.SOLVER = CN()
# Optimizer: Adam, AdamW or SGD.
_C.SOLVER.OPTIMIZER_NAME = "Adam"
# Epochs to train.
_C.SOLVER.MAX_EPOCHS = 120
# Learning rate after warm-up.
_C.SOLVER.BASE_LR = 0.00035
# Factor on the learning rate of parameters whose name contains "bias".
_C.SOLVER.BIAS_LR_FACTOR = 1.0
# Momentum of SGD.
_C.SOLVER.MOMENTUM = 0.9
# Margin of the triplet loss, in units of feature distance; 0 chooses the soft margin log(1 + exp(.)).
_C.SOLVER.MARGIN = 0.3
# Weight decay.
_C.SOLVER.WEIGHT_DECAY = 0.0005
# Weight decay of parameters whose name contains "bias".
_C.SOLVER.WEIGHT_DECAY_BIAS = 0.0005
# Factor on the learning rate at each of STEPS.
_C.SOLVER.GAMMA = 0.1
# Epochs at whose start the learning rate is multiplied by GAMMA, increasing.
_C.SOLVER.STEPS = (40, 70)
# Factor on the learning rate at the start of warm-up.
_C.SOLVER.WARMUP_FACTOR = 0.01
# Length of warm-up in epochs; 0: no warm-up.
_C.SOLVER.WARMUP_ITERS = 10
# Warm-up: linear (from WARMUP_FACTOR up to 1) or constant (WARMUP_FACTOR throughout).
_C.SOLVER.WARMUP_METHOD = "linear"
# Epochs between checkpoints; the last epoch always writes one, and so does SIGTERM.
_C.SOLVER.CHECKPOINT_PERIOD = 10
# Iterations between log lines.
_C.SOLVER.LOG_PERIOD = 20
# Epochs between evaluations; the last epoch is always evaluated.
_C.SOLVER.EVAL_PERIOD = 10
# Images in a training batch.
_C.SOLVER.IMS_PER_BATCH = 64
# Seed of weights, sampling and augmentation.
_C.SOLVER.SEED = 0

_C.TEST = CN()
# Images in an evaluation batch.
_C.TEST.IMS_PER_BATCH = 128
# Features that are compared: after the neck or before it.
_C.TEST.NECK_FEAT = "after"
# Scale features to unit length before comparing them: yes or no.
_C.TEST.FEAT_NORM = "yes"

_C.WANDB = CN()
# Log this training run to Weights & Biases. WANDB_MODE=disabled in the environment wins.
_C.WANDB.ENABLE = False
# Project; WANDB_PROJECT in the environment wins.
_C.WANDB.PROJECT = "reid-baseline"
# User or team; empty: the account's default. WANDB_ENTITY in the environment wins.
_C.WANDB.ENTITY = ""
# Name of the run; empty: the name of the output folder.
_C.WANDB.NAME = ""

# Folder of the log, the checkpoints and the effective configuration; empty: ./log/<name of the config file>.
_C.OUTPUT_DIR = ""

# What a key accepts where its type does not say it.
CHOICES: dict[str, tuple[object, ...]] = {
    "MODEL.NAME": ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152"),
    "MODEL.LAST_STRIDE": (1, 2),
    "MODEL.PRETRAIN_CHOICE": ("imagenet", "self", "none"),
    "MODEL.NECK": ("bnneck", "no"),
    "MODEL.IF_LABELSMOOTH": ("on", "off"),
    "DATALOADER.SAMPLER": ("softmax", "triplet", "softmax_triplet"),
    "SOLVER.OPTIMIZER_NAME": ("Adam", "AdamW", "SGD"),
    "SOLVER.WARMUP_METHOD": ("linear", "constant"),
    "TEST.NECK_FEAT": ("after", "before"),
    "TEST.FEAT_NORM": ("yes", "no"),
}
# Smallest and largest value, both allowed; for a sequence, of each element.
BOUNDS: dict[str, tuple[float, float]] = {
    "INPUT.SIZE_TRAIN": (1, inf),
    "INPUT.SIZE_TEST": (1, inf),
    "INPUT.PROB": (0, 1),
    "INPUT.RE_PROB": (0, 1),
    "INPUT.PIXEL_MEAN": (0, 1),
    "INPUT.PIXEL_STD": (1e-6, inf),
    "INPUT.PADDING": (0, inf),
    "DATALOADER.NUM_WORKERS": (0, inf),
    "DATALOADER.NUM_INSTANCE": (1, inf),
    "SOLVER.MAX_EPOCHS": (1, inf),
    "SOLVER.BASE_LR": (0, inf),
    "SOLVER.BIAS_LR_FACTOR": (0, inf),
    "SOLVER.MOMENTUM": (0, 1),
    "SOLVER.MARGIN": (0, inf),
    "SOLVER.WEIGHT_DECAY": (0, inf),
    "SOLVER.WEIGHT_DECAY_BIAS": (0, inf),
    "SOLVER.GAMMA": (0, inf),
    "SOLVER.STEPS": (1, inf),
    "SOLVER.WARMUP_FACTOR": (0, inf),
    "SOLVER.WARMUP_ITERS": (0, inf),
    "SOLVER.CHECKPOINT_PERIOD": (1, inf),
    "SOLVER.LOG_PERIOD": (1, inf),
    "SOLVER.EVAL_PERIOD": (1, inf),
    "SOLVER.IMS_PER_BATCH": (1, inf),
    "SOLVER.SEED": (0, 2**32 - 1),
    "TEST.IMS_PER_BATCH": (1, inf),
}
# Sequences that may be of any length; every other one has its default's.
ANY_LENGTH: frozenset[str] = frozenset({"DATASETS.NAMES", "SOLVER.STEPS"})
