"""Data sets whose splits are random: by torchreid's files, by published ones, and drawn."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from data import DatasetError
from data.datasets.base import Sample, WantedSplits
from data.datasets.random_splits import shuffle
from tests.data.datasets.conftest import Put, Read

Key = tuple[str, int]


def keys(samples: tuple[Sample, ...]) -> list[Key]:
    """Each sample's file and folder, and its camera."""
    return [("/".join(Path(sample.path).parts[-2:]), sample.camid) for sample in samples]


def viper(put: Put) -> None:
    put(
        "viper/VIPeR",
        [f"cam_{camera}/{person:03d}_{angle}.bmp" for person in range(10) for camera, angle in (("a", 0), ("b", 90))],
    )


def test_half_of_vipers_people_are_drawn_and_the_cameras_change_places(put: Put, read: Read) -> None:
    viper(put)
    even, odd, others = (read("viper", split=split) for split in (0, 1, 2))
    assert even.train == odd.train != others.train
    assert len(even.train) == 10 and {sample.pid for sample in even.train} == set(range(5))
    assert (odd.query, odd.gallery) == (even.gallery, even.query)
    assert {sample.camid for sample in even.query} == {0} and {sample.camid for sample in even.gallery} == {1}
    trained = {Path(sample.path).name[:3] for sample in even.train}
    tested = {f"{sample.pid:03d}" for sample in even.query}
    assert [sample.pid for sample in even.query] == [sample.pid for sample in even.gallery]
    assert len(tested) == 5 and not trained & tested
    assert "split 0 (DATASETS.SPLIT) is drawn here: 5 people are trained on" in even.notes[0]
    assert read("viper", split=0) == even
    with pytest.raises(DatasetError, match=r"^data set 'viper': DATASETS.SPLIT: there is no split 20; choose 0 to 19$"):
        read("viper", split=20)
    only = read("viper", WantedSplits(test=False))
    assert (only.train, only.query, only.gallery) == (even.train, (), ())
    assert read("viper", WantedSplits(train=False)).train == ()


def test_a_drawn_split_is_the_same_everywhere() -> None:
    # Python's documented seeding by text, computed with numpy's Mersenne Twister: the text and its SHA-512 as one number, whose
    # words of 32 bits from the lowest on are the key.
    text = b"people/0"
    number = int.from_bytes(text + hashlib.sha512(text).digest(), "big")
    words = [number >> shift & 0xFFFFFFFF for shift in range(0, number.bit_length(), 32)]
    order = np.random.RandomState(words).random_sample(8).argsort().tolist()
    assert shuffle(range(8), "people/0") == order
    assert shuffle(range(8), "people/0") == shuffle([7, 6, 5, 4, 3, 2, 1, 0, 0], "people/0")
    assert sorted(shuffle(range(8), "people/1")) == list(range(8))
    assert len({tuple(shuffle(range(8), f"people/{draw}")) for draw in range(10)}) == 10


def test_vipers_splits_are_torchreids_where_its_file_is_there(put: Put, read: Read, tmp_path: Path) -> None:
    viper(put)
    elsewhere = "/home/somebody/reid/viper/VIPeR"
    train = [[f"{elsewhere}/cam_{camera}/00{person}_{angle}.bmp", label, number]
             for label, person in enumerate((7, 3)) for number, (camera, angle) in enumerate((("a", 0), ("b", 90)))]  # fmt: skip
    file = tmp_path / "viper/splits.json"
    file.write_text(json.dumps([{"train": train, "query": [], "gallery": []}] * 2))
    dataset = read("viper", split=1)
    assert keys(dataset.train) == [
        ("cam_a/003_0.bmp", 0),
        ("cam_a/007_0.bmp", 0),
        ("cam_b/003_90.bmp", 1),
        ("cam_b/007_90.bmp", 1),
    ]
    assert len(dataset.query) == 8 and keys(dataset.query)[0] == ("cam_b/000_90.bmp", 1)
    assert dataset.notes == (f"data set 'viper': split 1 (DATASETS.SPLIT) is from {file}",)
    for text, reason in (
        (
            json.dumps([{"train": [["x/cam_a/099_0.bmp", 0, 0]]}] * 2),
            "names 'x/cam_a/099_0.bmp', which is not among the images",
        ),
        (json.dumps([{"train": train}]), r"cannot read split 1 of .*splits.json \(list index"),
        (json.dumps([{}, {}]), r"cannot read split 1 of .* \(no list 'train'\)"),
        ("[", "cannot read split 1 of "),
    ):
        file.write_text(text)
        with pytest.raises(DatasetError, match=rf"^data set 'viper': [^\n]*{reason}"):
            read("viper", split=1)


