"""The YACS tree of the toy trainer."""

from yacs.config import CfgNode as CN

_C = CN()
_C.SOLVER = CN()
_C.SOLVER.BASE_LR = 0.001
_C.SOLVER.WEIGHT_DECAY = 0.0005
_C.SOLVER.MAX_EPOCHS = 2
_C.SOLVER.MARGIN = 0.3
_C.SOLVER.IMS_PER_BATCH = 8
_C.SOLVER.SEED = 0
_C.TOY = CN()
_C.TOY.MODE = "train"  # what the trainer does: see train.py
_C.TOY.ITERATIONS = 3  # rows an epoch
_C.TOY.NOISE = 0.0  # standard deviation of mAP over seeds
_C.TOY.CHECKPOINT = 0  # bytes of a checkpoint an epoch; 0: none
_C.TOY.RESUMES = "no"  # whether it keeps its place and resumes: no, itself, told (with --resume, or TOY.FROM)
_C.TOY.FROM = ""  # the state.pth to resume from, for a trainer that is told
_C.TOY.ODD = ""  # what it leaves after the first row, as a,b: names of odd.py
_C.TOY.SECONDS = 0.0  # pause between two rows
_C.OUTPUT_DIR = ""
