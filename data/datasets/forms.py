"""Layouts of data sets: the forms in which one is found on the disk, and the reader of whichever is there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from data.datasets.base import DatasetError, DatasetRequest, ReIDDataset, Sample, WantedSplits, relabel
from data.datasets.listing import ignored_note
from data.datasets.sources import Found, Reading, Source, number_clothes


class Parts(NamedTuple):
    """Images of the splits of a data set; those of splits that are not read are empty."""

    train: Sequence[Found] = ()
    query: Sequence[Found] = ()
    gallery: Sequence[Found] = ()


class Splits(Protocol):
    """Splits of a data set: which images are trained on, are queries, or in the gallery."""

    def sources(self, wanted: WantedSplits) -> list[Source]:
        """Lists the sources that the wanted splits are read from."""

    def read(self, reading: Reading, wanted: WantedSplits) -> Parts:
        """Reads the wanted splits; raises DatasetError where something is missing or named otherwise."""


@dataclass(frozen=True)
class FixedSplits:
    """Splits with a source each; a split without one is empty. `val` may be trained on too (DATASETS.COMBINEALL)."""

    train: Source | None = None
    query: Source | None = None
    gallery: Source | None = None
    val: Source | None = None

    def sources(self, wanted: WantedSplits) -> list[Source]:
        """Lists the sources of the wanted splits."""
        train = [self.train, self.val if wanted.val else None] if wanted.train else []
        return [source for source in (*train, *((self.query, self.gallery) if wanted.test else ())) if source]

    def read(self, reading: Reading, wanted: WantedSplits) -> Parts:
        """Reads the wanted splits; raises DatasetError where something is missing or named otherwise."""
        read = [
            source.read(reading) if source and is_wanted else []
            for source, is_wanted in (
                (self.train, wanted.train), (self.val, wanted.train and wanted.val),
                (self.query, wanted.test), (self.gallery, wanted.test),
            )
        ]  # fmt: skip
        if self.val and wanted.train and not wanted.val:
            left_out = self.val.needs[0]
            reading.note(f"{left_out} is not trained on; DATASETS.COMBINEALL val adds its images")
        return Parts(read[0] + read[1], read[2], read[3])


@dataclass(frozen=True)
class Form:
    """Form of a data set on the disk: its usual folders and its splits.

    `name` is for the log, where a set has several forms; `layout` is the name in DATASETS.NAMES that asks for this one.
    """

    usual: tuple[str, ...]
    splits: Splits
    name: str = ""
    layout: str = ""

    def is_in(self, folder: Path, wanted: WantedSplits) -> bool:
        """Tells whether a folder holds this form, by what marks its sources."""
        return all((folder / source.mark).exists() for source in self.splits.sources(wanted))

    def needs(self, wanted: WantedSplits) -> str:
        """Lists the paths that are read, for errors."""
        *first, last = dict.fromkeys(path for source in self.splits.sources(wanted) for path in source.needs)
        return f"{', '.join(first)} and {last}" if first else last


def form_taken(title: str, form: str, folder: Path) -> str:
    """Writes for the log which form of a data set was read."""
    return f"{title} {form}, from {folder}"


@dataclass(frozen=True)
class Layout:
    """Layout of a data set, whose method `read` is its reader.

    Args:
        title: the data set's name in papers.
        forms: in the order of preference; the first that is there is read.
        protocol: the data set's own, one of TEST.PROTOCOL.
        distractors: identities that stand for nobody in particular.
    """

    title: str
    forms: tuple[Form, ...]
    protocol: str = "cross_camera"
    distractors: frozenset[int] = frozenset()

    def read(self, request: DatasetRequest) -> ReIDDataset:
        """Reads the first form that is found.

        Raises:
            DatasetError: none is there, or files are missing or named otherwise.
        """
        name, wanted = request.name, request.wanted
        if not any(form.splits.sources(wanted) for form in self.forms):
            return self._dataset(name, Parts(), ())
        places = [(form, folder) for form in self.forms for folder in self._folders(form, request)]
        place = next(((form, folder) for form, folder in places if form.is_in(folder, wanted)), None)
        if place is None:
            folder = next((folder for _, folder in places if folder.is_dir()), places[0][1])
            needs = " or ".join(dict.fromkeys(form.needs(wanted) for form in self.forms))
            raise DatasetError(
                f"data set {name!r}: no images in {folder}; expected {needs} in {folder}; say where data sets are with"
                " DATASETS.ROOT_DIR"
            )
        form, folder = place
        expected = f"{form.needs(wanted)} in {folder}"
        reading = Reading(name, folder, expected, request.root, request.settings)
        if form.name:
            others = "".join(self._other(other, elsewhere) for other, elsewhere in places
                             if other.name != form.name and other.is_in(elsewhere, wanted))  # fmt: skip
            reading.note(form_taken(self.title, form.name, folder) + others)
        parts = form.splits.read(reading, wanted)
        return self._dataset(name, parts, (*reading.notes, *ignored_note(name, reading.ignored)))

    def _folders(self, form: Form, request: DatasetRequest) -> Iterator[Path]:
        """Yields the folders that a form is looked for in."""
        return (request.root / folder for folder in ([request.given] if request.given else form.usual))

    def _other(self, other: Form, folder: Path) -> str:
        """Writes for the log another form of the data set that is on the disk beside the one read."""
        return f"; {other.layout} is {other.name}, in {folder}" if other.layout else f"; {other.name} it is in {folder}"

    def _dataset(self, name: str, parts: Parts, notes: tuple[str, ...]) -> ReIDDataset:
        """Makes the data set of its parts."""
        train, query, gallery = (tuple(Sample(one.path, one.pid, one.camid) for one in part) for part in parts)
        tested = [*parts.query, *parts.gallery]
        return ReIDDataset(
            name=name,
            train=relabel(train),
            query=query,
            gallery=gallery,
            distractors=self.distractors,
            notes=notes,
            camera_names={image.camid: image.camera for image in tested},
            same_cameras=all(image.camera for image in tested),
            protocol=self.protocol,
            clothes=number_clothes(tested),
        )