def prid(put: Put) -> None:
    put("prid2011/prid_2011/single_shot/cam_a", [f"person_{person:04d}.png" for person in (1, 2, 3, 4, 201)])
    put("prid2011/prid_2011/single_shot/cam_b", [f"person_{person:04d}.png" for person in (1, 2, 3, 4, 201, 749)])


def test_prid2011s_gallery_has_people_whom_only_camera_b_saw(put: Put, read: Read, tmp_path: Path) -> None:
    prid(put)
    drawn = read("prid2011", split=3)
    assert len(drawn.train) == 4 and len(drawn.query) == 2
    assert [sample.pid for sample in drawn.gallery] == [*(sample.pid for sample in drawn.query), 201, 749]
    (tmp_path / "prid2011/splits_single_shot.json").write_text(json.dumps([{"train": [2, 4], "test": [1, 3]}]))
    dataset = read("prid2011")
    assert keys(dataset.train) == [
        (f"cam_{'ab'[camera]}/person_000{person}.png", camera) for camera in (0, 1) for person in (2, 4)
    ]
    assert [(sample.pid, sample.camid) for sample in dataset.query] == [(1, 0), (3, 0)]
    assert [(sample.pid, sample.camid) for sample in dataset.gallery] == [(1, 1), (3, 1), (201, 1), (749, 1)]
    assert dataset.name_camera(1) == "b"


def ilids(put: Put) -> None:
    put(
        "ilids/i-LIDS_Pedestrian/Persons",
        [f"{person:04d}{image:03d}.jpg" for person in range(1, 6) for image in range(1, 5)],
    )


def test_ilids_has_a_query_and_a_gallery_image_of_each_person_that_is_not_trained_on(
    put: Put, read: Read, tmp_path: Path
) -> None:
    ilids(put)
    drawn = read("ilids")
    assert len(drawn.train) == 2 * 4
    assert [sample.pid for sample in drawn.query] == [sample.pid for sample in drawn.gallery]
    assert len(drawn.query) == 3 and not {s.path for s in drawn.query} & {s.path for s in drawn.gallery}
    assert {(q.camid, g.camid) for q, g in zip(drawn.query, drawn.gallery, strict=True)} == {(0, 1)}
    assert {drawn.name_camera(camid) for camid in (0, 1)} == {""}
    assert read("ilids", split=1).query != drawn.query
    split = {"train": ["0002001.jpg", "0002003.jpg"], "query": ["0001004.jpg"], "gallery": ["0001002.jpg"]}
    (tmp_path / "ilids/splits.json").write_text(json.dumps([split]))
    dataset = read("ilids")
    assert keys(dataset.train) == [(f"Persons/000200{image}.jpg", 0) for image in (1, 2, 3, 4)]
    assert (keys(dataset.query), keys(dataset.gallery)) == ([("Persons/0001004.jpg", 0)], [("Persons/0001002.jpg", 1)])


def test_grids_splits_are_the_published_ones(put: Put, read: Read, tmp_path: Path) -> None:
    scipy_io = pytest.importorskip("scipy.io")
    put(
        "grid/underground_reid/probe",
        ["0001_1_25023_3_1_2_3_4.jpeg", "0002_2_25023_3_1_2_3_4.jpeg", "0003_5_2_3_1_2_3_4.jpeg"],
    )
    put(
        "grid/underground_reid/gallery",
        [f"{person}_{camera}_1_1.jpeg" for person, camera in (("0000", 4), ("0001", 6), ("0002", 8), ("0003", 7))],
    )
    with pytest.raises(DatasetError, match=r"^data set 'grid': cannot read [^\n]*features_and_partitions.mat"):
        read("grid")
    # A cell for each split, with a structure whose third field has the people.
    cells = np.empty((1, 2), dtype=object)
    for number, people in enumerate(([2, 3], [1])):
        cells[0, number] = {"first": np.zeros(3), "second": np.zeros(2), "third": np.array([people])}
    scipy_io.savemat(tmp_path / "grid/underground_reid/features_and_partitions.mat", {"trainIdxAll": cells})
    dataset = read("grid")
    assert [(sample.pid, sample.camid) for sample in dataset.train] == [(0, 1), (1, 4), (0, 7), (1, 6)]
    assert [(sample.pid, sample.camid) for sample in dataset.query] == [(1, 0)]
    assert [(sample.pid, sample.camid) for sample in dataset.gallery] == [(0, 3), (1, 5)]
    assert dataset.distractors == {0}
    assert {sample.pid for sample in read("grid", split=1).query} == {2, 3}
    with pytest.raises(DatasetError, match=r"^data set 'grid': cannot read [^\n]*features_and_partitions.mat"):
        read("grid", split=2)
