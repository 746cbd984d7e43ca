"""Table of the data sets: a layout's name to the function that reads it.

A data set is named LAYOUT, and lies in its usual folder, or LAYOUT:FOLDER. LAYOUT may also be FILE.py:NAME, a reader of
the user's. A reader takes a `DatasetRequest` and returns a `ReIDDataset`. Imports no array library.
"""

from __future__ import annotations

from utils.families import Family

LAYOUTS = Family(
    {
        "market1501": "data.datasets.market1501:read",
        "dukemtmc": "data.datasets.dukemtmc:read",
        "msmt17": "data.datasets.msmt17:read",
        "msmt17_v1": "data.datasets.msmt17:read_version_1",
        "msmt17_v2": "data.datasets.msmt17:read_version_2",
        "cuhk03_detected": "data.datasets.cuhk03:read_detected",
        "cuhk03_labeled": "data.datasets.cuhk03:read_labeled",
        "veri": "data.datasets.veri:read",
        "occluded_duke": "data.datasets.occluded_duke:read",
        "folder": "data.datasets.folder:read",
        "synthetic": "data.synthetic.dataset:read",
    }
)


def split_name(name: str) -> tuple[str, str]:
    """Splits a data set's name into LAYOUT and FOLDER, which is empty for the usual folder."""
    layout, _, folder = name.partition(":")
    if layout.endswith(".py"):
        reader, _, folder = folder.partition(":")
        layout = f"{layout}:{reader}"
    return layout, folder
