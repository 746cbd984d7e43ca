"""Files of TransReID, in its own keys."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.config import load_config
from utils.errors import ConfigError

# The shape of configs/OCC_Duke/vit_transreid_stride.yml of damo-cv/TransReID, with every key that needs translating.
THEIRS = """\
MODEL:
  PRETRAIN_CHOICE: 'none'
  METRIC_LOSS_TYPE: 'triplet'
  IF_LABELSMOOTH: 'off'
  NAME: 'transformer'
  NO_MARGIN: True
  DEVICE_ID: ('6')
  DIST_TRAIN: False
  TRANSFORMER_TYPE: 'vit_base_patch16_224_TransReID'
  STRIDE_SIZE: [11, 11]
  SIE_CAMERA: True
  SIE_COE: 3.0
  JPM: True
  RE_ARRANGE: True
DATASETS:
  NAMES: ('occ_duke')
  ROOT_DIR: ('../../data')
SOLVER:
  OPTIMIZER_NAME: 'SGD'
  WARMUP_EPOCHS: 5
  LARGE_FC_LR: False
  BIAS_LR_FACTOR: 2
TEST:
  EVAL: True
  RE_RANKING: False
  NECK_FEAT: 'before'
"""


def test_a_file_is_read_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "theirs.yml").write_text(THEIRS)
    notes: list[str] = []
    cfg = load_config(str(tmp_path / "theirs.yml"), note=notes.append)
    model = cfg.MODEL
    assert (model.NAME, model.HEAD, model.STRIDE_SIZE, model.SIE_CAMERA) == ("vit_base", "jpm", (11, 11), True)
    assert model.BRANCH_WEIGHTS == (0.5, 0.125, 0.125, 0.125, 0.125)
    assert (cfg.DATASETS.NAMES, cfg.SOLVER.WARMUP_ITERS, cfg.TEST.RE_RANKING) == (("occluded_duke",), 5, "no")
    [ignored, read] = notes
    assert ignored.startswith("ignored, since nothing here reads them: MODEL.DEVICE_ID;")
    assert "MODEL.TRANSFORMER_TYPE vit_base_patch16_224_TransReID as MODEL.NAME vit_base; MODEL.JPM True as" in read
    base = read.removesuffix(" adds them").rpartition("_BASE_: ")[2]
    (tmp_path / "based.yml").write_text(f"_BASE_: {base}\n{THEIRS}")
    load_config(str(tmp_path / "based.yml"), note=notes.append)
    assert "adds them" not in notes[-1]


def test_with_the_recipe_as_base_nothing_is_missing(tmp_path: Path) -> None:
    base = Path("configs/vit/market1501_vit_base.yml").resolve()
    (tmp_path / "theirs.yml").write_text(f"_BASE_: {base}\n{THEIRS}")
    notes: list[str] = []
    words = ["MODEL.JPM", "False", "MODEL.TRANSFORMER_TYPE", "deit_small_patch16_224_TransReID"]
    cfg = load_config(str(tmp_path / "theirs.yml"), words, note=notes.append)
    assert (cfg.SOLVER.SCHEDULE, cfg.MODEL.NAME, cfg.MODEL.HEAD) == ("cosine_whole", "deit_small", "baseline")
    assert cfg.MODEL.BRANCH_WEIGHTS == (1.0,)
    assert "adds them" not in notes[-1]
    recipe = load_config("configs/transreid/occluded_duke_vit_base.yml", for_training=False)
    theirs = load_config(str(tmp_path / "theirs.yml"))
    recipe.defrost()
    recipe.DATASETS.ROOT_DIR, recipe.OUTPUT_DIR = theirs.DATASETS.ROOT_DIR, theirs.OUTPUT_DIR
    recipe.MODEL.PRETRAIN_CHOICE = "none"
    assert recipe == theirs


@pytest.mark.parametrize(("words", "told"), [([], True), (["DATASETS.COMBINEALL", "val"], False)])
def test_training_on_msmt17_without_its_val_list_is_told(tmp_path: Path, words: list[str], told: bool) -> None:
    (tmp_path / "theirs.yml").write_text(THEIRS.replace("occ_duke", "msmt17"))
    notes: list[str] = []
    load_config(str(tmp_path / "theirs.yml"), words, note=notes.append)
    assert notes[-1].endswith("DATASETS.COMBINEALL val adds them") is told


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("LARGE_FC_LR: False", "LARGE_FC_LR: True", "TransReID's SOLVER.LARGE_FC_LR: True is not offered, only False"),
        ("  JPM: True", "  DROP_OUT: 0.1", "TransReID's MODEL.DROP_OUT: 0.1 is not offered, only 0"),
        ("  JPM: True", "  JPM: 3", "TransReID's MODEL.JPM: 3 is not offered, only True or False"),
        (
            "vit_base_patch16_224_TransReID",
            "vit_base_patch16_224",
            "TransReID's MODEL.TRANSFORMER_TYPE: vit_base_patch16_224 is not offered, only vit_base_patch16_224_TransReID or",
        ),
        ("  TRANSFORMER_TYPE: 'vit_base_patch16_224_TransReID'\n", "", "MODEL.NAME: 'transformer' is not allowed"),
    ],
)
def test_what_is_not_offered_is_told(tmp_path: Path, old: str, new: str, told: str) -> None:
    (tmp_path / "theirs.yml").write_text(THEIRS.replace(old, new))
    with pytest.raises(ConfigError) as found:
        load_config(str(tmp_path / "theirs.yml"))
    [line] = [line for line in str(found.value).splitlines() if told in line]
    assert line.startswith(f"{tmp_path / 'theirs.yml'}: ")
