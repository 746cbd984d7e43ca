"""The trainer's YACS tree."""

from yacs.config import CfgNode as CN

_C = CN()
_C.SOLVER = CN()
_C.SOLVER.BASE_LR = 0.001
_C.SOLVER.WEIGHT_DECAY = 0.0005
_C.SOLVER.MAX_EPOCHS = 3
_C.SOLVER.SEED = 0
_C.OUTPUT_DIR = ""
