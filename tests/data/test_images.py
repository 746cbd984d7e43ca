from __future__ import annotations

import errno
import fcntl
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

from data import DatasetError, decoding
from data import images as images_module
from data.images import CachedImages, FileImages, Images, open_cached_images
from utils.errors import Stopped
from utils.logger import NAME

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


def make(paths: list[str], folder: Path, notes: list[str] | None = None, **more: Any) -> Images:
    return open_cached_images(paths, SIZE, folder, "train", (notes if notes is not None else []).append, **more)


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


@pytest.mark.parametrize("size", [[12, 6], [40, 30]])
@pytest.mark.parametrize("kind", ["bilinear", "bicubic"])
def test_images_are_resized_as_pillow_does(paths: list[str], kind: str, size: list[int]) -> None:
    # No black and no white: Pillow cuts what bicubic overshoots there after each direction, torch only at the end.
    rng = np.random.default_rng(1)
    Image.fromarray(rng.integers(80, 176, (23, 10, 3), dtype=np.uint8)).save(paths[3])
    (pixels,), _ = FileImages(paths, size, kind).read([3])
    with Image.open(paths[3]) as image:
        expected = image.resize((size[1], size[0]), Image.Resampling[kind.upper()])
    # Both round the weights to integers, one level apart at most.
    assert np.abs(pixels.transpose(1, 2, 0) - np.asarray(expected, dtype=int)).max() <= 1


def test_each_interpolation_has_its_own_cache(paths: list[str], tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    usual = make(paths, cache).read([0])[0]
    (name,) = folders(cache)
    other = make(paths, cache, interpolation="bicubic").read([0])[0]
    assert len(folders(cache)) == 2 and name in folders(cache)
    assert not np.array_equal(usual, other)
    assert np.array_equal(other, FileImages(paths, SIZE, "bicubic").read([0])[0])
    assert np.array_equal(make(paths, cache).read([0])[0], usual)


def fail_to_open(monkeypatch: pytest.MonkeyPatch, number: int) -> set[str]:
    """Makes opening the paths in the set that is returned fail with an error number."""
    opened, failing = decoding._open_without_waiting, set[str]()

    def open_file(path: str, flags: int) -> int:
        if os.path.basename(path) in failing:
            raise OSError(number, os.strerror(number), path)
        return opened(path, flags)

    monkeypatch.setattr(decoding, "_open_without_waiting", open_file)
    monkeypatch.setattr(decoding, "_RETRY_PAUSES", ())
    return failing


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.ENFILE, errno.ESTALE])
def test_a_file_that_cannot_be_read_for_a_moment_is_not_remembered(
    paths: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    failing = fail_to_open(monkeypatch, number)
    failing |= {"2.png", "7.png"}
    images = make(paths, tmp_path / "cache", max_unreadable=3)
    _, problems = images.read([1, 2, 4, 7])
    assert sorted(problems) == [1, 2, 3] and os.strerror(number) in problems[1] and "2.png" in problems[1]
    failing.discard("2.png")  # also for who has the cache open, in another process too
    for reader in (images, pickle.loads(pickle.dumps(images))):
        assert sorted(reader.read(range(9))[1]) == [4, 7]
    failing.clear()
    expected = FileImages(paths, SIZE).read(range(9))[0]
    again = make(paths, tmp_path / "cache")
    failing |= {"2.png", "7.png"}  # from here on they are read from the cache
    pixels, problems = again.read(range(9))
    assert list(problems) == [4] and np.array_equal(pixels, expected)
    assert sorted(make(paths, tmp_path / "cache").read(range(9))[1]) == [4]
    assert len(folders(tmp_path / "cache")) == 1


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("can't allocate memory: you tried to allocate 9 bytes")])
def test_an_image_too_large_to_be_resized_is_one_line(
    paths: list[str], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*words: Any, **more: Any) -> Any:
        raise error

    monkeypatch.setattr(images_module.F, "resize", fail)
    assert FileImages(paths, SIZE).read([0])[1] == {
        0: f"cannot read the image {paths[0]}: there is not enough memory for it"
    }


