"""Keys of the data sets to train and to test on."""

from __future__ import annotations

from math import inf

from yacs.config import CfgNode as CN

DATASETS = CN()
# Data sets to train on, joined: market1501, dukemtmc, msmt17, msmt17_v1, msmt17_v2, cuhk03_detected, cuhk03_labeled,
# occluded_duke, p_dukemtmc, cuhk_sysu, grid, viper, prid2011, ilids, ltcc, prcc, prcc_same_clothes, celeb_reid,
# celeb_reid_light, veri, vehicleid, vehicleid_medium, vehicleid_large, veriwild, veriwild_medium, veriwild_large,
# folder:FOLDER (any folders, see FOLDER_PATTERN) or synthetic (drawn when missing); to test on, occluded_reid, partial_reid
# and partial_reid_occluded too. LAYOUT:FOLDER reads a layout from another folder than its usual one, FILE.py:NAME is a
# reader of your own. Text is one name, or several with commas.
DATASETS.NAMES = ("market1501",)
# Data sets to test on; empty: those of NAMES. Training evaluates on the first, tools/test.py on each.
DATASETS.TEST_NAMES = ("",)
# Folder that holds the data sets' folders.
DATASETS.ROOT_DIR = "./datasets"
# Of folder:FOLDER, the folder with the training images.
DATASETS.FOLDER_TRAIN = "train"
# Of folder:FOLDER, the folder with the queries.
DATASETS.FOLDER_QUERY = "query"
# Of folder:FOLDER, the folder with the gallery.
DATASETS.FOLDER_GALLERY = "gallery"
# Of folder:FOLDER, the regular expression that finds identity (group pid) and camera (group camid, may be missing) in
# an image's path below those folders.
DATASETS.FOLDER_PATTERN = r"(?P<pid>-?\d+)_c(?P<camid>\d+)"
# Further images to train on: no, val (of MSMT17's list_val.txt) or yes (val, and the queries and the gallery of the sets
# to train on, as COMBINEALL of fast-reid and torchreid; other sets are tested on then).
DATASETS.COMBINEALL = "no"
# Of grid, viper, prid2011 and ilids, the number of the random split, from 0; papers average over 10, for viper 20.
DATASETS.SPLIT = 0
# Images that cannot be read and are skipped; one more ends the run.
DATASETS.MAX_UNREADABLE = 10

CHOICES: dict[str, tuple[object, ...]] = {
    "DATASETS.COMBINEALL": ("no", "val", "yes"),
}
BOUNDS: dict[str, tuple[float, float]] = {
    "DATASETS.MAX_UNREADABLE": (0, inf),
    "DATASETS.SPLIT": (0, inf),
}
ANY_LENGTH = frozenset({"DATASETS.NAMES", "DATASETS.TEST_NAMES"})
