from __future__ import annotations

import multiprocessing
import os
import pickle
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from data.images import CachedImages, FileImages, Images, cached

SIZE = [12, 6]


@pytest.fixture
def paths(tmp_path: Path) -> list[str]:
    """Nine pictures of different sizes; the fifth is damaged."""
    rng = np.random.default_rng(0)
    names = [str(tmp_path / f"{number}.png") for number in range(9)]
    for number, name in enumerate(names):
        Image.fromarray(rng.integers(0, 256, (20 + number, 10, 3), dtype=np.uint8)).save(name)
    Path(names[4]).write_bytes(b"no picture")
    return names


def make(paths: list[str], folder: Path, notes: list[str] | None = None) -> Images:
    return cached(paths, SIZE, folder, "train", (notes if notes is not None else []).append)


def folders(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.iterdir() if path.is_dir())


def test_a_cache_holds_what_the_files_hold(paths: list[str], tmp_path: Path) -> None:
    images = make(paths, tmp_path / "cache")
    assert isinstance(images, CachedImages)
    numbers = [8, 0, 4, 3, 3]
    pixels, problems = images.read(numbers)
    expected, expected_problems = FileImages(paths, SIZE).read(numbers)
    assert pixels.shape == (5, 3, 12, 6) and pixels.dtype == np.uint8
    assert np.array_equal(pixels, expected)
    assert problems == expected_problems and list(problems) == [2] and paths[4] in problems[2]


def test_it_is_read_without_the_files_by_any_process(paths: list[str], tmp_path: Path) -> None:
    first = make(paths, tmp_path / "cache")
    again = pickle.dumps(make(paths, tmp_path / "cache"))
    assert len(again) < 1000  # the place, not the pixels
    for name in paths:
        Path(name).unlink()
    assert np.array_equal(pickle.loads(again).read(range(9))[0], first.read(range(9))[0])


@pytest.mark.parametrize("change", ["content", "time", "gone"])
def test_a_changed_file_makes_a_new_cache_and_removes_the_old(paths: list[str], tmp_path: Path, change: str) -> None:
    cache = tmp_path / "cache"
    before = make(paths, cache)
    old = before.read(range(9))[0]
    (name,) = folders(cache)
    stranger = cache / f"{name}x"[:-18]
    stranger.mkdir()
    if change == "gone":
        Path(paths[2]).unlink()
    else:
        Image.new("RGB", (10, 10), (9, 9, 9)).save(paths[2])
        os.utime(paths[2], ns=(1, 1 if change == "time" else 2))
    after, problems = make(paths, cache).read(range(9))
    assert name not in folders(cache) and len(folders(cache)) == 2 and stranger.is_dir()
    assert (after[2] == (0 if change == "gone" else 9)).all()
    assert sorted(problems) == ([2, 4] if change == "gone" else [4])
    assert np.array_equal(before.read(range(9))[0], old)  # who has it open keeps it


def test_other_sizes_and_other_files_have_caches_of_their_own(paths: list[str], tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    make(paths, cache)
    make(paths[:3], cache)
    cached(paths, [6, 6], cache, "train", print)
    assert len(folders(cache)) == 3


def test_a_folder_that_cannot_be_written_means_no_cache_and_a_line(paths: list[str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    notes: list[str] = []
    images = make(paths, tmp_path / "file" / "cache", notes)
    assert isinstance(images, FileImages)
    assert len(notes) == 1 and "DATALOADER.CACHE_DIR" in notes[0] and str(tmp_path / "file" / "cache") in notes[0]


def test_a_disk_without_room_is_not_filled(
    paths: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1000))
    notes: list[str] = []
    assert isinstance(make(paths, tmp_path / "cache", notes), FileImages)
    assert "0.0 GB free" in notes[0] and folders(tmp_path / "cache") == []


def test_what_a_killed_maker_left_is_no_cache_and_is_removed(paths: list[str], tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    make(paths, cache)
    (name,) = folders(cache)
    part = cache / f".{name}.0123.part"
    (cache / name).rename(part)
    (part / "index.json").unlink()
    make(paths, cache)
    assert folders(cache) == [name]


def _make_in_process(paths: list[str], folder: Path, ready: Any, done: Any) -> None:
    made: list[float] = []

    def count(*words: Any) -> Any:
        made.append(time.monotonic())
        return original(*words)

    import data.images

    original = data.images._make
    data.images._make = count  # type: ignore[assignment]
    ready.wait()
    pixels, _ = make(paths, folder).read(range(len(paths)))
    done.put((len(made), int(pixels.sum(dtype=np.int64))))


def test_of_several_that_ask_at_once_one_makes_it(paths: list[str], tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    ready, done = context.Barrier(4), context.SimpleQueue()
    makers = [context.Process(target=_make_in_process, args=(paths, tmp_path / "c", ready, done)) for _ in range(4)]
    for maker in makers:
        maker.start()
    for maker in makers:
        maker.join(60)
    results = [done.get() for _ in makers]
    assert sorted(made for made, _ in results) == [0, 0, 0, 1]
    assert len({total for _, total in results}) == 1
    assert len(folders(tmp_path / "c")) == 1
