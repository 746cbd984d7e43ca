"""Table of the data sets: a layout's name to the function that reads it.

A data set is named LAYOUT, and lies in its usual folder, or LAYOUT:FOLDER. Imports no array library.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from data.datasets.base import ReIDDataset, WantedSplits
from data.datasets.cuhk03 import read_cuhk03
from data.datasets.folder import FolderLayout, read_folder
from data.datasets.listing import find_folder
from data.datasets.market1501 import QUERY, TRAIN, read_market1501
from data.datasets.msmt17 import read_msmt17
from data.datasets.veri import SPLITS as VERI_SPLITS
from data.datasets.veri import read_veri

# Arguments: the data set's name, the folder of all data sets, FOLDER or "", the settings of the generic layout, and
# which splits are read.
Reader = Callable[[str, Path, str, FolderLayout, WantedSplits], ReIDDataset]


def split_name(name: str) -> tuple[str, str]:
    """Splits a data set's name into LAYOUT and FOLDER, which is empty for the usual folder."""
    layout, _, folder = name.partition(":")
    return layout, folder


def _in_folders(*usual: str) -> Reader:
    """Makes the reader of a Market-1501 layout with its usual folders."""

    def read(name: str, root: Path, given: str, _layout: FolderLayout, wanted: WantedSplits) -> ReIDDataset:
        folder = find_folder(root, given, usual, TRAIN if wanted.train else QUERY)
        return read_market1501(name, folder, wanted=wanted)

    return read


def _msmt17(usual: Sequence[str]) -> Reader:
    """Makes the reader of MSMT17 with its usual folders."""

    def read(name: str, root: Path, given: str, _layout: FolderLayout, wanted: WantedSplits) -> ReIDDataset:
        holds = "list_train.txt" if wanted.train else "list_query.txt"
        return read_msmt17(name, find_folder(root, given, usual, holds), wanted)

    return read


def _cuhk03(kind: str) -> Reader:
    """Makes the reader of CUHK03's detected or labeled boxes."""

    def read(name: str, root: Path, given: str, _layout: FolderLayout, wanted: WantedSplits) -> ReIDDataset:
        return read_cuhk03(name, root, given, kind, wanted)

    return read


def _veri(name: str, root: Path, given: str, _layout: FolderLayout, wanted: WantedSplits) -> ReIDDataset:
    holds = VERI_SPLITS[0] if wanted.train else VERI_SPLITS[1]
    return read_veri(name, find_folder(root, given, ("veri", "VeRi", "VeRi-776", "veri776"), holds), wanted)


def _folder(name: str, root: Path, given: str, layout: FolderLayout, wanted: WantedSplits) -> ReIDDataset:
    return read_folder(name, root / given, layout, wanted)


def _synthetic(_name: str, root: Path, _given: str, _layout: FolderLayout, _wanted: WantedSplits) -> ReIDDataset:
    from data.synthetic.dataset import read_synthetic  # numpy and Pillow, only where a set is drawn

    return read_synthetic(root)


_MSMT17_V1, _MSMT17_V2 = (
    ("msmt17/MSMT17_V1", "MSMT17_V1"),
    ("msmt17/MSMT17_V2", "MSMT17_V2"),
)

LAYOUTS: dict[str, Reader] = {
    "market1501": _in_folders("market1501", "market1501/Market-1501-v15.09.15", "Market-1501-v15.09.15", "Market-1501"),
    "dukemtmc": _in_folders("dukemtmc-reid/DukeMTMC-reID", "DukeMTMC-reID", "dukemtmc-reid", "dukemtmc"),
    "msmt17": _msmt17((*_MSMT17_V2, *_MSMT17_V1, "msmt17")),
    "msmt17_v1": _msmt17(_MSMT17_V1),
    "msmt17_v2": _msmt17(_MSMT17_V2),
    "cuhk03_detected": _cuhk03("detected"),
    "cuhk03_labeled": _cuhk03("labeled"),
    "veri": _veri,
    "occluded_duke": _in_folders("Occluded_Duke", "occluded_duke", "Occluded-DukeMTMC-reID"),
    "folder": _folder,
    "synthetic": _synthetic,
}