def test_a_folder_that_cannot_be_read_for_a_moment_makes_no_cache(
    paths: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = fail_to_open(monkeypatch, errno.ESTALE)
    failing |= {f"{number}.png" for number in range(9)}
    with pytest.raises(DatasetError, match=r"Stale file handle; 3 images cannot be read, .* allows 2"):
        make(paths, tmp_path / "cache", max_unreadable=2)
    assert folders(tmp_path / "cache") == []
    failing.clear()
    assert list(make(paths, tmp_path / "cache", max_unreadable=2).read(range(9))[1]) == [4]


def test_a_file_that_is_written_while_the_cache_is_made_is_not_remembered(
    paths: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, read = Path(paths[2]).read_bytes(), images_module.read_image

    def read_while_written(path: str) -> Any:
        if path == paths[2] and Path(path).stat().st_size == 0:
            Path(path).write_bytes(whole[:50])
        return read(path)

    Path(paths[2]).write_bytes(b"")
    monkeypatch.setattr(images_module, "read_image", read_while_written)
    images = make(paths, tmp_path / "cache")
    assert sorted(images.read(range(9))[1]) == [2, 4]
    Path(paths[2]).write_bytes(whole)
    assert sorted(images.read(range(9))[1]) == [4]


def test_a_cache_of_another_format_is_outdated(
    paths: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images_module, "_FORMAT", 2)
    make(paths, tmp_path / "cache")
    (old,) = folders(tmp_path / "cache")
    monkeypatch.undo()
    make(paths, tmp_path / "cache")
    assert len(folders(tmp_path / "cache")) == 1 and old not in folders(tmp_path / "cache")


def test_it_is_read_without_the_files_by_any_process(paths: list[str], tmp_path: Path) -> None:
    first = make(paths, tmp_path / "cache")
    again = pickle.dumps(make(paths, tmp_path / "cache"))
    assert len(again) < 1000  # the place, not the pixels
    for name in paths:
        Path(name).unlink()
    assert np.array_equal(pickle.loads(again).read(range(9))[0], first.read(range(9))[0])


@pytest.mark.parametrize("change", ["content", "time", "gone", "fewer", "more"])
def test_a_changed_file_makes_a_new_cache_and_removes_the_old(paths: list[str], tmp_path: Path, change: str) -> None:
    cache = tmp_path / "cache"
    before = make(paths, cache)
    old = before.read(range(9))[0]
    (name,) = folders(cache)
    make(paths, cache, source="another")
    (other,) = set(folders(cache)) - {name}
    if change == "gone":
        Path(paths[2]).unlink()
    elif change == "fewer":
        paths = paths[:8]
    elif change == "more":
        paths = [*paths, paths[0]]
    else:
        Image.new("RGB", (10, 10), (9, 9, 9)).save(paths[2])
        os.utime(paths[2], ns=(1, 1 if change == "time" else 2))
    after, problems = make(paths, cache).read(range(len(paths)))
    if change in ("content", "time", "gone"):
        assert (after[2] == (0 if change == "gone" else 9)).all()
    assert sorted(problems) == ([2, 4] if change == "gone" else [4])
    # Who has it open keeps it, and so do processes that are yet to open it.
    assert {name, other} < set(folders(cache)) and len(folders(cache)) == 3
    assert np.array_equal(pickle.loads(pickle.dumps(before)).read(range(9))[0], old)
    del before
    make(paths, cache)
    assert name not in folders(cache) and other in folders(cache) and len(folders(cache)) == 2


def test_other_sizes_and_other_owners_have_caches_of_their_own(paths: list[str], tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    make(paths, cache)
    make(paths[:3], cache, source="another")
    open_cached_images(paths, [6, 6], cache, "train", print)
    assert len(folders(cache)) == 3


def test_a_folder_that_cannot_be_written_means_no_cache_and_a_line(paths: list[str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    notes: list[str] = []
    images = make(paths, tmp_path / "file" / "cache", notes)
    assert isinstance(images, FileImages)
    assert len(notes) == 1 and "DATALOADER.CACHE_DIR" in notes[0] and str(tmp_path / "file" / "cache") in notes[0]


def test_a_disk_without_room_is_not_filled(paths: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


def damage(place: Path, how: str) -> None:
    pixels, index = place / "images.npy", place / "index.json"
    if how == "cut short":
        os.truncate(pixels, 300)
    elif how == "other images":
        np.save(pixels, np.zeros((9, 3, 6, 6), dtype=np.uint8))
    elif how == "other index":
        index.write_text("[]")
    elif how == "no index":
        index.unlink()
    else:
        os.truncate({"no pixels": pixels, "empty index": index}[how], 0)


@pytest.mark.parametrize("how", ["cut short", "no pixels", "other images", "empty index", "other index", "no index"])
def test_a_damaged_cache_is_made_anew(
    paths: list[str], tmp_path: Path, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    cache = tmp_path / "cache"
    expected = make(paths, cache).read(range(9))[0].copy()
    (name,) = folders(cache)
    damage(cache / name, how)
    caplog.clear()
    caplog.set_level("INFO", logger=NAME)
    assert np.array_equal(make(paths, cache).read(range(9))[0], expected)
    assert caplog.messages == [
        f"The image cache {cache / name} is damaged and is built again", "Making the image cache: 9 images"
    ]  # fmt: skip
    assert folders(cache) == [name]


def test_making_a_cache_is_told_and_can_be_stopped(
    paths: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("data.images._LOG_INTERVAL", 0.0)
    caplog.set_level("INFO", logger=NAME)
    checks = iter([None, None, Stopped(15)])

    def check() -> None:
        if stopped := next(checks):
            raise stopped

    with pytest.raises(Stopped):
        make(paths, tmp_path / "cache", check_stop=check)
    assert folders(tmp_path / "cache") == []
    assert caplog.messages == [
        "Making the image cache: 9 images",
        "Making the image cache: 1 of 9 images",
        "Making the image cache: 2 of 9 images",
    ]


def test_waiting_for_who_makes_a_cache_can_be_stopped(
    paths: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("data.images._LOCK_POLL_INTERVAL", 0.0)
    caplog.set_level("INFO", logger=NAME)
    cache = tmp_path / "cache"
    make(paths, cache)
    (lock,) = cache.glob(".*.lock")
    checks = iter([None, Stopped(15)])

    def check() -> None:
        if stopped := next(checks):
            raise stopped

    with open(lock, "w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        with pytest.raises(Stopped):
            make(paths[:3], cache, check_stop=check)
    assert caplog.messages[1:] == ["Waiting for the image cache, which another process makes"]


def _make_in_process(paths: list[str], folder: Path, ready: Any, done: Any) -> None:
    made: list[float] = []

    def count(*words: Any) -> Any:
        made.append(time.monotonic())
        return original(*words)

    import data.images

    original = data.images._make_cache
    data.images._make_cache = count  # type: ignore[assignment]
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


def test_an_outdated_cache_makes_room(paths: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "cache"
    make(paths, cache)
    (old,) = folders(cache)
    room = lambda folder: SimpleNamespace(free=0 if (cache / old).exists() else 10**9)  # noqa: E731
    monkeypatch.setattr("data.images.shutil.disk_usage", room)
    assert isinstance(make(paths[:-1], cache), CachedImages)
    assert old not in folders(cache)


def test_a_cache_that_another_process_was_first_to_make(
    paths: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*given: Any) -> None:
        made(*given)
        raise FileNotFoundError("the unfinished one is gone")

    made, notes = images_module._make_cache, list[str]()
    monkeypatch.setattr(images_module, "_make_cache", fail)
    assert isinstance(make(paths, tmp_path / "cache", notes), CachedImages)
    assert not notes
