"""Reader of MSMT17 (Wei et al., "Person Transfer GAN to Bridge Domain Gap", CVPR 2018), versions 1 and 2.

    list_train.txt list_val.txt list_query.txt list_gallery.txt     lines "0000/0000_000_01_0303morning_0015_0.jpg 0"
    train/ test/                                                    version 1; mask_train_v2/ mask_test_v2/ in 2

A line holds a file and its identity; the third part of the file's name is the camera. As reid-strong-baseline and
fast-reid do, the images of list_val.txt are not trained on.
"""

from __future__ import annotations

from pathlib import Path

from data.datasets.base import ALL, DatasetError, ReIDDataset, Sample, WantedSplits, relabel
from data.datasets.listing import whole_number

_FOLDERS = {"MSMT17_V1": ("train", "test"), "MSMT17_V2": ("mask_train_v2", "mask_test_v2")}
_EXPECTED = "list_train.txt, list_query.txt, list_gallery.txt and {} in {}; say where with DATASETS.ROOT_DIR"


def read_msmt17(name: str, folder: Path, wanted: WantedSplits = ALL) -> ReIDDataset:
    """Reads either version from `folder`; the names of its image folders tell the version.

    Raises:
        DatasetError: missing folders or lists, lines of another form, or an empty list.
    """
    there = [
        pair for pair in _FOLDERS.values()
        if all((folder / part).is_dir() for part, read in zip(pair, (wanted.train, wanted.test), strict=True) if read)
    ]  # fmt: skip
    if not there:
        pairs = " or ".join(f"{train}/ and {test}/" for train, test in _FOLDERS.values())
        raise DatasetError(f"data set {name!r}: no images in {folder}; expected {_EXPECTED.format(pairs, folder)}")
    train, test = (folder / part for part in there[0])
    return ReIDDataset(
        name=name,
        train=relabel(_read_list(name, folder / "list_train.txt", train)) if wanted.train else (),
        query=_read_list(name, folder / "list_query.txt", test) if wanted.test else (),
        gallery=_read_list(name, folder / "list_gallery.txt", test) if wanted.test else (),
    )


def _read_list(name: str, file: Path, images: Path) -> tuple[Sample, ...]:
    """Reads the samples of one list_*.txt; `images` is the folder its paths are relative to."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no text"
        expected = _EXPECTED.format("the images", file.parent)
        raise DatasetError(f"data set {name!r}: cannot read {file} ({reason}); expected {expected}") from None
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
