"""Every setting of the classifier with its default."""

from yacs.config import CfgNode as CN

_C = CN()
_C.OUTPUT_DIR = "output"
_C.SEED = 0

_C.DATASET = CN()
_C.DATASET.TRAIN_IMAGES = 600
_C.DATASET.NOISE = 0.8

_C.TRAIN = CN()
_C.TRAIN.LR = 0.05
_C.TRAIN.MOMENTUM = 0.9
_C.TRAIN.WD = 0.0
_C.TRAIN.BATCH_SIZE_PER_GPU = 32
_C.TRAIN.END_EPOCH = 10
