"""Short runs of the recipes in configs/*/*.yml on a few drawn pedestrians: which files, and with which settings."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

from configs.defaults import _C
from data.synthetic.dataset import SyntheticSpec, write_synthetic
from engine.config import flatten, load_config

ROOT = Path(__file__).parents[2]
FILES = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "configs").glob("*/*.yml"))
SMALL = SyntheticSpec(train_ids=4, test_ids=3, cameras=3, cameras_per_id=2, shots=2, distractors=2, junk=1)

# What makes a run short; the rest is the recipe's own. Keys of recipes that are not here yet are left out.
SHORT: dict[str, Any] = {
    "MODEL.PRETRAIN_CHOICE": "none",
    "MODEL.PRETRAIN_PATH": "''",
    "MODEL.DEVICE": "cpu",
    "MODEL.SIE_VIEW": False,  # drawn pedestrians have no known views
    "INPUT.SIZE_TRAIN": [96, 48],
    "INPUT.SIZE_TEST": [96, 48],
    "DATASETS.NAMES": "market1501:drawn",
    "DATASETS.TEST_NAMES": "''",
    "DATASETS.COMBINEALL": "no",
    "DATALOADER.NUM_WORKERS": 0,
    "DATALOADER.NUM_INSTANCE": 2,
    "SOLVER.MAX_EPOCHS": 2,
    "SOLVER.IMS_PER_BATCH": 8,
    "SOLVER.LOG_PERIOD": 1,
    "SOLVER.EVAL_PERIOD": 2,
    "SOLVER.CHECKPOINT_PERIOD": 2,
    "SOLVER.STAGE1.MAX_EPOCHS": 2,
    "SOLVER.STAGE1.IMS_PER_BATCH": 16,  # one batch an epoch, so that its lines are not those of the second stage
    "TEST.IMS_PER_BATCH": 8,
    "TEST.PROTOCOL": "cross_camera",
}
AT_MOST = {"SOLVER.FREEZE_EPOCHS": 1, "SOLVER.FREEZE_ITERS": 1, "SOLVER.ACCUMULATE": 2}

_SIZES = re.compile(r"(?<=resnet)\d+|(?<=resnest)\d+|_x\d_\d+|tiny|small|base")  # in MODEL.NAME
_KIND = ("MODEL.HEAD", "MODEL.ID_LOSS_TYPE", "MODEL.METRIC_LOSS_TYPE", "MODEL.SIE_CAMERA", "DATALOADER.SAMPLER")


@cache
def settings_of(file: str) -> dict[str, Any]:
    """Settings of a recipe by dotted key."""
    return flatten(load_config(str(ROOT / file), for_training=False))


def kind(file: str) -> tuple[object, ...]:
    """Names what a file's network and losses are made of: the same for files that differ in set, schedule and size."""
    own = settings_of(file)
    network = _SIZES.sub("", own["MODEL.NAME"]).replace("deit", "vit")  # which differ in their weights
    return Path(file).parent.name, network, any(own["MODEL.NON_LOCAL"]), *(own[key] for key in _KIND)


def size(file: str) -> tuple[object, ...]:
    """Orders files of a kind by the size of their network, Market-1501 first."""
    words = {"tiny": 0, "small": 1, "base": 2}
    parts = _SIZES.findall(settings_of(file)["MODEL.NAME"])
    numbers = [float(words.get(part, part.removeprefix("_x").replace("_", "."))) for part in parts]
    return numbers, "market1501" not in file, file


def one_of_each_kind() -> list[str]:
    """Lists a file of each kind, that of the smallest network."""
    chosen: dict[tuple[object, ...], str] = {}
    for file in sorted(FILES, key=size):
        chosen.setdefault(kind(file), file)
    return sorted(chosen.values())


def other_networks() -> list[str]:
    """Lists a file for each further combination of the settings of MODEL, beside weights."""
    chosen: dict[str, str] = {}
    for file in [*one_of_each_kind(), *FILES]:
        model = {key: value for key, value in settings_of(file).items() if re.match(r"MODEL\.(?!PRETRAIN_)", key)}
        chosen.setdefault(repr(sorted(model.items())), file)
    return sorted({*chosen.values()} - {*one_of_each_kind()})


def words(file: str, root: Path, **more: Any) -> list[str]:
    """Returns the KEY VALUE words that make a run of the recipe short, with images below `root`."""
    own, known = settings_of(file), flatten(_C)
    values = {key: value for key, value in SHORT.items() if key in known}
    values |= {key: min(most, own[key]) for key, most in AT_MOST.items() if key in known}
    values |= {"DATASETS.ROOT_DIR": root, **more}
    return [str(word) for pair in values.items() for word in pair]


def write_images(folder: Path) -> Path:
    """Draws four identities to train on and three to test with, in Market-1501's layout; returns the folder above."""
    write_synthetic(folder / "drawn", SMALL)
    return folder
