"""Made-up folders of published data sets, and readers by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from yacs.config import CfgNode

from configs.defaults import _C
from data.datasets.base import ALL, DatasetRequest, ReIDDataset, WantedSplits
from data.layouts import LAYOUTS, split_name

Read = Callable[..., ReIDDataset]
Put = Callable[[str, Sequence[str]], None]


@pytest.fixture
def put(tmp_path: Path) -> Put:
    """Makes empty files below a folder of tmp_path: readers look at names only."""

    def make(folder: str, names: Sequence[str]) -> None:
        for name in names:
            file = tmp_path / folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(b"")

    return make


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Reads the data set of a name below tmp_path; `split` is DATASETS.SPLIT."""

    def of(name: str, wanted: WantedSplits = ALL, split: int = 0) -> ReIDDataset:
        settings: CfgNode = _C.DATASETS.clone()
        settings.SPLIT = split
        layout, folder = split_name(name)
        dataset: ReIDDataset = LAYOUTS.builder(layout)(DatasetRequest(name, tmp_path, folder, wanted, settings))
        for sample in (*dataset.train, *dataset.query, *dataset.gallery):
            assert Path(sample.path).is_file()
        return dataset

    return of
