"""Paths of data and weights that do not exist are found by their keys; what a trainer writes, or finds itself, is not told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from yacs_sweep.launch.check.data_paths import configured_keys, missing_paths, path_warnings
from yacs_sweep.records.inputs import take_config


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("DATASETS.ROOT_DIR", "../../data", True),  # TransReID
        ("DATASETS.ROOT_DIR", "there", False),
        ("DATA.DATA_PATH", "imagenet", True),  # Swin
        ("data.root", "reid-data", True),  # torchreid
        ("MODEL.PRETRAIN_PATH", "/home/xxx/jx_vit.pth", True),
        ("MODEL.PRETRAINED", "models/hrnet.pth", True),  # HRNet
        ("MODEL.PRETRAINED", "imagenet", False),
        ("MODEL.WEIGHTS", "detectron2://ImageNetPretrained/MSRA/R-50.pkl", False),
        ("MODEL.WEIGHT", "", False),
        ("data-dir", "nowhere", True),  # an option of argparse
        ("data", "data/cub", True),
        ("data", "coco8.yaml", False),  # Ultralytics
        ("OUTPUT_DIR", "./logs", False),
        ("LOG_DIR", "log", False),
        ("DATALOADER.CACHE_DIR", "nowhere", False),
        ("SOLVER.WEIGHT_DECAY", "1/2", False),
        ("SOLVER.CENTER_LOSS_WEIGHT", 0.0005, False),
        ("TEST.WEIGHT", "../logs/transformer_120.pth", False),  # of another program
        ("DATASETS.NAMES", ["market1501"], False),
        ("DATA.DIRS", ["there", "gone"], True),
        ("DATA.ROOT", "${oc.env:DATA}", False),
    ],
)
def test_keys_and_values(key: str, value: Any, told: bool, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    assert bool(missing_paths({key: value}, tmp_path)) is told


def test_of_defaults_only_folders_of_data_are_told(tmp_path: Path) -> None:
    tree = {"DATASETS.ROOT_DIR": "../data", "AVA.FRAME_DIR": "/mnt/fair/frames", "MODEL.PRETRAIN_PATH": "a/b.pth"}
    assert missing_paths(tree, tmp_path, given=()) == [("DATASETS.ROOT_DIR", "../data")]
    assert len(missing_paths(tree, tmp_path, given=tree)) == 3
    options = {"root": "./birds", "data": "/birds", "data-dir": "birds", "root-cause": "x", "data-aug": "a/b"}
    assert [key for key, _ in missing_paths(options, tmp_path, given=())] == ["root", "data", "data-dir"]
    assert missing_paths(tree, tmp_path, given=(), written=["DATASETS.ROOT_DIR"]) == []


def test_keys_of_a_configuration_and_of_those_it_includes(tmp_path: Path) -> None:
    (tmp_path / "base.yml").write_text("DATASETS: {ROOT_DIR: a, NAMES: x}\n")
    (tmp_path / "own.yml").write_text("_BASE_: base.yml\nDATASETS: {ROOT_DIR: b}\n")
    keys = configured_keys(take_config(str(tmp_path / "own.yml")))
    assert keys == {"DATASETS.ROOT_DIR": "b", "DATASETS.NAMES": "x", "_BASE_": "base.yml"}


def test_a_line_says_key_path_and_folder(tmp_path: Path) -> None:
    lines = path_warnings([("A.ROOT", "x"), ("B.ROOT", "/no/y")], tmp_path)
    assert lines == [f"A.ROOT: there is no x in {tmp_path}", "B.ROOT: there is no /no/y"]
