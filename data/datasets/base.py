"""Data structures that every data-set reader returns, and the error for all mistakes in the data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple


class DatasetError(ValueError):
    """Mistake in a data set, an image or a data setting; the text is one line for the user."""


class Sample(NamedTuple):
    """Image of a data set: its path, identity and camera.

    `pid` is 0..K-1 in a training split and the data set's own number elsewhere; `camid` counts from zero.
    """

    path: str
    pid: int
    camid: int


@dataclass(frozen=True)
class WantedSplits:
    """Splits of a data set to read: training split, query and gallery. Splits that are not read need not exist."""

    train: bool = True
    test: bool = True


ALL = WantedSplits()


@dataclass(frozen=True)
class ReIDDataset:
    """Re-identification data set; evaluation ranks `gallery` for every image of `query`. Splits not read are empty.

    `gallery_tracks` has the number of each gallery image's track; empty where tracks are unknown or not needed.
    `tested` is the name of the set that query and gallery come from, where `name` joins several names.
    """

    name: str
    train: tuple[Sample, ...]
    query: tuple[Sample, ...]
    gallery: tuple[Sample, ...]
    gallery_tracks: tuple[int, ...] = ()
    tested: str = ""

    @property
    def num_train_pids(self) -> int:
        """Counts the training identities, which is the size of the classifier."""
        return len({sample.pid for sample in self.train})

    @property
    def num_cameras(self) -> int:
        """Counts the cameras: one more than the highest camera id of the splits that were read."""
        return 1 + max(sample.camid for split in (self.train, self.query, self.gallery) for sample in split)


def relabel(samples: Iterable[Sample]) -> tuple[Sample, ...]:
    """Renumbers the identities of samples to 0..K-1, in the order of their own numbers."""
    samples = tuple(samples)
    labels = {pid: label for label, pid in enumerate(sorted({sample.pid for sample in samples}))}
    return tuple(sample._replace(pid=labels[sample.pid]) for sample in samples)


def join_datasets(sets: Sequence[ReIDDataset], *, test: ReIDDataset) -> ReIDDataset:
    """Joins data sets for training, keeping their identities and cameras apart; `test` gives query and gallery."""
    train: list[Sample] = []
    pids = cameras = 0
    for dataset in sets:
        train += [Sample(s.path, s.pid + pids, s.camid + cameras) for s in dataset.train]
        pids += dataset.num_train_pids
        cameras += dataset.num_cameras
    names = "+".join(dataset.name for dataset in sets)
    name = names if test.name in (dataset.name for dataset in sets) else f"{names}, tested on {test.name}"
    return replace(test, name=name, train=tuple(train), tested=test.name)
