from yacs.config import CfgNode as CN

_C = CN()
_C.TRAIN = CN()
_C.TRAIN.LR = 0.1
_C.TRAIN.BATCH_SIZE_PER_GPU = 32
_C.TRAIN.END_EPOCH = 2
_C.OUTPUT_DIR = "output"
