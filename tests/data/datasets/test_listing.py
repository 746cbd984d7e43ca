from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from data import DatasetError
from data.datasets.listing import Ignored, ignored_note, list_images, walk_images


def put(root: Path, names: Sequence[str]) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")


def test_every_file_is_an_image_or_counted(tmp_path: Path) -> None:
    images = ["a.jpg", "b.JPEG", "c.Png", "d.bmp", "e.webp", "f.TIF", "g.tiff"]
    put(tmp_path, [*images, "h.gif", "i.GIF", "Thumbs.db", ".DS_Store", "._a.jpg", "README", "sub.jpg/x.jpg"])
    ignored = Ignored()
    assert list_images("mine", tmp_path, "", ignored) == images
    assert ignored == {".gif": 2, ".db": 1, "hidden": 2, "without a suffix": 1, "folders": 1}
    ignored = Ignored()
    assert sorted(walk_images(tmp_path, ignored)) == [*images, "sub.jpg/x.jpg"]
    assert ignored == {".gif": 2, ".db": 1, "hidden": 2, "without a suffix": 1}
    assert ignored_note("mine", ignored) == (
        "data set 'mine': 6 files ignored: .gif 2, hidden 2, .db 1, without a suffix 1",
    )  # fmt: skip
    assert ignored_note("mine", Ignored()) == ()
    assert ignored_note("mine", Ignored({f".{n}": 9 - n for n in range(8)}))[0].endswith(".5 4, others 5")
    with pytest.raises(DatasetError, match=r"no usable image in .*empty \(1 files\)"):
        put(tmp_path, ["empty/x.txt"])
        list_images("mine", tmp_path / "empty", "", Ignored())


def test_links_to_folders_are_followed_and_each_folder_is_read_once(tmp_path: Path) -> None:
    put(tmp_path / "store", ["zoe/1.jpg", "zoe/deep/2.jpg", "notes.txt"])
    put(tmp_path / "mine", ["train/ann/1.jpg", "query/3.jpg"])
    train = tmp_path / "mine/train"
    (train / "zoe").symlink_to(tmp_path / "store/zoe")
    for number, target in enumerate([".", "..", "ann", tmp_path / "store/zoe", "zoe", tmp_path / "store/zoe/deep"]):
        (train / f"link{number}").symlink_to(target)
    (tmp_path / "store/zoe/back").symlink_to(train)
    (tmp_path / "store/zoe/self").symlink_to(".")
    (train / "broken").symlink_to("nowhere")
    (train / "one.jpg").symlink_to(tmp_path / "store/zoe/1.jpg")
    ignored = Ignored()
    # Names come in order: link3 is the first to lead to zoe.
    assert sorted(walk_images(train, ignored)) == ["ann/1.jpg", "link3/1.jpg", "link3/deep/2.jpg", "one.jpg"]
    assert ignored == {"links to folders that are read already": 8, "without a suffix": 1}
    (tmp_path / "way").symlink_to(train)
    assert sorted(walk_images(tmp_path / "way", Ignored())) == sorted(walk_images(train, Ignored()))
    with pytest.raises(OSError, match="nowhere"):
        walk_images(tmp_path / "nowhere", Ignored())
