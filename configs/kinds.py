"""Kinds of settings: what each key decides, and so where its value comes from when a run resumes or a network is used.

A key of the tree in `configs/defaults.py` has exactly one kind. A resumed run may have other values of the kinds PLACE, MACHINE,
COURSE, TESTED and EVALUATION, since they do not change the training; of STEP with SOLVER.RESUME_CHANGED. The tools that
use a trained network take NETWORK and EVALUATION from its checkpoint.
"""

from __future__ import annotations

from enum import Enum


class Kind(Enum):
    """Kinds of settings, by what they decide."""

    PLACE = "where files lie, and where a run is recorded"
    MACHINE = "how and on what is computed: results differ by rounding"
    COURSE = "how long a run is, and when it logs, evaluates and writes checkpoints"
    TESTED = "which images are evaluated"
    EVALUATION = "how images are evaluated"
    NETWORK = "what the network computes from an image"
    STEP = "how a step is made; a new value fits every state of a run"
    TRAINING = "anything else that is trained, and how"


# "SECTION.*" is every key of a section that is not named itself.
KEYS: dict[Kind, tuple[str, ...]] = {
    Kind.PLACE: (
        *("OUTPUT_DIR", "MODEL.PRETRAIN_PATH", "DATASETS.ROOT_DIR", "DATALOADER.CACHE_DIR", "TEST.WEIGHT", "WANDB.*"),
    ),
    Kind.MACHINE: (
        *("MODEL.DEVICE", "MODEL.COMPILE", "MODEL.CUDA_GRAPHS", "MODEL.CHANNELS_LAST", "DATALOADER.NUM_WORKERS"),
        *("DATALOADER.CACHE", "SOLVER.DETERMINISTIC", "TEST.IMS_PER_BATCH"),
    ),
    Kind.COURSE: (
        *("SOLVER.MAX_EPOCHS", "SOLVER.CHECKPOINT_PERIOD", "SOLVER.LOG_PERIOD", "SOLVER.EVAL_PERIOD"),
        "SOLVER.KEEP_BEST",
        *("SOLVER.RESUME_CHANGED", "DATASETS.MAX_UNREADABLE"),
    ),
    Kind.TESTED: ("DATASETS.TEST_NAMES", "DATASETS.FOLDER_QUERY", "DATASETS.FOLDER_GALLERY"),
    Kind.EVALUATION: ("INPUT.SIZE_TEST", "TEST.*"),
    Kind.NETWORK: (
        *("MODEL.NAME", "MODEL.LAST_STRIDE", "MODEL.STEM_RELU", "MODEL.HEAD", "MODEL.NECK", "MODEL.POOLING"),
        *("MODEL.PRECISION", "MODEL.OUTPUT_STRIDE", "MODEL.STEM_POOLING", "MODEL.NON_LOCAL"),
        *("MODEL.STRIDE_SIZE", "MODEL.SIE_CAMERA", "MODEL.SIE_VIEW", "MODEL.SEMANTIC_WEIGHT"),
        *("MODEL.SIE_COE", "MODEL.RE_ARRANGE", "MODEL.SHIFT_NUM", "MODEL.SHUFFLE_GROUP", "MODEL.DEVIDE_LENGTH"),
        *("INPUT.PIXEL_MEAN", "INPUT.PIXEL_STD", "INPUT.INTERPOLATION"),
    ),
    Kind.STEP: (
        *("MODEL.IF_LABELSMOOTH", "INPUT.PROB", "INPUT.RE_PROB", "INPUT.PADDING", "DATALOADER.NUM_INSTANCE"),
        *(
            "MODEL.LABEL_SMOOTHING",
            "MODEL.ID_LOSS_WEIGHT",
            "MODEL.TRIPLET_LOSS_WEIGHT",
            "MODEL.NO_MARGIN",
            "MODEL.METRIC_FEAT",
        ),
        "MODEL.I2T_LOSS_WEIGHT",
        *("MODEL.ALSO_LOSS_WEIGHTS", "MODEL.ALSO_LOSS_FACTOR", "MODEL.DROP_PATH"),
        *(
            "INPUT.RE_AREA",
            "INPUT.RE_ASPECT",
            "INPUT.RE_VALUE",
            "INPUT.TRANSFORMS",
            "INPUT.AUTOAUG_PROB",
            "DATALOADER.SET_WEIGHTS",
        ),
        *(f"INPUT.RPT_{name}" for name in ("PROB", "AREA", "ASPECT")),
        *(f"INPUT.CJ_{name}" for name in ("PROB", "BRIGHTNESS", "CONTRAST", "SATURATION", "HUE")),
        *(f"INPUT.AFFINE_{name}" for name in ("PROB", "DEGREES", "TRANSLATE", "SCALE", "SHEAR")),
        *(f"INPUT.AUGMIX_{name}" for name in ("PROB", "SEVERITY", "WIDTH", "DEPTH", "ALPHA")),
        *("SOLVER.BASE_LR", "SOLVER.BIAS_LR_FACTOR", "SOLVER.HEADS_LR_FACTOR", "SOLVER.MOMENTUM"),
        *("SOLVER.MARGIN", "SOLVER.COSINE_MARGIN", "SOLVER.COSINE_SCALE", "SOLVER.CIRCLE_MARGIN"),
        *("SOLVER.CIRCLE_SCALE", "SOLVER.CENTER_LR", "SOLVER.CENTER_LOSS_WEIGHT", "SOLVER.CLIP_NORM"),
        *("SOLVER.IMS_PER_BATCH", "SOLVER.ACCUMULATE"),
        *("SOLVER.WEIGHT_DECAY", "SOLVER.WEIGHT_DECAY_BIAS", "SOLVER.WEIGHT_DECAY_NORM_FACTOR"),
        *("SOLVER.SCHEDULE", "SOLVER.MIN_LR_FACTOR", "SOLVER.GAMMA", "SOLVER.STEPS"),
        *("SOLVER.DELAY_EPOCHS", "SOLVER.LAYER_DECAY", "SOLVER.BETAS"),
        *("SOLVER.WARMUP_FACTOR", "SOLVER.WARMUP_ITERS", "SOLVER.WARMUP_UNIT", "SOLVER.WARMUP_METHOD"),
    ),
    Kind.TRAINING: (
        *("MODEL.PRETRAIN_CHOICE", "MODEL.ID_LOSS_TYPE", "MODEL.METRIC_LOSS_TYPE", "MODEL.IF_WITH_CENTER"),
        *("MODEL.ALSO_LOSSES", "MODEL.BRANCH_WEIGHTS", "MODEL.PROMPT_NOUN"),
        *(f"SOLVER.STAGE1.{name}" for name in ("MAX_EPOCHS", "BASE_LR", "WEIGHT_DECAY", "IMS_PER_BATCH")),
        *(f"SOLVER.STAGE1.{name}" for name in ("WARMUP_EPOCHS", "WARMUP_LR_INIT", "LR_MIN")),
        *("MODEL.SYNC_BN", "INPUT.SIZE_TRAIN", "DATASETS.NAMES", "DATASETS.FOLDER_TRAIN", "DATASETS.FOLDER_PATTERN"),
        *("DATASETS.COMBINEALL", "DATASETS.SPLIT"),
        *("DATALOADER.SAMPLER", "DATALOADER.SAMPLING"),
        *("SOLVER.OPTIMIZER_NAME", "SOLVER.FREEZE_EPOCHS", "SOLVER.FREEZE_ITERS", "SOLVER.EMA_DECAY", "SOLVER.SEED"),
    ),
}
_KIND_OF = {key: kind for kind, keys in KEYS.items() for key in keys}


def kind_of(key: str) -> Kind:
    """Returns the kind of a setting by its dotted key; of one that is not in the table, TRAINING, which is safe."""
    section = f"{key.partition('.')[0]}.*"
    return _KIND_OF.get(key) or _KIND_OF.get(section) or Kind.TRAINING
