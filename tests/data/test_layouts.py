"""Every layout, from folders made as the data sets' publishers make them."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from yacs.config import CfgNode

import data.datasets.matlab
from configs.defaults import _C
from data import DatasetError, ReIDDataset
from data.build import build_dataset, build_test_datasets, read_image
from data.datasets.base import ALL, DatasetRequest, WantedSplits
from data.datasets.veri import add_tracks
from data.layouts import LAYOUTS, split_name
from data.settings import data_problems


def folders(train: str, query: str, gallery: str, pattern: str) -> CfgNode:
    """The section DATASETS with the settings of folder:FOLDER."""
    settings = _C.DATASETS.clone()
    settings.FOLDER_TRAIN, settings.FOLDER_QUERY, settings.FOLDER_GALLERY = train, query, gallery
    settings.FOLDER_PATTERN = pattern
    return settings


GENERIC = folders("train", "query", "gallery", r"(?P<pid>-?\d+)_c(?P<camid>\d+)")


def draw(root: Path, names: Sequence[str]) -> None:
    for name in names:
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 8)).save(file)


def read(name: str, root: Path, generic: CfgNode = GENERIC, wanted: WantedSplits = ALL) -> ReIDDataset:
    layout, folder = split_name(name)
    dataset: ReIDDataset = LAYOUTS.builder(layout)(DatasetRequest(name, root, folder, wanted, generic))
    return dataset


def ids(samples: Sequence[Any]) -> list[tuple[int, int]]:
    return [(sample.pid, sample.camid) for sample in samples]


def splits(dataset: ReIDDataset) -> tuple[list[tuple[int, int]], ...]:
    for sample in (*dataset.train, *dataset.query, *dataset.gallery):
        assert Path(sample.path).is_file()
    return ids(dataset.train), ids(dataset.query), ids(dataset.gallery)


DUKE = [
    "bounding_box_train/0001_c2_f0046182.jpg", "bounding_box_train/0007_c8_f0046302.jpg",
    "query/0005_c1_f0139253.jpg", "bounding_box_test/0005_c5_f0049000.jpg",
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("dukemtmc", "dukemtmc-reid/DukeMTMC-reID"),
        ("dukemtmc", "DukeMTMC-reID"),
        ("dukemtmc", "dukemtmcreid"),
        ("dukemtmc", "dukemtmcreid/DukeMTMC-reID"),
        ("dukemtmc:mine/duke", "mine/duke"),
        ("occluded_duke", "dukemtmcreid/Occluded_Duke"),
        ("occluded_duke", "Occluded_Duke"),
        ("market1501", "Market-1501-v15.09.15"),
        ("cuhk03_detected", "cuhk03-np/detected"),
        ("cuhk03_labeled:mine", "mine/labeled"),
    ],
)
def test_layouts_like_market1501s(tmp_path: Path, name: str, folder: str) -> None:
    draw(tmp_path / folder, DUKE)
    dataset = read(name, tmp_path)
    assert dataset.name == name
    assert splits(dataset) == ([(0, 1), (1, 7)], [(5, 0)], [(5, 4)])


def test_veri_has_folders_and_camera_numbers_of_its_own(tmp_path: Path) -> None:
    names = ["image_train/0001_c001_00016450_0.jpg", "image_train/0770_c020_00016450_0.jpg",
             "image_query/0002_c002_00030600_0.jpg", "image_test/0002_c010_00030605_0.jpg"]  # fmt: skip
    draw(tmp_path / "VeRi", names)
    dataset = read("veri", tmp_path)
    assert splits(dataset) == ([(0, 0), (1, 19)], [(2, 1)], [(2, 9)])
    assert add_tracks(dataset).gallery_tracks == ()


def test_veri_has_lists_of_views(tmp_path: Path) -> None:
    train = [f"000{pid}_c001_0001645{pid}_0.jpg" for pid in (1, 2, 3)]
    tested = [("image_query", "0004_c002_00030600_0.jpg"), ("image_test", "0004_c010_00030605_0.jpg")]
    draw(tmp_path / "VeRi", [*(f"image_train/{name}" for name in train), *(f"{f}/{name}" for f, name in tested)])
    assert {sample.view for sample in read("veri", tmp_path).train} == {-1}
    assert read("veri", tmp_path).train_origins == (1, 0)
    points = " ".join(["-1"] * 40)
    lists = tmp_path / "VeRi/keypoint_train.txt", tmp_path / "VeRi/keypoint_test.txt"
    lists[0].write_text(f"VeRi/image_train/{train[0]} {points} 0\nVeRi/image_train/{train[2]} {points} 5\n")
    lists[1].write_text("".join(f"VeRi/{folder}/{name} {points} 7\n" for folder, name in tested))
    dataset = read("veri", tmp_path)
    views = [[sample.view for sample in split] for split in (dataset.train, dataset.query, dataset.gallery)]
    assert views == [[0, -1, 5], [7], [7]]
    assert dataset.train_origins == (1, 6)
    for line in (f"VeRi/image_train/{train[0]} 8", "nonsense", f"VeRi/image_train/{train[0]} -1"):
        lists[1].write_text(f"VeRi/image_test/{tested[1][1]} 0\n{line}\n")
        with pytest.raises(DatasetError, match=r"keypoint_test\.txt:2: does not end with a view, 0 to 7$"):
            read("veri", tmp_path)


def test_veri_has_a_list_of_tracks(tmp_path: Path) -> None:
    gallery = [f"0002_c0{camera}_0003060{number}_{number}.jpg" for camera, number in ((10, 1), (10, 2), (11, 3))]
    names = ["image_train/0001_c001_00016450_0.jpg", "image_query/0002_c002_00030600_0.jpg"]
    draw(tmp_path / "VeRi", [*names, *(f"image_test/{name}" for name in gallery)])
    tracks = tmp_path / "VeRi/test_track.txt"
    tracks.write_text(f"{gallery[1]}\n{gallery[2]} \n{gallery[0]} \n")
    dataset = read("veri", tmp_path)
    assert add_tracks(dataset).gallery_tracks == (3, 1, 2)
    tracks.write_text(f"{gallery[0]} {gallery[1]}\n")
    with pytest.raises(DatasetError, match=rf"test_track\.txt does not name {gallery[2]}"):
        add_tracks(dataset)
    tracks.write_text(f"{gallery[0]} {gallery[1]} {gallery[2]}\n")
    with pytest.raises(DatasetError, match=r"test_track\.txt:1: has images of more than one vehicle or camera"):
        add_tracks(dataset)
    # Only who ranks tracks is kept from working by that.
    cfg = _C.clone()
    cfg.DATASETS.NAMES, cfg.DATASETS.ROOT_DIR = ("veri",), str(tmp_path)
    assert build_test_datasets(cfg) == [replace(dataset, train=())]
    cfg.TEST.PROTOCOL = "image_to_track"
    with pytest.raises(DatasetError, match=r"test_track\.txt:1: "):
        build_test_datasets(cfg)


def msmt17(root: Path, folder: str, train: str, test: str) -> Path:
    lists = {
        "train": ["0001/0001_000_01_0303morning_0015_0.jpg 1", "0007/0007_000_15_0303morning_0015_0.jpg 7"],
        "val": ["0001/0001_001_02_0303morning_0015_0.jpg 1"],
        "query": ["0000/0000_000_03_0303noon_0015_0.jpg 0"],
        "gallery": ["0000/0000_001_04_0303noon_0015_1.jpg 0", "", "0009/0009_001_04_0303noon_0015_1.jpg 9"],
    }
    for name, lines in lists.items():
        images = train if name in ("train", "val") else test
        draw(root / folder / images, [line.split()[0] for line in lines if line])
        (root / folder / f"list_{name}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return root / folder


V1, V2 = ("msmt17/MSMT17_V1", "train", "test"), ("msmt17/MSMT17_V2", "mask_train_v2", "mask_test_v2")


BARE = ("MSMT17", "train", "test")


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("msmt17", V1), ("msmt17", V2), ("msmt17_v1", V1), ("msmt17_v2", V2),
        ("msmt17", BARE), ("msmt17_v1", BARE), ("msmt17_v2", ("MSMT17", *V2[1:])), ("msmt17", ("MSMT17/MSMT17_V2", *V2[1:])),
    ],
)  # fmt: skip
def test_msmt17_by_its_lists(tmp_path: Path, name: str, version: tuple[str, str, str]) -> None:
    folder = msmt17(tmp_path, *version)
    dataset = read(name, tmp_path)
    assert splits(dataset) == ([(0, 0), (1, 14)], [(0, 2)], [(0, 3), (9, 3)])
    assert dataset.train[0].path.startswith(str(folder / version[1]))


def test_msmt17_prefers_version_2_and_takes_the_one_asked_for(tmp_path: Path) -> None:
    for version in (V1, V2):
        msmt17(tmp_path, *version)
    assert "MSMT17_V2" in read("msmt17", tmp_path).train[0].path
    assert "MSMT17_V1" in read("msmt17_v1", tmp_path).train[0].path
    assert read("msmt17", tmp_path).notes == (
        f"data set 'msmt17': MSMT17 version 2, from {tmp_path}/msmt17/MSMT17_V2; msmt17_v1 is version 1, in"
        f" {tmp_path}/msmt17/MSMT17_V1",
        "data set 'msmt17': list_val.txt is not trained on; DATASETS.COMBINEALL val adds its images",
    )
    assert read("msmt17_v1", tmp_path).notes[0].startswith("data set 'msmt17_v1': MSMT17 version 1, from ")


def test_a_version_of_msmt17_is_not_taken_for_the_other(tmp_path: Path) -> None:
    msmt17(tmp_path, *V2)
    expected = "list_train.txt, train/, list_query.txt, test/ and list_gallery.txt"
    with pytest.raises(DatasetError, match=rf"^data set 'msmt17_v1': no images in .*; expected {expected} in "):
        read("msmt17_v1", tmp_path)


def test_the_validation_list_joins_msmt17s_training(tmp_path: Path) -> None:
    msmt17(tmp_path, *V1)
    dataset = read("msmt17", tmp_path, wanted=WantedSplits(val=True))
    assert splits(dataset) == ([(0, 0), (1, 14), (0, 1)], [(0, 2)], [(0, 3), (9, 3)])
    assert len(dataset.notes) == 1


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("no images", ["mask_train_v2/, list_query.txt, mask_test_v2/ and", " train/, list_query.txt, test/ and"]),
        ("no list", ["list_query.txt", "; copy it there, or name other sets"]),
        ("bad line", ["list_query.txt:1", "'nothing here'"]),
        ("bad number", ["list_query.txt:1", "0015_0.jpg 1_2'"]),
        ("elsewhere", ["list_query.txt", "there is no", "0303noon"]),
    ],
)
def test_msmt17_laid_out_otherwise_is_one_line(tmp_path: Path, damage: str, words: list[str]) -> None:
    folder = msmt17(tmp_path, *V2)
    if damage == "no images":
        (folder / "mask_train_v2").rename(folder / "training")
    elif damage == "no list":
        (folder / "list_query.txt").unlink()
    elif damage == "bad line":
        (folder / "list_query.txt").write_text("nothing here\n")
    elif damage == "bad number":
        (folder / "list_query.txt").write_text("0000/0000_000_03_0303noon_0015_0.jpg 1_2\n")
    else:
        (folder / "mask_test_v2" / "0000").rename(folder / "mask_test_v2" / "x")
    with pytest.raises(DatasetError) as caught:
        read("msmt17", tmp_path)
    assert all(word in str(caught.value) for word in [str(folder), *words]) and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["dukemtmc", "occluded_duke", "veri", "msmt17", "cuhk03_detected", "folder:mine"])
def test_a_data_set_that_is_not_there_is_one_line_with_its_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(DatasetError) as caught:
        read(name, tmp_path)
    text = str(caught.value)
    assert str(tmp_path) in text and "expected" in text and repr(name) in text and "\n" not in text
    assert "DATASETS." in text


@pytest.mark.parametrize(
    ("name", "train", "test"),
    [
        ("dukemtmc", ["DukeMTMC-reID/bounding_box_train"], ["DukeMTMC-reID/query", "DukeMTMC-reID/bounding_box_test"]),
        ("cuhk03_detected", ["cuhk03-np/detected/bounding_box_train"],
         ["cuhk03-np/detected/query", "cuhk03-np/detected/bounding_box_test"]),
        ("veri", ["VeRi/image_train"], ["VeRi/image_query", "VeRi/image_test"]),
        ("folder:mine", ["mine/train"], ["mine/query", "mine/gallery"]),
        ("msmt17", ["msmt17/MSMT17_V1/train", "msmt17/MSMT17_V1/list_train.txt"],
         [f"msmt17/MSMT17_V1/{part}" for part in ("test", "list_query.txt", "list_gallery.txt")]),
    ],
)  # fmt: skip
def test_splits_that_nobody_uses_need_not_be_there(
    tmp_path: Path, name: str, train: list[str], test: list[str]
) -> None:
    if name == "msmt17":
        msmt17(tmp_path, *V1)
    else:
        for folder, image in zip([*train, *test], ["1_c1.jpg", "2_c1.jpg", "2_c2.jpg"], strict=True):
            draw(tmp_path / folder, [image])
    whole = read(name, tmp_path)
    away = tmp_path / "away"
    for parts, wanted, expected in (
        (train, WantedSplits(train=False), replace(whole, train=())),
        (test, WantedSplits(test=False), replace(whole, query=(), gallery=())),
    ):
        away.mkdir()
        for number, part in enumerate(parts):
            (tmp_path / part).rename(away / str(number))
        assert read(name, tmp_path, wanted=wanted) == expected
        with pytest.raises(DatasetError, match=f"{name!r}: .* DATASETS"):
            read(name, tmp_path)
        for number, part in enumerate(parts):
            (away / str(number)).rename(tmp_path / part)
        away.rmdir()


PATTERN = r"(?P<pid>-?\d+)_c(?P<camid>\d+)"
BY_NAME = r"^(?P<pid>\w+)/(?P<camid>[a-z]+)"


@pytest.mark.parametrize(
    ("pattern", "names", "expected"),
    [
        (
            PATTERN,
            ["train/a/7_c3.png", "train/b/9_c1.jpg", "query/5_c1.png", "gallery/5_c12.bmp", "gallery/-1_c1.jpg"],
            ([(0, 3), (1, 1)], [(5, 1)], [(5, 12)]),
        ),
        (
            BY_NAME,
            ["train/zoe/x1.png", "train/ann/y1.png", "query/eve/n.png", "gallery/bob/n.png", "gallery/eve/s.png"],
            ([(0, 1), (1, 0)], [(1, 0)], [(0, 0), (1, 1)]),
        ),
        (
            r"^(?P<pid>[^/]+)/(?P<camid>[^.]+)",
            [
                "train/1_23/1_2.png",
                "train/12_3/12.png",
                "query/1_23/٣.png",
                "gallery/12_3/3.png",
                "gallery/1_23/+3.png",
            ],
            ([(0, 0), (1, 1)], [(1, 2)], [(0, 1), (1, 0)]),
        ),
        (
            r"^(?P<pid>[^/]+)/c(?P<camid>[^.]+)",
            ["train/123456789012345678901/c1.png", "query/-2/c1.png", "gallery/-2/c2.png", "gallery/7/c2.png"],
            ([(0, 1)], [(0, 1)], [(0, 2), (1, 2)]),
        ),
        (
            r"^(?P<pid>\d+)/",
            ["train/3/a.jpg", "query/4/a.jpg", "gallery/4/b.jpg"],
            ([(0, 0)], [(4, 0)], [(4, 1)]),
        ),
    ],
    ids=["numbers", "words", "no numbers but for Python", "numbers out of range", "no cameras"],
)
def test_any_folders_by_a_pattern(tmp_path: Path, pattern: str, names: list[str], expected: Any) -> None:
    draw(tmp_path / "mine", names)
    generic = folders("train", "query", "gallery", pattern)
    dataset = read("folder:mine", tmp_path, generic)
    assert splits(dataset) == expected
    for sample in (*dataset.query, *dataset.gallery):  # results name both as the paths do
        path = Path(sample.path).relative_to(tmp_path / "mine")
        words = re.search(pattern, "/".join(path.parts[1:])).groupdict()  # type: ignore[union-attr]
        expected_pid = words["pid"].lstrip("0") if words["pid"].isdigit() else words["pid"]
        expected_camera = words.get("camid", "")
        assert dataset.name_pid(sample.pid) == expected_pid
        assert dataset.name_camera(sample.camid) == (expected_camera.lstrip("0") or expected_camera)


def test_any_folders_by_other_names(tmp_path: Path) -> None:
    draw(tmp_path / "mine", ["a/1_c1.png", "b/c/2_c1.png", "d/2_c2.png"])
    dataset = read("folder:mine", tmp_path, folders("a", "b/c", "d", PATTERN))
    assert splits(dataset) == ([(0, 1)], [(2, 1)], [(2, 2)])


def test_a_path_without_the_pattern_is_named(tmp_path: Path) -> None:
    draw(tmp_path / "mine", ["train/1_c1.png", "query/odd.png", "gallery/1_c1.png"])
    with pytest.raises(DatasetError, match=r"FOLDER_PATTERN .* is not in 1 of 1 paths below .*query; .*'odd.png'"):
        read("folder:mine", tmp_path)


def test_linked_folders_and_all_suffixes_are_read_and_the_rest_is_counted(tmp_path: Path) -> None:
    draw(
        tmp_path / "mine",
        ["train/1_c1.png", "train/2_c1.webp", "query/5_c1.tif", "gallery/5_c2.tiff", "gallery/-1_c1.bmp"],
    )
    draw(tmp_path / "store", ["3_c1.jpg", "4_c2.JPG"])
    (tmp_path / "mine/train/more").symlink_to(tmp_path / "store")
    (tmp_path / "mine/train/5_c1.gif").write_bytes(b"")
    (tmp_path / "mine/query/list.txt").write_text("")
    dataset = read("folder:mine", tmp_path)
    assert splits(dataset) == ([(0, 1), (1, 1), (2, 1), (3, 2)], [(5, 1)], [(5, 2)])
    assert dataset.notes == ("data set 'folder:mine': 3 files ignored: .gif 1, .txt 1, junk (-1) 1",)


def test_a_set_for_training_or_testing_only_is_one_line_where_it_is_used_otherwise(tmp_path: Path) -> None:
    draw(tmp_path / "cuhksysu/cropped_images", ["p1_s1_1.jpg"])
    draw(tmp_path / "Occluded_REID", ["occluded_body_images/001/001_01.tif", "whole_body_images/001/001_02.tif"])
    cfg = _C.clone()
    cfg.DATASETS.ROOT_DIR = str(tmp_path)
    cfg.DATASETS.NAMES, cfg.DATASETS.TEST_NAMES = ("cuhk_sysu",), ("occluded_reid",)
    assert [len(part) for part in (build_dataset(cfg).train, build_dataset(cfg).query)] == [1, 1]
    cfg.DATASETS.COMBINEALL = "yes"
    assert len(build_dataset(cfg).train) == 1
    cfg.DATASETS.COMBINEALL, cfg.DATASETS.TEST_NAMES = "no", ("",)
    for build in (build_dataset, build_test_datasets):
        with pytest.raises(
            DatasetError, match=r"^data set 'cuhk_sysu': has no queries and gallery to test on; name another"
        ):
            build(cfg)
    cfg.DATASETS.NAMES = ("occluded_reid",)
    with pytest.raises(
        DatasetError, match=r"^data set 'occluded_reid': has no images to train on; name it in DATASETS.TEST"
    ):
        build_dataset(cfg)


def test_a_reader_of_ones_own_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The example of docs/datasets.md, as a new user would copy it."""
    text = (Path(__file__).parents[2] / "docs" / "datasets.md").read_text(encoding="utf-8")
    code = text.split("```python\n# mine.py\n")[1].split("```")[0]
    assert len(code.splitlines()) <= 20
    (tmp_path / "mine.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    draw(tmp_path / "mine", ["train/anna-2.jpg", "train/bob-1.jpg", "query/eve-1.jpg", "gallery/eve-2.jpg"])
    cfg = _C.clone()
    cfg.DATASETS.NAMES, cfg.DATASETS.ROOT_DIR = ("mine.py:read",), str(tmp_path)
    assert data_problems(cfg) == []
    dataset = build_dataset(cfg)
    assert splits(dataset) == ([(0, 1), (1, 0)], [(2, 0)], [(2, 1)])
    assert (dataset.name_pid(2), dataset.name_camera(1)) == ("eve", "2")
    cfg.DATASETS.NAMES = ("mine.py:raed",)
    assert data_problems(cfg) == ["DATASETS.NAMES: mine.py: defines no raed; did you mean read?"]
    (tmp_path / "broken.py").write_text("read = 1 / 0\n")
    cfg.DATASETS.NAMES = ("broken.py:read",)
    with pytest.raises(
        DatasetError, match=r"^data set 'broken.py:read': broken.py: cannot be imported: ZeroDiv[^\n]*$"
    ):
        build_dataset(cfg)


def test_names_that_are_not_utf8_are_read_from_lists(tmp_path: Path) -> None:
    folder = msmt17(tmp_path, *V1)
    name = os.fsdecode(b"0007/0007_000_15_caf\xe9.jpg")
    (folder / "train/0007/0007_000_15_0303morning_0015_0.jpg").rename(folder / "train" / name)
    file = folder / "list_train.txt"
    file.write_bytes(file.read_bytes().replace(b"0007/0007_000_15_0303morning_0015_0.jpg", os.fsencode(name)))
    assert splits(read("msmt17", tmp_path))[0] == [(0, 0), (1, 14)]


def cuhk03_protocol(root: Path) -> None:
    """The new protocol's file, as scipy writes MATLAB's: cells of text, columns of numbers counted from 1."""
    scipy_io = pytest.importorskip("scipy.io")
    files = ["1_001_1_01.png", "1_001_2_06.png", "1_002_1_01.png", "1_002_2_06.png"]
    cells = np.empty((4, 1), dtype=object)
    cells[:, 0] = files
    content = {
        "filelist": cells, "labels": np.array([[4], [4], [9], [9]]), "train_idx": np.array([[1], [2]]),
        "query_idx": np.array([[4]]), "gallery_idx": np.array([[3]]),
    }  # fmt: skip
    (root / "cuhk03").mkdir(parents=True)
    scipy_io.savemat(root / "cuhk03/cuhk03_new_protocol_config_detected.mat", content)


def test_cuhk03_from_extracted_images(tmp_path: Path) -> None:
    cuhk03_protocol(tmp_path)
    draw(tmp_path / "cuhk03/images_detected", ["1_001_1_01.png", "1_001_2_06.png", "1_002_1_01.png", "1_002_2_06.png"])
    dataset = read("cuhk03_detected", tmp_path)
    assert splits(dataset) == ([(0, 0), (0, 1)], [(9, 1)], [(9, 0)])
    taken = "CUHK03 by cuhk03_new_protocol_config_detected.mat, from"
    assert dataset.notes == (f"data set 'cuhk03_detected': {taken} {tmp_path}/cuhk03",)
    draw(tmp_path / "cuhk03/detected", DUKE)  # which are looked for first
    (note,) = read("cuhk03_detected", tmp_path).notes
    assert note == f"data set 'cuhk03_detected': CUHK03 as image folders, from {tmp_path}/cuhk03/detected"


def test_cuhk03_from_the_published_file(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    cuhk03_protocol(tmp_path)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 10, 9, 5, 3), dtype=np.uint8)
    source = tmp_path / "cuhk03/cuhk03_release/cuhk-03.mat"
    source.parent.mkdir()
    with h5py.File(source, "w") as mat:
        # One camera pair of two people, each with a first image in both views; arrays lie transposed.
        cells = np.empty((10, 2), dtype=h5py.ref_dtype)
        for person in range(2):
            for number in range(10):
                there = number in (0, 5)
                value = pixels[person, number].T if there else np.zeros(2, dtype=np.uint64)
                cells[number, person] = mat.create_dataset(f"image/{person}/{number}", data=value).ref
        pair = mat.create_dataset("pair", data=cells, dtype=h5py.ref_dtype)
        mat.create_dataset("detected", data=np.array([[pair.ref]], dtype=h5py.ref_dtype), dtype=h5py.ref_dtype)
    dataset = read("cuhk03_detected", tmp_path)
    assert splits(dataset) == ([(0, 0), (0, 1)], [(9, 1)], [(9, 0)])
    images = sorted(path.name for path in (tmp_path / "cuhk03/images_detected").iterdir())
    assert images == ["1_001_1_01.png", "1_001_2_06.png", "1_002_1_01.png", "1_002_2_06.png"]
    assert np.array_equal(read_image(dataset.query[0].path).permute(1, 2, 0).numpy(), pixels[1, 5])
    assert [path.name for path in (tmp_path / "cuhk03").iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("library", ["scipy", "h5py"])
def test_a_missing_library_is_named_with_the_way_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    def without(module: str) -> Any:
        if module.startswith(library):
            raise ImportError(module)
        return SimpleNamespace(File=None)

    monkeypatch.setattr(data.datasets.matlab, "import_module", without)
    folder = tmp_path / "cuhk03"
    (folder / "cuhk03_release").mkdir(parents=True)
    (folder / "cuhk03_new_protocol_config_labeled.mat").write_bytes(b"")
    (folder / "cuhk03_release" / "cuhk-03.mat").write_bytes(b"")
    if library == "scipy":
        (folder / "images_labeled").mkdir()
    with pytest.raises(DatasetError, match=rf"pip install {library}$"):
        read("cuhk03_labeled", tmp_path)
    assert not list(folder.glob(".*"))


def test_a_damaged_protocol_is_one_line(tmp_path: Path) -> None:
    pytest.importorskip("scipy.io")
    folder = tmp_path / "cuhk03"
    (folder / "images_labeled").mkdir(parents=True)
    (folder / "cuhk03_new_protocol_config_labeled.mat").write_bytes(b"no matrix" * 50)
    with pytest.raises(DatasetError, match=r"cannot read .*config_labeled.mat"):
        read("cuhk03_labeled", tmp_path)
