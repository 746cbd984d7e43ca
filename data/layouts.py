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
        "cuhk_sysu": "data.datasets.persons.cuhk_sysu:read",
        "grid": "data.datasets.persons.grid:read",
        "viper": "data.datasets.persons.viper:read",
        "prid2011": "data.datasets.persons.prid2011:read",
        "ilids": "data.datasets.persons.ilids:read",
        "occluded_reid": "data.datasets.persons.occluded_reid:read",
        "partial_reid": "data.datasets.persons.partial_reid:read",
        "partial_reid_occluded": "data.datasets.persons.partial_reid:read_occluded",
        "p_dukemtmc": "data.datasets.persons.p_dukemtmc:read",
        "ltcc": "data.datasets.persons.ltcc:read",
        "prcc": "data.datasets.persons.prcc:read",
        "prcc_same_clothes": "data.datasets.persons.prcc:read_same_clothes",
        "celeb_reid": "data.datasets.persons.celeb_reid:read",
        "celeb_reid_light": "data.datasets.persons.celeb_reid:read_light",
        "vehicleid": "data.datasets.vehicles.vehicleid:read",
        "vehicleid_medium": "data.datasets.vehicles.vehicleid:read_medium",
        "vehicleid_large": "data.datasets.vehicles.vehicleid:read_large",
        "veriwild": "data.datasets.vehicles.veriwild:read",
        "veriwild_medium": "data.datasets.vehicles.veriwild:read_medium",
        "veriwild_large": "data.datasets.vehicles.veriwild:read_large",
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
