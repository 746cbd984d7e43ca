"""Keys of reading and sampling images."""

from __future__ import annotations

from math import inf

from yacs.config import CfgNode as CN

from data.samplers import SAMPLERS
from utils.families import Family

DATALOADER = CN()
# Worker processes that read images; 0 reads them in the training process.
DATALOADER.NUM_WORKERS = 8
# Keep the decoded and resized images in one file that all trials and workers on the machine share. It takes
# 3 x height x width bytes an image (Market-1501 at 256x128: 3.2 GB in all) and is made again when images change.
DATALOADER.CACHE = True
# Folder of that file; empty: .image-cache in DATASETS.ROOT_DIR.
DATALOADER.CACHE_DIR = ""
# Sampling and losses: softmax (shuffled images, identity loss), triplet (P identities x K images, batch-hard
# triplet loss) or softmax_triplet (P x K, both losses).
DATALOADER.SAMPLER = "softmax_triplet"
# What is drawn equally often: images (each once an epoch), identities (however many images they have), sets (each of
# several joined data sets by SET_WEIGHTS), or FILE.py:NAME for your own sampler.
DATALOADER.SAMPLING = "images"
# Weights of the data sets of NAMES in a batch, for SAMPLING sets; one weight: all alike.
DATALOADER.SET_WEIGHTS = (1.0,)
# K: images of each identity in a batch, for the samplers with triplet.
DATALOADER.NUM_INSTANCE = 4

CHOICES: dict[str, tuple[object, ...]] = {
    "DATALOADER.SAMPLER": ("softmax", "triplet", "softmax_triplet"),
    "DATALOADER.SAMPLING": SAMPLERS.names,
}
BOUNDS: dict[str, tuple[float, float]] = {
    "DATALOADER.NUM_WORKERS": (0, inf),
    "DATALOADER.NUM_INSTANCE": (1, inf),
    "DATALOADER.SET_WEIGHTS": (0, inf),
}
ANY_LENGTH: frozenset[str] = frozenset({"DATALOADER.SET_WEIGHTS"})
FAMILIES: dict[str, Family] = {"DATALOADER.SAMPLING": SAMPLERS}
