"""Data structures that every data-set reader takes and returns, and the error for all mistakes in the data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from utils.text import one_line


class DatasetError(ValueError):
    """Mistake in a data set, an image or a data setting; the text is one line for the user, whatever files are named."""

    def __init__(self, text: str) -> None:
        super().__init__(one_line(text))


class Sample(NamedTuple):
    """Image of a data set: its path, identity, camera and view.

    `pid` is 0..K-1 in a training split and the data set's own number elsewhere; `camid` counts from zero. So does `view`,
    the side that is seen, where a data set has such labels; -1 is an image without one.
    """

    path: str
    pid: int
    camid: int
    view: int = 0


@dataclass(frozen=True)
class WantedSplits:
    """Splits of a data set to read: training split, query and gallery. Splits that are not read need not exist.

    `val` adds a validation split to the training split, where a data set has one; `tracks` asks for the gallery's.
    """

    train: bool = True
    test: bool = True
    val: bool = False
    tracks: bool = False


ALL = WantedSplits()


@dataclass(frozen=True)
class DatasetRequest:
    """Data set to read.

    Args:
        name: as in DATASETS.NAMES, for messages.
        root: the folder of all data sets.
        given: FOLDER of a name LAYOUT:FOLDER; empty: the usual folder.
        wanted: the splits to read.
        settings: the section DATASETS of the configuration.
    """

    name: str
    root: Path
    given: str
    wanted: WantedSplits
    settings: Any

    def find_folder(self, usual: Sequence[str], holds: str) -> Path:
        """Finds the data set's folder: the one given, else the first usual one in which `holds` exists.

        Where no usual folder holds it, returns the first of them, so that the reader reports it as incomplete.
        """
        folders = [self.root / name for name in ([self.given] if self.given else usual)]
        return next((folder for folder in folders if (folder / holds).exists()), folders[0])


@dataclass(frozen=True)
class ReIDDataset:
    """Re-identification data set; evaluation ranks `gallery` for every image of `query`. Splits not read are empty.

    `gallery_tracks` has the number of each gallery image's track; empty where tracks are unknown or not needed.
    `tested` is the name of the set that query and gallery come from, where `name` joins several names. `distractors`
    are identities that stand for nobody in particular. `notes` are lines for the log: what was read, and left out.
    `protocol` is the set's own, one of TEST.PROTOCOL. `clothes` has the number of the clothes of each query, then of each
    gallery image; empty where they are unknown.
    `train_sets` has the number of training images of each set, where several are joined. `pid_names` and `camera_names`
    are the set's own names of the identities and cameras of query and gallery, by number, where they differ from the
    identity's number and the camera's counted from 1. `same_cameras` is False where a camera may have another number in
    the training split than in query and gallery.
    """

    name: str
    train: tuple[Sample, ...]
    query: tuple[Sample, ...]
    gallery: tuple[Sample, ...]
    gallery_tracks: tuple[int, ...] = ()
    tested: str = ""
    distractors: frozenset[int] = frozenset()
    notes: tuple[str, ...] = field(default=(), compare=False)
    train_sets: tuple[int, ...] = ()
    pid_names: Mapping[int, str] = field(default_factory=dict, compare=False)
    camera_names: Mapping[int, str] = field(default_factory=dict, compare=False)
    same_cameras: bool = True
    protocol: str = "cross_camera"
    clothes: tuple[int, ...] = ()

    def name_pid(self, pid: int) -> str:
        """Names an identity of query and gallery as the data set does."""
        return self.pid_names.get(pid, str(pid))

    def name_camera(self, camid: int) -> str:
        """Names a camera of query and gallery as the data set does; empty where it knows no cameras."""
        return self.camera_names.get(camid, str(camid + 1))

    @property
    def num_train_pids(self) -> int:
        """Counts the training identities, which is the size of the classifier."""
        return len({sample.pid for sample in self.train})

    @property
    def num_cameras(self) -> int:
        """Counts the cameras: one more than the highest camera id of the splits that were read."""
        return 1 + max(sample.camid for split in (self.train, self.query, self.gallery) for sample in split)

    @property
    def train_origins(self) -> tuple[int, int]:
        """Counts the cameras and the views of the training split: one more than the highest number of each."""
        return 1 + max(sample.camid for sample in self.train), 1 + max(sample.view for sample in self.train)


Reader = Callable[[DatasetRequest], ReIDDataset]


def relabel(samples: Iterable[Sample]) -> tuple[Sample, ...]:
    """Renumbers the identities of samples to 0..K-1, in the order of their own numbers."""
    samples = tuple(samples)
    labels = {pid: label for label, pid in enumerate(sorted({sample.pid for sample in samples}))}
    return tuple(sample._replace(pid=labels[sample.pid]) for sample in samples)


def combine_splits(dataset: ReIDDataset) -> ReIDDataset:
    """Adds queries and gallery to the training split, as identities of their own; distractors are left out.

    Source:
        `combine_all` of torchreid and fast-reid, their COMBINEALL.
    """
    first = dataset.num_train_pids
    tested = [sample for sample in (*dataset.query, *dataset.gallery) if sample.pid not in dataset.distractors]
    added = tuple(sample._replace(pid=sample.pid + first) for sample in relabel(tested))
    note = f"data set {dataset.name!r}: {len(added)} images of queries and gallery are trained on"
    return replace(dataset, train=dataset.train + added, notes=(*dataset.notes, note))


def join_datasets(sets: Sequence[ReIDDataset], *, test: ReIDDataset) -> ReIDDataset:
    """Joins data sets for training, keeping their identities and cameras apart; `test` gives query and gallery."""
    train: list[Sample] = []
    pids = cameras = 0
    for dataset in sets:
        train += [s._replace(pid=s.pid + pids, camid=s.camid + cameras) for s in dataset.train]
        pids += dataset.num_train_pids
        cameras += dataset.num_cameras
    sizes = tuple(len(dataset.train) for dataset in sets)
    names = "+".join(dataset.name for dataset in sets)
    name = names if test.name in (dataset.name for dataset in sets) else f"{names}, tested on {test.name}"
    notes = tuple(dict.fromkeys(note for dataset in (*sets, test) for note in dataset.notes))
    return replace(test, name=name, train=tuple(train), tested=test.name, notes=notes, train_sets=sizes)
