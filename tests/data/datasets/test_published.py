"""Data sets with published splits, from folders made as their publishers make them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from data import DatasetError
from data.datasets.base import Sample, WantedSplits
from engine.evaluation.protocols import require_matches
from tests.data.datasets.conftest import Put, Read

TESTED = WantedSplits(train=False)


def ids(samples: Sequence[Sample]) -> list[tuple[int, int]]:
    return [(sample.pid, sample.camid) for sample in samples]


OCCLUDED = [
    "occluded_body_images/001/001_01.tif",
    "whole_body_images/001/001_06.tif",
    "whole_body_images/002/002_06.tif",
]
PARTIAL = ["partial_body_images/001_001.jpg", "whole_body_images/001_001.jpg"]
PARTIAL_OCCLUDED = ["occluded_body_images/002_001.jpg", "whole_body_images/001_001.jpg"]
P_DUKE = [
    "train/occluded_body_images/0001/0001_c1_f1.jpg", "train/whole_body_images/0001/0001_c2_f2.jpg",
    "train/whole_body_images/0009/0009_c2_f2.jpg",
    "test/occluded_body_images/0003/0003_c1_f1.jpg", "test/whole_body_images/0003/0003_c1_f2.jpg",
]  # fmt: skip
LTCC = ["train/094_1_c9_015833.png", "train/007_2_c12_000001.png", "query/003_1_c1_1.png", "test/003_1_c2_1.png",
        "test/003_2_c10_1.png", "test/004_1_c2_1.png"]  # fmt: skip
PRCC = ["rgb/train/002/C_cropped_rgb1.jpg", "rgb/train/001/A_cropped_rgb1.jpg", "rgb/val/001/B_cropped_rgb7.jpg",
        "rgb/test/B/003/cropped_rgb2.jpg", "rgb/test/C/003/cropped_rgb3.jpg", "rgb/test/A/003/cropped_rgb1.jpg"]  # fmt: skip
CELEB = ["train/632_1_0.jpg", "train/1_12_0.jpg", "query/1_1_0.jpg", "gallery/1_2_0.jpg", "gallery/420_1_0.jpg"]
CELEB_IDS = ([(0, 0), (1, 0)], [(1, 0)], [(1, 1), (420, 1)])


@pytest.mark.parametrize(
    ("name", "folder", "files", "train", "query", "gallery"),
    [
        ("occluded_reid", "Occluded_REID", OCCLUDED, [], [(1, 0)], [(1, 1), (2, 1)]),
        ("occluded_reid:mine", "mine", OCCLUDED, [], [(1, 0)], [(1, 1), (2, 1)]),
        ("occluded_reid", "OccludedREID", ["query/001_01.jpg", "gallery/001_02.jpg"], [], [(1, 0)], [(1, 1)]),
        ("partial_reid", "Partial_REID", PARTIAL, [], [(1, 0)], [(1, 1)]),
        ("partial_reid_occluded", "Partial-REID_Dataset", PARTIAL_OCCLUDED, [], [(2, 0)], [(1, 1)]),
        ("p_dukemtmc", "P-DukeMTMC-reid", P_DUKE, [(0, 0), (0, 0), (1, 0)], [(3, 0)], [(3, 1)]),
        ("ltcc", "LTCC_ReID", LTCC, [(0, 11), (1, 8)], [(3, 0)], [(3, 1), (3, 9), (4, 1)]),
        ("prcc", "prcc", PRCC, [(0, 0), (1, 2)], [(3, 2)], [(3, 0)]),
        ("prcc_same_clothes", "prcc", PRCC, [(0, 0), (1, 2)], [(3, 1)], [(3, 0)]),
        ("celeb_reid", "Celeb-reID", CELEB, *CELEB_IDS),
        ("celeb_reid_light", "Celeb-reID-light", CELEB, *CELEB_IDS),
    ],
)  # fmt: skip
def test_splits_by_folders(
    put: Put, read: Read, tmp_path: Path, name: str, folder: str, files: list[str], train: list[tuple[int, int]],
    query: list[tuple[int, int]], gallery: list[tuple[int, int]],
) -> None:  # fmt: skip
    put(folder, [*files, f"{Path(files[-1]).parent}/Thumbs.db"])
    wanted = TESTED if not train else WantedSplits()
    dataset = read(name, wanted)
    assert (ids(dataset.train), ids(dataset.query), ids(dataset.gallery)) == (train, query, gallery)
    assert f"data set {name!r}: 1 file ignored: .db 1" in dataset.notes
    # Each in one line: a missing folder, a folder without images, an image of another name.
    odd = (tmp_path / folder / files[0]).with_name("nobody.jpg")
    odd.write_bytes(b"")
    with pytest.raises(DatasetError, match=rf"^data set {name!r}: 1 of \d images in .* are not named as [^\n]*nobody"):
        read(name, wanted)
    odd.unlink()
    below = tmp_path / folder / Path(files[-1]).parts[0]
    below.rename(tmp_path / "away")
    with pytest.raises(DatasetError, match=rf"^data set {name!r}: no images in .*{folder}; expected [^\n]*DATASETS"):
        read(name, wanted)
    for file in files:
        (tmp_path / folder / file).parent.mkdir(parents=True, exist_ok=True)
    with pytest.raises(DatasetError, match=r"no usable image in [^\n]*; expected "):
        read(name, wanted)


def test_clothes_are_told_apart_within_an_identity(put: Put, read: Read) -> None:
    put("LTCC_ReID", LTCC)
    dataset = read("ltcc")
    assert dataset.protocol == "clothes_changing"
    first, same, other, elses = dataset.clothes
    assert first == same and len({first, other, elses}) == 3
    assert [dataset.name_camera(sample.camid) for sample in dataset.gallery] == ["2", "10", "2"]


def test_prccs_queries_are_in_other_clothes_than_the_gallery_or_in_the_same(put: Put, read: Read) -> None:
    put("prcc", PRCC)
    other, same = read("prcc"), read("prcc_same_clothes")
    require_matches(other, "clothes_changing")
    assert other.clothes[0] != other.clothes[1] and same.clothes[0] == same.clothes[1]
    with pytest.raises(DatasetError, match="no query has a match in the gallery from another camera in other clothes"):
        require_matches(same, "clothes_changing")


def test_cameras_are_named_as_the_set_does_and_not_at_all_where_it_has_none(put: Put, read: Read) -> None:
    put("prcc", PRCC)
    put("Celeb-reID", CELEB)
    letters, none = read("prcc"), read("celeb_reid")
    assert [letters.name_camera(sample.camid) for sample in (*letters.query, *letters.gallery)] == ["C", "A"]
    assert (letters.same_cameras, none.same_cameras) == (True, False)
    assert [none.name_camera(sample.camid) for sample in (*none.query, *none.gallery)] == ["", "", ""]


def test_the_validation_split_joins_the_training_and_the_log_says_what_was_taken(
    put: Put, read: Read, tmp_path: Path
) -> None:
    put("prcc", PRCC)
    assert read("prcc").notes == (
        f"data set 'prcc': PRCC with queries in other clothes, from {tmp_path}/prcc",
        "data set 'prcc': rgb/val/ is not trained on; DATASETS.COMBINEALL val adds its images",
    )
    dataset = read("prcc", WantedSplits(val=True))
    assert ids(dataset.train) == [(0, 0), (1, 2), (0, 1)] and len(dataset.notes) == 1
    put("Occluded_REID", OCCLUDED)
    put("OccludedREID", ["query/001_01.jpg", "gallery/001_02.jpg"])
    assert read("occluded_reid", TESTED).notes == (
        f"data set 'occluded_reid': Occluded-REID as published, from {tmp_path}/Occluded_REID; as fast-reid has it it is in"
        f" {tmp_path}/OccludedREID",
    )


def test_cuhk_sysu_is_trained_on_only(put: Put, read: Read) -> None:
    put(
        "cuhksysu",
        ["cropped_images/p11422_s16929_1.jpg", "cropped_images/p11422_s1_2.jpg", "cropped_images/p7_s1_1.jpg"],
    )
    assert ids(read("cuhk_sysu").train) == [(1, 0), (1, 0), (0, 0)]
    dataset = read("cuhk_sysu", TESTED)
    assert dataset.query == dataset.gallery == dataset.train == ()


def vehicleid(tmp_path: Path, put: Put, test: str = "800") -> Path:
    put("VehicleID_V1.0/image", [f"{number:07d}.jpg" for number in range(12)])
    lists = tmp_path / "VehicleID_V1.0/train_test_split"
    lists.mkdir()
    (lists / "train_list.txt").write_text("0000000 70\n0000001 9\n0000002 70\n\n")
    (lists / f"test_list_{test}.txt").write_text("".join(f"{number:07d} {number // 4}\n" for number in range(3, 12)))
    return lists


@pytest.mark.parametrize(
    ("name", "test"), [("vehicleid", "800"), ("vehicleid_medium", "1600"), ("vehicleid_large", "2400")]
)
def test_vehicleid_by_its_lists(put: Put, read: Read, tmp_path: Path, name: str, test: str) -> None:
    vehicleid(tmp_path, put, test)
    dataset = read(name)
    assert ids(dataset.train) == [(1, 0), (0, 0), (1, 0)]
    # One image of each vehicle, drawn; all others are queries. Nothing is left out for a camera.
    assert ids(dataset.gallery) == [(0, 1), (1, 1), (2, 1)]
    assert sorted(ids(dataset.query)) == [(1, 0)] * 3 + [(2, 0)] * 3
    tested = [Path(sample.path).stem for sample in (*dataset.query, *dataset.gallery)]
    assert sorted(tested) == [f"{number:07d}" for number in range(3, 12)]
    assert dataset.protocol == "random_gallery"
    assert read(name) == dataset
    assert f"test set of {test} vehicles, from {tmp_path}/VehicleID_V1.0" in dataset.notes[0]
    only = read(name, WantedSplits(test=False))
    assert (only.train, only.query, only.gallery) == (dataset.train, (), ())


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("no list", ["cannot read", "test_list_800.txt", "name other sets with DATASETS.NAMES or DATASETS.TEST_NAMES"]),
        ("bad line", ["test_list_800.txt:1", "'0000003,0'", "such as 0000001 7"]),
        ("long number", ["test_list_800.txt:1", "such as 0000001 7"]),
        ("no image", ["test_list_800.txt: there is no", "0000099.jpg, its first image"]),
        ("nothing", ["test_list_800.txt: it names no image"]),
        (
            "no folder",
            ["no images in", "train_test_split/train_list.txt, image/ and train_test_split/test_list_800.txt"],
        ),
    ],
)
def test_a_list_that_does_not_fit_is_one_line(
    put: Put, read: Read, tmp_path: Path, damage: str, words: list[str]
) -> None:
    file = vehicleid(tmp_path, put) / "test_list_800.txt"
    texts = {
        "bad line": "0000003,0\n",
        "long number": f"0000003 {'9' * 19}\n",
        "no image": "0000099 1\n",
        "nothing": "\n",
    }
    if damage == "no list":
        file.unlink()
    elif damage == "no folder":
        (tmp_path / "VehicleID_V1.0/image").rename(tmp_path / "VehicleID_V1.0/images")
    else:
        file.write_text(texts[damage])
    with pytest.raises(DatasetError) as caught:
        read("vehicleid")
    text = str(caught.value)
    assert all(word in text for word in ["data set 'vehicleid': ", *words]) and "\n" not in text


@pytest.mark.parametrize(("name", "test"), [("veriwild", 3000), ("veriwild_medium", 5000), ("veriwild_large", 10000)])
def test_veriwild_has_its_cameras_in_a_table(put: Put, read: Read, tmp_path: Path, name: str, test: int) -> None:
    put("VERI-Wild/images", ["00001/000001.jpg", "00003/000002.jpg", "00007/000003.jpg", "00007/000004.jpg"])
    lists = tmp_path / "VERI-Wild/train_test_split"
    lists.mkdir()
    (lists / "train_list.txt").write_text("00003/000002.jpg\n00001/000001.jpg\n")
    (lists / f"test_{test}_query.txt").write_text("00007/000003.jpg\n")
    (lists / f"test_{test}.txt").write_text("00007/000004.jpg\n")
    head = "id/image;Camera ID;Time;Model;Type;Color\n"
    table = lists / "vehicle_info.txt"
    table.write_text(
        f"{head}00001/000001;174;2018-03-11 09:01:02;a;b;c\n00003/000002;1;t\n00007/000003;21;t\n00007/000004;3\n"
    )
    dataset = read(name)
    assert (ids(dataset.train), ids(dataset.query), ids(dataset.gallery)) == ([(1, 1), (0, 174)], [(7, 21)], [(7, 3)])
    assert dataset.name_camera(21) == "21" and dataset.protocol == "cross_camera"
    assert f"of {test} vehicles" in dataset.notes[0]
    table.write_text(head)
    with pytest.raises(DatasetError, match=r"train_list.txt:1: .*vehicle_info.txt has no camera of 00003/000002$"):
        read(name)
