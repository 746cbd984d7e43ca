"""Reader of CUHK03 (Li et al., "DeepReID", CVPR 2014) in the new protocol.

The protocol has 767 training and 700 test identities (Zhong et al., "Re-ranking Person Re-identification with
k-reciprocal Encoding", CVPR 2017). Files:

    cuhk03_release/cuhk-03.mat                        the data set as published: HDF5, read with h5py
    cuhk03_new_protocol_config_detected.mat           the protocol as published, read with scipy; …_labeled.mat
    images_detected/1_001_1_01.png                    camera pair, person, view, number; made from cuhk-03.mat

or image folders in the layout of Market-1501: detected/bounding_box_train and so on, and labeled/.
"""

from __future__ import annotations

import os
import shutil
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

from data.datasets.base import DatasetError, DatasetRequest, ReIDDataset, Sample, WantedSplits, relabel
from data.datasets.forms import form_taken
from data.datasets.market1501 import QUERY, TRAIN, read_market1501
from data.datasets.matlab import read_with


def read_detected(request: DatasetRequest) -> ReIDDataset:
    """Reads the images whose boxes were found by a detector; raises DatasetError as `read_cuhk03` does."""
    return read_cuhk03(request, "detected")


def read_labeled(request: DatasetRequest) -> ReIDDataset:
    """Reads the images whose boxes were labelled by hand; raises DatasetError as `read_cuhk03` does."""
    return read_cuhk03(request, "labeled")


def read_cuhk03(request: DatasetRequest, kind: str) -> ReIDDataset:
    """Reads the images of the `kind` detected or labeled.

    Image folders are looked for first, then the published files, whose images are written beside them once.

    Raises:
        DatasetError: missing or damaged files; h5py or scipy is needed and not installed.
    """
    name, root, wanted = request.name, request.root, request.wanted
    first = TRAIN if wanted.train else QUERY
    market = request.find_folder(("cuhk03-np", "cuhk03"), f"{kind}/{first}") / kind
    if (market / first).is_dir():
        return _with_form(read_market1501(name, market, wanted=wanted), "as image folders", market)
    folder = root / (request.given or "cuhk03")
    protocol = folder / f"cuhk03_new_protocol_config_{kind}.mat"
    if not protocol.is_file():
        raise DatasetError(
            f"data set {name!r}: no {protocol}; expected it with cuhk03_release/cuhk-03.mat or images_{kind}/ in "
            f"{folder}, or {kind}/{TRAIN}/, {kind}/query/ and {kind}/bounding_box_test/ there or in "
            f"{root / 'cuhk03-np'}; say where data sets are with DATASETS.ROOT_DIR"
        )
    images = folder / f"images_{kind}"
    if not images.is_dir():
        _extract(name, folder, kind, images)
    return _with_form(_read_protocol(name, protocol, images, wanted), f"by {protocol.name}", folder)


def _with_form(dataset: ReIDDataset, form: str, folder: Path) -> ReIDDataset:
    """Adds the line for the log that says which form of the data set was read."""
    note = f"data set {dataset.name!r}: {form_taken('CUHK03', form, folder)}"
    return replace(dataset, notes=(note, *dataset.notes))


def _read_protocol(name: str, protocol: Path, images: Path, wanted: WantedSplits) -> ReIDDataset:
    """Reads the splits that the new protocol's file lists, of images already extracted."""
    content = read_with(name, "scipy.io", "scipy", lambda io: io.loadmat(protocol), protocol)
    try:
        files = [str(entry[0]) for entry in content["filelist"].flatten()]
        labels = [int(label) for label in content["labels"].flatten()]
        samples = [
            # The third part of a name is the view, which stands for the camera.
            Sample(str(images / file), label, int(file.split("_")[2]) - 1)
            for file, label in zip(files, labels, strict=True)
        ]
        train, query, gallery = (
            tuple(samples[int(number) - 1] for number in content[f"{split}_idx"].flatten()) if read else ()
            for split, read in (("train", wanted.train), ("query", wanted.test), ("gallery", wanted.test))
        )
    except (KeyError, IndexError, ValueError) as error:
        raise DatasetError(f"data set {name!r}: {protocol} is not the new protocol's file ({error!r})") from None
    first = (train or query)[0].path
    if not Path(first).is_file():
        raise DatasetError(f"data set {name!r}: {protocol} names {first}, which is not there")
    return ReIDDataset(name=name, train=relabel(train), query=query, gallery=gallery)


def _extract(name: str, folder: Path, kind: str, images: Path) -> None:
    """Extracts the images of cuhk-03.mat into a folder, in one step; the first of several processes wins."""
    source = next(
        (path for path in (folder / "cuhk03_release/cuhk-03.mat", folder / "cuhk-03.mat") if path.is_file()), None
    )
    if source is None:
        raise DatasetError(f"data set {name!r}: neither {images} nor {folder / 'cuhk03_release/cuhk-03.mat'} is there")
    part = images.with_name(f".{images.name}.{uuid.uuid4().hex}.part")
    try:
        part.mkdir()
        read_with(name, "h5py", "h5py", lambda h5py: _write_images(h5py, source, kind, part), source)
        try:
            os.rename(part, images)
        except OSError:
            if not images.is_dir():
                raise
    except OSError as error:
        raise DatasetError(f"data set {name!r}: cannot write {images} ({error.strerror or error})") from None
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _write_images(h5py: Any, source: Path, kind: str, folder: Path) -> None:
    """Writes the images of a MATLAB file, where cell arrays are HDF5 references and arrays are transposed."""
    from PIL import Image

    with h5py.File(source, "r") as mat:
        for pair, reference in enumerate(mat[kind][0], start=1):
            people = mat[reference][()].T  # [people, 10] references; the first five are of view 1
            for person, cells in enumerate(people, start=1):
                for number, cell in enumerate(cells, start=1):
                    pixels = mat[cell][()].T
                    if pixels.ndim == 3:  # an empty cell is two numbers
                        file = f"{pair:01d}_{person:03d}_{1 if number <= 5 else 2:01d}_{number:02d}.png"
                        Image.fromarray(pixels).save(folder / file)
