"""The data sets by name: one reader each, from the folder of all data sets to a ReIDDataset."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from data.datasets.base import ReIDDataset
from data.datasets.market1501 import read_market1501


def _market1501(root: Path) -> ReIDDataset:
    return read_market1501("market1501", root / "market1501")


def _synthetic(root: Path) -> ReIDDataset:
    from data.datasets.synthetic import read_synthetic  # numpy and Pillow, for who draws only

    return read_synthetic(root)


READERS: dict[str, Callable[[Path], ReIDDataset]] = {"market1501": _market1501, "synthetic": _synthetic}
