from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PIL import Image

from data import DatasetError
from data.datasets.base import ALL, DatasetRequest, ReIDDataset
from data.layouts import LAYOUTS


def read(root: Path) -> ReIDDataset:
    dataset: ReIDDataset = LAYOUTS.builder("market1501")(DatasetRequest("market1501", root, "", ALL, None))
    return dataset


def test_training_identities_are_numbered_in_the_order_of_their_own_numbers(market_root: Path) -> None:
    dataset = read(market_root)
    labels = {Path(sample.path).name[:4]: sample.pid for sample in dataset.train}
    assert labels == {"0002": 0, "0007": 1, "0030": 2, "1501": 3}
    assert dataset.num_train_pids == 4
    assert [sample.path for sample in dataset.train] == sorted(sample.path for sample in dataset.train)


def test_junk_is_dropped_distractors_stay_and_cameras_have_many_digits(market_root: Path) -> None:
    dataset = read(market_root)
    assert [(s.pid, s.camid) for s in dataset.gallery] == [(0, 2), (5, 1), (6, 11)]
    assert [(s.pid, s.camid) for s in dataset.query] == [(5, 0), (6, 1)]
    assert dataset.num_cameras == 12


def test_only_the_file_name_is_searched_for_identity_and_camera(market_root: Path) -> None:
    tricky = market_root / "99_c9"
    tricky.mkdir()
    (market_root / "market1501").rename(tricky / "market1501")
    assert [(s.pid, s.camid) for s in read(tricky).query] == [(5, 0), (6, 1)]


def test_suffixes_in_any_case_count_and_other_files_do_not(market_root: Path) -> None:
    query = market_root / "market1501" / "query"
    for name in ("0008_c1s1_000009_00.JPG", "0009_c1s1_000009_00.jpeg", "0010_c1s1_000009_00.Png"):
        Image.new("L", (16, 32)).save(query / name)
    for name in ("Thumbs.db", "._0005_c1s1_000001_00.jpg", "notes.txt"):
        (query / name).write_bytes(b"x")
    dataset = read(market_root)
    assert [sample.pid for sample in dataset.query] == [5, 6, 8, 9, 10]
    junk = sum(file.name.startswith("-1_") for file in (market_root / "market1501").rglob("*.jpg"))
    assert dataset.notes == (
        f"data set 'market1501': {3 + junk} files ignored: .db 1, .txt 1, hidden 1, junk (-1) {junk}",
    )


@pytest.mark.parametrize("split", ["bounding_box_train", "query", "bounding_box_test"])
def test_a_missing_folder_is_named_with_the_way_to_set_it(market_root: Path, split: str) -> None:
    shutil.rmtree(market_root / "market1501" / split)
    with pytest.raises(DatasetError) as caught:
        read(market_root)
    text = str(caught.value)
    assert str(market_root / "market1501" / split) in text
    assert "DATASETS.ROOT_DIR" in text and f"bounding_box_test/ in {market_root / 'market1501'}" in text
    assert "\n" not in text


def test_a_split_with_nothing_but_junk_is_empty(market_root: Path) -> None:
    query = market_root / "market1501" / "query"
    for file in query.iterdir():
        file.rename(query / ("-1" + file.name[4:]))
    with pytest.raises(DatasetError, match=r"no usable image in .*query"):
        read(market_root)


@pytest.mark.parametrize(
    "name", ["person_c1.jpg", "0001.jpg", "-2_c1s1_0.jpg", "0001_c0s1_0.jpg", "x0001_c1.jpg", "٣_c1.jpg"]
)
def test_an_image_named_otherwise_is_an_error_that_names_it(market_root: Path, name: str) -> None:
    (market_root / "market1501" / "query" / name).write_bytes(b"")
    with pytest.raises(DatasetError) as caught:
        read(market_root)
    assert repr(name) in str(caught.value) and "1 of 3 images" in str(caught.value)
