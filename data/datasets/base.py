"""What every data-set reader returns, and the one error every mistake in the data becomes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple


class DatasetError(ValueError):
    """A data set, an image or a data setting is not what it should be; the text is one line for the user."""


class Sample(NamedTuple):
    """One image: where it lies, whose it is, which camera took it.

    `pid` is 0..K-1 in a training split and the data set's own number elsewhere; `camid` counts from zero.
    """

    path: str
    pid: int
    camid: int


@dataclass(frozen=True)
class WantedSplits:
    """What of a data set is read: the training split, and query and gallery. What nobody uses need not be there."""

    train: bool = True
    test: bool = True


ALL = WantedSplits()


@dataclass(frozen=True)
class ReIDDataset:
    """A re-identification data set; evaluation ranks `gallery` for every image of `query`. Splits not read are empty.

    `gallery_tracks` has the number of each gallery image's track; empty where a set does not say or nobody asks.
    `tested` is the name of the set that query and gallery are of, where `name` is that of several joined ones.
    """

    name: str
    train: tuple[Sample, ...]
    query: tuple[Sample, ...]
    gallery: tuple[Sample, ...]
    gallery_tracks: tuple[int, ...] = ()
    tested: str = ""

    @property
    def num_train_pids(self) -> int:
        """Number of training identities, which is the size of the classifier."""
        return len({sample.pid for sample in self.train})

    @property
    def num_cameras(self) -> int:
        """One more than the highest camera id of the splits that were read."""
        return 1 + max(sample.camid for split in (self.train, self.query, self.gallery) for sample in split)


def relabel(samples: Iterable[Sample]) -> tuple[Sample, ...]:
    """The samples with identities renumbered 0..K-1 in the order of their own numbers."""
    samples = tuple(samples)
    labels = {pid: label for label, pid in enumerate(sorted({sample.pid for sample in samples}))}
    return tuple(sample._replace(pid=labels[sample.pid]) for sample in samples)


def joined(sets: Sequence[ReIDDataset], *, test: ReIDDataset) -> ReIDDataset:
    """One set that trains on all of `sets`, whose identities and cameras stay apart, and is tested on `test`."""
    train: list[Sample] = []
    pids = cameras = 0
    for dataset in sets:
        train += [Sample(s.path, s.pid + pids, s.camid + cameras) for s in dataset.train]
        pids += dataset.num_train_pids
        cameras += dataset.num_cameras
    names = "+".join(dataset.name for dataset in sets)
    name = names if test.name in (dataset.name for dataset in sets) else f"{names}, tested on {test.name}"
    return replace(test, name=name, train=tuple(train), tested=test.name)
