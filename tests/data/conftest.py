"""A small set in the Market-1501 layout and a configuration tree that reads it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from yacs.config import CfgNode

from configs.defaults import _C

NAMES = {
    "bounding_box_train": [f"{pid:04d}_c{camera}s1_{shot:06d}_00.jpg"
                           for pid in (7, 2, 1501, 30) for camera in (1, 2) for shot in (1, 2)],
    "query": ["0005_c1s1_000001_00.jpg", "0006_c2s1_000002_00.jpg"],
    "bounding_box_test": ["-1_c1s1_000003_00.jpg", "0000_c3s1_000004_00.jpg", "0005_c2s1_000005_00.jpg",
                          "0006_c12s1_000006_00.jpg"],
}  # fmt: skip


@pytest.fixture
def market_root(tmp_path: Path) -> Path:
    """A folder of data sets that holds `market1501`: 16 training images of 4 people, 2 queries, 4 boxes."""
    for split, names in NAMES.items():
        folder = tmp_path / "market1501" / split
        folder.mkdir(parents=True)
        for number, name in enumerate(names):
            Image.new("RGB", (16, 32), (number * 13 % 256, 90, 200 - number)).save(folder / name)
    return tmp_path


@pytest.fixture
def make_cfg(market_root: Path) -> Callable[..., CfgNode]:
    """Makes a tree with the keys the data room reads; `make_cfg("SOLVER.SEED", 3)` changes some."""

    def make(*overrides: object) -> CfgNode:
        cfg = _C.clone()
        cfg.merge_from_list(
            [
                "INPUT.SIZE_TRAIN", [32, 16], "INPUT.SIZE_TEST", [32, 16], "INPUT.PADDING", 2,
                "DATASETS.ROOT_DIR", str(market_root),
                "DATALOADER.NUM_WORKERS", 0, "DATALOADER.NUM_INSTANCE", 2,
                "SOLVER.IMS_PER_BATCH", 4, "TEST.IMS_PER_BATCH", 3,
            ]
        )  # fmt: skip
        cfg.merge_from_list(list(overrides))
        return cfg

    return make
