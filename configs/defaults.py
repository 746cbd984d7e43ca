"""Configuration tree of the trainer: every key, its default, its unit and the values it accepts.

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
# Backbone: resnet18, resnet34, resnet50, resnet101, resnet152, resnet50_ibn_a, se_resnet50, se_resnet101,
# se_resnet152, se_resnext50, se_resnext101, senet154, mobilenet_v2, or timm/<name> for any network of timm.
_C.MODEL.NAME = "resnet50"
# Stride of the backbone's last stage: 1 keeps a feature map twice as high and wide as 2 does. Networks of timm keep
# their own.
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
# Pooling of the feature map: avg or gem (generalised mean with a learnt exponent).
_C.MODEL.POOLING = "avg"
# Label smoothing of the identity loss with epsilon 0.1: on or off.
_C.MODEL.IF_LABELSMOOTH = "on"
# Identity loss, of the samplers with softmax: softmax, or a softmax of cosines with a margin: cosface, arcface or
# circle.
_C.MODEL.ID_LOSS_TYPE = "softmax"
# Loss over the pairs of a batch, of the samplers with triplet: triplet (batch-hard) or circle; triplet_center is
# triplet, and center none, beside center loss.
_C.MODEL.METRIC_LOSS_TYPE = "triplet"
# Adds center loss: yes or no.
_C.MODEL.IF_WITH_CENTER = "no"
# Arithmetic of the network: fp32, or mixed precision: bf16 or fp16 (with loss scaling). Weights stay float32.
_C.MODEL.PRECISION = "fp32"
# Store feature maps with channels last, which convolutions are faster with.
_C.MODEL.CHANNELS_LAST = True
# Compile the network with torch.compile: minutes at the start for faster steps.
_C.MODEL.COMPILE = False
# Under torchrun, take the statistics of batch normalisation over all processes, which makes results independent of
# their number; False takes each process's own.
_C.MODEL.SYNC_BN = True

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
# Data sets to train on, joined: market1501, dukemtmc, msmt17, msmt17_v1, msmt17_v2, cuhk03_detected, cuhk03_labeled,
# veri, occluded_duke, folder:FOLDER (any folders, see FOLDER_PATTERN) or synthetic (drawn when missing).
# LAYOUT:FOLDER reads a layout from another folder than its usual one. Text is one name, or several with commas.
_C.DATASETS.NAMES = ("market1501",)
# Data sets to test on; empty: those of NAMES. Training evaluates on the first, tools/test.py on each.
_C.DATASETS.TEST_NAMES = ("",)
# Folder that holds the data sets' folders.
_C.DATASETS.ROOT_DIR = "./datasets"
# Of folder:FOLDER, the folder with the training images.
_C.DATASETS.FOLDER_TRAIN = "train"
# Of folder:FOLDER, the folder with the queries.
_C.DATASETS.FOLDER_QUERY = "query"
# Of folder:FOLDER, the folder with the gallery.
_C.DATASETS.FOLDER_GALLERY = "gallery"
# Of folder:FOLDER, the regular expression that finds identity (group pid) and camera (group camid, may be missing) in
# an image's path below those folders.
_C.DATASETS.FOLDER_PATTERN = r"(?P<pid>-?\d+)_c(?P<camid>\d+)"
# Images that cannot be read and are skipped; one more ends the run.
_C.DATASETS.MAX_UNREADABLE = 10

_C.DATALOADER = CN()
# Worker processes that read images; 0 reads them in the training process.
_C.DATALOADER.NUM_WORKERS = 8
# Keep the decoded and resized images in one file that all trials and workers on the machine share. It takes
# 3 x height x width bytes an image (Market-1501 at 256x128: 3.2 GB in all) and is made again when images change.
_C.DATALOADER.CACHE = True
# Folder of that file; empty: .image-cache in DATASETS.ROOT_DIR.
_C.DATALOADER.CACHE_DIR = ""
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
# Factor on the learning rate of the parameters behind the backbone: pooling, neck and classifier.
_C.SOLVER.HEADS_LR_FACTOR = 1.0
# Momentum of SGD.
_C.SOLVER.MOMENTUM = 0.9
# Margin of the triplet loss, in units of feature distance; 0 chooses the soft margin log(1 + exp(.)).
_C.SOLVER.MARGIN = 0.3
# Margin of cosface, arcface (radians) and circle as identity loss.
_C.SOLVER.COSINE_MARGIN = 0.5
# Scale of the cosines in cosface, arcface and circle as identity loss.
_C.SOLVER.COSINE_SCALE = 30.0
# Margin (m) of circle loss over pairs.
_C.SOLVER.CIRCLE_MARGIN = 0.25
# Scale (gamma) of circle loss over pairs.
_C.SOLVER.CIRCLE_SCALE = 128.0
# Learning rate of the centers of center loss, by plain SGD.
_C.SOLVER.CENTER_LR = 0.5
# Weight of center loss.
_C.SOLVER.CENTER_LOSS_WEIGHT = 0.0005
# Weight decay.
_C.SOLVER.WEIGHT_DECAY = 0.0005
# Weight decay of parameters whose name contains "bias".
_C.SOLVER.WEIGHT_DECAY_BIAS = 0.0005
# Factor on the weight decay of the weights of normalisation layers.
_C.SOLVER.WEIGHT_DECAY_NORM_FACTOR = 1.0
# Learning rate after warm-up: multistep (GAMMA at each of STEPS) or cosine (half a cosine, which would reach
# MIN_LR_FACTOR with the epoch after MAX_EPOCHS).
_C.SOLVER.SCHEDULE = "multistep"
# Factor on the learning rate that cosine falls towards.
_C.SOLVER.MIN_LR_FACTOR = 0.0
# Factor on the learning rate at each of STEPS.
_C.SOLVER.GAMMA = 0.1
# Epochs at whose start the learning rate is multiplied by GAMMA, increasing.
_C.SOLVER.STEPS = (40, 70)
# Factor on the learning rate at the start of warm-up.
_C.SOLVER.WARMUP_FACTOR = 0.01
# Length of warm-up in WARMUP_UNIT; 0: no warm-up.
_C.SOLVER.WARMUP_ITERS = 10
# What WARMUP_ITERS counts: epoch (the rate changes as an epoch starts) or iteration.
_C.SOLVER.WARMUP_UNIT = "epoch"
# Warm-up: linear (from WARMUP_FACTOR up to 1) or constant (WARMUP_FACTOR throughout).
_C.SOLVER.WARMUP_METHOD = "linear"
# Epochs between checkpoints; the last epoch always writes one, and so does SIGTERM.
_C.SOLVER.CHECKPOINT_PERIOD = 10
# Iterations between log lines.
_C.SOLVER.LOG_PERIOD = 20
# Epochs between evaluations; the last epoch is always evaluated.
_C.SOLVER.EVAL_PERIOD = 10
# Images in a training batch; under torchrun, of all processes together.
_C.SOLVER.IMS_PER_BATCH = 64
# Batches whose gradients are averaged for a step of the optimizer.
_C.SOLVER.ACCUMULATE = 1
# Largest norm of a step's gradient, all parameters together; a longer one is shortened. 0: no limit.
_C.SOLVER.CLIP_NORM = 0.0
# Epochs at the start in which the backbone is frozen.
_C.SOLVER.FREEZE_EPOCHS = 0
# Decay of the exponential moving average of the weights, which is what is evaluated then, as in 0.9995; 0: none.
_C.SOLVER.EMA_DECAY = 0.0
# Resume also where settings of the optimizer, the schedule, losses or augmentation differ from those of the checkpoint: the
# new ones count from there on, and momenta and counters are kept. False refuses to resume with other settings.
_C.SOLVER.RESUME_CHANGED = False
# Use only algorithms that give the same bits every time, slower on GPUs.
_C.SOLVER.DETERMINISTIC = False
# Seed of weights, sampling and augmentation.
_C.SOLVER.SEED = 0

_C.TEST = CN()
# Images in an evaluation batch.
_C.TEST.IMS_PER_BATCH = 128
# Features that are compared: after the neck or before it.
_C.TEST.NECK_FEAT = "after"
# Scale features to unit length before comparing them: yes or no.
_C.TEST.FEAT_NORM = "yes"
# Average the features of an image and of its mirror image.
_C.TEST.FLIP = False
# Which gallery images count: cross_camera (Market-1501's protocol and everybody's), single_gallery_shot (CUHK03's
# old one: CMC with one random image of each gallery identity) or image_to_track (VeRi-776's: CMC over tracks).
_C.TEST.PROTOCOL = "cross_camera"
# Re-rank with k-reciprocal neighbours: yes or no.
_C.TEST.RE_RANKING = "no"
# Of re-ranking: neighbours that must be mutual (k1).
_C.TEST.RE_RANKING_K1 = 20
# Of re-ranking: nearest images whose weights are averaged (k2); 1: none.
_C.TEST.RE_RANKING_K2 = 6
# Of re-ranking: weight of the original distance (lambda).
_C.TEST.RE_RANKING_LAMBDA = 0.3
# Expand each query by its nearest gallery images, this many; 0: do not.
_C.TEST.QUERY_EXPANSION_K = 0
# Power of the cosine similarity that weights them.
_C.TEST.QUERY_EXPANSION_ALPHA = 3.0
# Weights that tools/test.py and tools/extract.py read where their command line names none.
_C.TEST.WEIGHT = ""

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

# The values a key accepts, where its type does not say so.
CHOICES: dict[str, tuple[object, ...]] = {
    "MODEL.NAME": (
        "resnet18",
        "resnet34",
        "resnet50",
        "resnet101",
        "resnet152",
        "resnet50_ibn_a",
        "se_resnet50",
        "se_resnet101",
        "se_resnet152",
        "se_resnext50",
        "se_resnext101",
        "senet154",
        "mobilenet_v2",
    ),
    "MODEL.LAST_STRIDE": (1, 2),
    "MODEL.PRETRAIN_CHOICE": ("imagenet", "self", "none"),
    "MODEL.NECK": ("bnneck", "no"),
    "MODEL.POOLING": ("avg", "gem"),
    "MODEL.IF_LABELSMOOTH": ("on", "off"),
    "MODEL.ID_LOSS_TYPE": ("softmax", "cosface", "arcface", "circle"),
    "MODEL.METRIC_LOSS_TYPE": ("triplet", "circle", "triplet_center", "center"),
    "MODEL.IF_WITH_CENTER": ("yes", "no"),
    "MODEL.PRECISION": ("fp32", "bf16", "fp16"),
    "DATALOADER.SAMPLER": ("softmax", "triplet", "softmax_triplet"),
    "SOLVER.OPTIMIZER_NAME": ("Adam", "AdamW", "SGD"),
    "SOLVER.SCHEDULE": ("multistep", "cosine"),
    "SOLVER.WARMUP_METHOD": ("linear", "constant"),
    "SOLVER.WARMUP_UNIT": ("epoch", "iteration"),
    "TEST.NECK_FEAT": ("after", "before"),
    "TEST.FEAT_NORM": ("yes", "no"),
    "TEST.PROTOCOL": ("cross_camera", "single_gallery_shot", "image_to_track"),
    "TEST.RE_RANKING": ("yes", "no"),
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
    "SOLVER.HEADS_LR_FACTOR": (0, inf),
    "SOLVER.MOMENTUM": (0, 1),
    "SOLVER.MARGIN": (0, inf),
    "SOLVER.COSINE_MARGIN": (0, 1.5),
    "SOLVER.COSINE_SCALE": (1e-6, inf),
    "SOLVER.CIRCLE_MARGIN": (0, 1),
    "SOLVER.CIRCLE_SCALE": (1e-6, inf),
    "SOLVER.CENTER_LR": (0, inf),
    "SOLVER.CENTER_LOSS_WEIGHT": (1e-12, inf),
    "SOLVER.WEIGHT_DECAY": (0, inf),
    "SOLVER.WEIGHT_DECAY_BIAS": (0, inf),
    "SOLVER.WEIGHT_DECAY_NORM_FACTOR": (0, inf),
    "SOLVER.MIN_LR_FACTOR": (0, 1),
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
    "SOLVER.EMA_DECAY": (0, 0.999999),
    "SOLVER.SEED": (0, 2**32 - 1),
    "TEST.IMS_PER_BATCH": (1, inf),
    "TEST.RE_RANKING_K1": (1, inf),
    "TEST.RE_RANKING_K2": (1, inf),
    "TEST.RE_RANKING_LAMBDA": (0, 1),
    "TEST.QUERY_EXPANSION_K": (0, inf),
    "TEST.QUERY_EXPANSION_ALPHA": (0, inf),
    "DATASETS.MAX_UNREADABLE": (0, inf),
}
# Sequences that may be of any length; every other one has its default's.
ANY_LENGTH: frozenset[str] = frozenset({"DATASETS.NAMES", "DATASETS.TEST_NAMES", "SOLVER.STEPS"})
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
