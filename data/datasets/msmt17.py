"""Reader of MSMT17 (Wei et al., "Person Transfer GAN to Bridge Domain Gap", CVPR 2018), versions 1 and 2.

    list_train.txt list_val.txt list_query.txt list_gallery.txt     lines "0000/0000_000_01_0303morning_0015_0.jpg 0"
    train/ test/                                                    version 1; mask_train_v2/ mask_test_v2/ in 2

A line holds a file and its identity; the third part of the file's name is the camera. As reid-strong-baseline and
fast-reid do, the images of list_val.txt are not trained on unless DATASETS.COMBINEALL says so; TransReID, CLIP-ReID and
SOLIDER-REID train on them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from data.datasets.base import DatasetError, DatasetRequest, ReIDDataset, Sample, WantedSplits, relabel
from data.datasets.listing import whole_number


@dataclass(frozen=True)
class _Version:
    """Version of MSMT17: its number, its usual folders, and the folders of training and test images in them."""

    number: int
    usual: tuple[str, ...]
    train: str
    test: str

    def is_in(self, folder: Path, wanted: WantedSplits) -> bool:
        """Tells whether a folder holds the image folders of this version for the wanted splits."""
        return all(
            (folder / part).is_dir() for part, read in ((self.train, wanted.train), (self.test, wanted.test)) if read
        )


_V1 = _Version(1, ("msmt17/MSMT17_V1", "MSMT17_V1", "MSMT17/MSMT17_V1"), "train", "test")
_V2 = _Version(2, ("msmt17/MSMT17_V2", "MSMT17_V2", "MSMT17/MSMT17_V2"), "mask_train_v2", "mask_test_v2")
_VERSIONS = (_V1, _V2)
_BARE = ("msmt17", "MSMT17")  # either version; TransReID, CLIP-ReID and SOLIDER-REID have version 1 in the latter
_EXPECTED = "list_train.txt, list_query.txt, list_gallery.txt and {} in {}; say where with DATASETS.ROOT_DIR"


def read(request: DatasetRequest) -> ReIDDataset:
    """Reads version 2, or version 1 where version 2 is missing; raises DatasetError as `_read` does."""
    return _read(request, (_V2, _V1))


def read_version_1(request: DatasetRequest) -> ReIDDataset:
    """Reads version 1; raises DatasetError as `_read` does."""
    return _read(request, (_V1,))


def read_version_2(request: DatasetRequest) -> ReIDDataset:
    """Reads version 2, whose faces are blurred; raises DatasetError as `_read` does."""
    return _read(request, (_V2,))


def _read(request: DatasetRequest, versions: Sequence[_Version]) -> ReIDDataset:
    """Reads the first of `versions` that exists.

    Raises:
        DatasetError: missing folders or lists, lines of another form, or an empty list.
    """
    name, wanted = request.name, request.wanted
    usual = (*(folder for version in versions for folder in version.usual), *_BARE)
    folder = request.find_folder(usual, "list_train.txt" if wanted.train else "list_query.txt")
    version = next((version for version in _VERSIONS if version in versions and version.is_in(folder, wanted)), None)
    if version is None:
        pairs = " or ".join(f"{other.train}/ and {other.test}/" for other in _VERSIONS if other in versions)
        raise DatasetError(f"data set {name!r}: no images in {folder}; expected {_EXPECTED.format(pairs, folder)}")
    notes = [f"data set {name!r}: MSMT17 version {version.number}, from {folder}{_others(request, version)}"]
    train: tuple[Sample, ...] = ()
    if wanted.train:
        train = _read_list(name, folder / "list_train.txt", folder / version.train)
        if wanted.val:
            train += _read_list(name, folder / "list_val.txt", folder / version.train)
        else:
            notes.append(f"data set {name!r}: list_val.txt is not trained on; DATASETS.COMBINEALL val adds its images")
    return ReIDDataset(
        name=name,
        train=relabel(train),
        query=_read_list(name, folder / "list_query.txt", folder / version.test) if wanted.test else (),
        gallery=_read_list(name, folder / "list_gallery.txt", folder / version.test) if wanted.test else (),
        notes=tuple(notes),
    )


def _others(request: DatasetRequest, taken: _Version) -> str:
    """Describes the other version, where that is in one of its usual folders too."""
    return "".join(
        f"; msmt17_v{other.number} is version {other.number}, in {request.root / folder}"
        for other in _VERSIONS if other is not taken and not request.given
        for folder in other.usual if other.is_in(request.root / folder, request.wanted)
    )  # fmt: skip


def _read_list(name: str, file: Path, images: Path) -> tuple[Sample, ...]:
    """Reads the samples of one list_*.txt; `images` is the folder its paths are relative to."""
    try:
        lines = file.read_text(encoding="utf-8", errors="surrogateescape").split("\n")
    except OSError as error:
        expected = _EXPECTED.format("the images", file.parent)
        raise DatasetError(f"data set {name!r}: cannot read {file} ({error.strerror}); expected {expected}") from None
    samples = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            image, pid = line.rsplit(maxsplit=1)
            camera = whole_number(Path(image).name.split("_")[2])
            samples.append(Sample(path=str(images / image), pid=whole_number(pid), camid=camera - 1))
        except (ValueError, IndexError):
            raise DatasetError(
                f"data set {name!r}: {file}:{number}: {line!r} is not an image and identity such as "
                "0000/0000_000_01_0303morning_0015_0.jpg 0"
            ) from None
    if not samples or not Path(samples[0].path).is_file():
        what = f"there is no {samples[0].path}, its first image" if samples else "it names no image"
        raise DatasetError(f"data set {name!r}: {file}: {what}")
    return tuple(samples)
