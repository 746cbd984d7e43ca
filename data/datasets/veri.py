"""Reader of VeRi-776 (Liu et al., "PROVID: Progressive and Multimodal Vehicle Reidentification", TMM 2018).

image_train/0001_c001_00016450_0.jpg   image_query/   image_test/   vehicle 1 seen by camera 1
test_track.txt                         a line for each track: the names of its images in image_test/, with blanks
keypoint_train.txt   keypoint_test.txt a line for each image: its path, places of key points, and last its view, 0 to 7

The views are those of Wang et al. ("Orientation Invariant Feature Embedding and Spatial Temporal Regularization for Vehicle
Re-identification", ICCV 2017; Zhongdao/VehicleReIDKeyPointData), which TransReID learns embeddings of.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from data.datasets.base import DatasetError, DatasetRequest, ReIDDataset, Sample
from data.datasets.market1501 import read_same_layout

SPLITS = ("image_train", "image_query", "image_test")
_USUAL = ("veri", "VeRi", "VeRi-776", "veri776")
_TRACKS = "test_track.txt"
_VIEWS = ("keypoint_train.txt", "keypoint_test.txt")
_MOST_VIEW = 7


def read(request: DatasetRequest) -> ReIDDataset:
    """Reads VeRi-776; raises DatasetError as `read_market1501`, `add_views` and `add_tracks` do."""
    dataset = add_views(read_same_layout(request, _USUAL, SPLITS))
    return add_tracks(dataset) if request.wanted.tracks else dataset


def add_views(dataset: ReIDDataset) -> ReIDDataset:
    """Adds the views of keypoint_train.txt and keypoint_test.txt; an image that neither names, or without them, has none (-1).

    Raises:
        DatasetError: a file cannot be read, or a line does not end with a view.
    """
    folder = Path((dataset.train or dataset.query)[0].path).parents[1]
    views: dict[str, int] = {}
    for name in _VIEWS:
        file = folder / name
        if not file.is_file():
            continue
        try:
            lines = file.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        except OSError as error:
            raise DatasetError(f"data set {dataset.name!r}: cannot read {file} ({error.strerror})") from None
        for number, line in enumerate(lines, start=1):
            path, _, view = line.strip().rpartition(" ")
            if not (view.isascii() and view.isdigit() and int(view) <= _MOST_VIEW and path):
                raise DatasetError(
                    f"data set {dataset.name!r}: {file}:{number}: does not end with a view, 0 to {_MOST_VIEW}"
                )
            views.setdefault(path.split(" ")[0].rpartition("/")[2], int(view))

    def with_views(samples: tuple[Sample, ...]) -> tuple[Sample, ...]:
        return tuple(sample._replace(view=views.get(Path(sample.path).name, -1)) for sample in samples)

    train, query, gallery = map(with_views, (dataset.train, dataset.query, dataset.gallery))
    return replace(dataset, train=train, query=query, gallery=gallery)


def add_tracks(dataset: ReIDDataset) -> ReIDDataset:
    """Adds the tracks of test_track.txt, where that file exists; only the protocol image_to_track needs them.

    Raises:
        DatasetError: the file cannot be read, or does not fit the gallery's images.
    """
    name, file = dataset.name, Path(dataset.gallery[0].path).parents[1] / _TRACKS
    if not file.is_file():
        return dataset
    try:
        lines = file.read_text(encoding="utf-8", errors="surrogateescape").split("\n")
    except OSError as error:
        raise DatasetError(f"data set {name!r}: cannot read {file} ({error.strerror})") from None
    track_of = {image: number for number, line in enumerate(lines, start=1) for image in line.split()}
    seen: dict[int, tuple[int, int]] = {}
    for sample in dataset.gallery:
        image = Path(sample.path).name
        if image not in track_of:
            raise DatasetError(f"data set {name!r}: {file} does not name {image}, which is in {SPLITS[2]}/")
        number, owner = track_of[image], (sample.pid, sample.camid)
        if seen.setdefault(number, owner) != owner:
            raise DatasetError(f"data set {name!r}: {file}:{number}: has images of more than one vehicle or camera")
    return replace(dataset, gallery_tracks=tuple(track_of[Path(sample.path).name] for sample in dataset.gallery))
