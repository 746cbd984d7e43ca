"""Reading of images as uint8 [3, H, W], from their files or from a cache that all trials on the machine share.

A cache is a folder with every image of a split, decoded and resized once, in one file that is mapped into memory: the
operating system keeps one copy for all processes. The folder's name is a key of the source and size, then a digest of
the files and their times of change, so that an outdated cache is never read and only its own source removes it. The
folder appears in one step; a process that needs a cache in the making waits for it.

Only what a decoder refuses is remembered as unreadable. An image whose file could not be read then, or changed while the
cache was made, is read from its file each time, until one who opens the cache can read and add it.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import shutil
import time
import uuid
import weakref
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as F

from data.datasets.base import DatasetError
from data.decoding import NO_MEMORY, ImageError, read_image, too_many_unreadable
from utils.files import write_atomically
from utils.logger import NAME

_NAMING = 2  # raised when caches get other names
_FORMAT = 3  # raised when the same files would give other bytes; caches of another format are outdated
_PIXELS, _INDEX, _MISSING = "images.npy", "index.json", "missing.json"
_DECODED_AHEAD = 256  # images decoded while others wait to be written
BILINEAR = "bilinear"  # the usual interpolation
_LOG_INTERVAL = 10.0  # seconds between two lines while a cache is made
_LOCK_POLL_INTERVAL = 0.2  # seconds between two attempts to take the lock


class Images(Protocol):
    """Source of resized images by their numbers."""

    def read(self, numbers: Sequence[int]) -> tuple[NDArray[np.uint8], dict[int, str]]:
        """Reads images [B, 3, H, W]; returns them and, by place in `numbers`, the errors of unreadable images."""
        ...


FileState = tuple[str, int, int]  # absolute path, bytes (-1: it cannot be found), time of change in ns


class FileImages:
    """Decodes and resizes images from their files, each time they are read."""

    def __init__(self, paths: Sequence[str], size: Sequence[int], interpolation: str = BILINEAR) -> None:
        self.paths = paths
        self.size = list(size)
        self.interpolation = interpolation

    def read(self, numbers: Sequence[int]) -> tuple[NDArray[np.uint8], dict[int, str]]:
        """Reads images as `Images` says."""
        pixels = np.zeros((len(numbers), 3, *self.size), dtype=np.uint8)
        problems = {}
        for place, number in enumerate(numbers):
            try:
                pixels[place] = read_resized(self.paths[number], self.size, self.interpolation)
            except ImageError as error:
                problems[place] = str(error)
        return pixels, problems


def read_resized(path: str, size: Sequence[int], interpolation: str) -> NDArray[np.uint8]:
    """Reads an image, resized to `size`, as [3, H, W]; ImageError where it cannot be read."""
    image = read_image(path)
    try:
        resized: Tensor = F.resize(image, list(size), InterpolationMode(interpolation), antialias=True)
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "memory" not in str(error):
            raise
        raise ImageError(path, NO_MEMORY, lasting=False) from None
    return resized.numpy()


class CachedImages:
    """Reads images from a cache's folder, and holds a lock on it so that nobody removes it.

    `problems` are the errors of damaged images by their numbers, `missing` the files of images not in the cache, and
    `unavailable` the errors of those of them that `fill` could not read either.

    Raises:
        OSError: the folder cannot be opened.
        ValueError: the cache is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._open()

    def _open(self) -> None:
        index = json.loads((self.folder / _INDEX).read_text(encoding="utf-8"))
        try:
            self._interpolation: str = index["interpolation"]
            self.problems: dict[int, str] = {int(number): text for number, text in index["problems"].items()}
            missing = json.loads((self.folder / _MISSING).read_text(encoding="utf-8"))
            self.missing: dict[int, str] = {int(number): path for number, path in missing.items()}
        except (KeyError, TypeError, AttributeError):
            raise ValueError(f"{_INDEX} is not a cache's") from None
        self.unavailable: dict[int, str] = {}
        self._pixels = np.lib.format.open_memmap(self.folder / _PIXELS, mode="r")
        held = os.open(self.folder / _INDEX, os.O_RDONLY)
        weakref.finalize(self, os.close, held)
        _try_lock(held, fcntl.LOCK_SH)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape [N, 3, H, W] of all images together."""
        return self._pixels.shape

    def read(self, numbers: Sequence[int]) -> tuple[NDArray[np.uint8], dict[int, str]]:
        """Reads images as `Images` says."""
        problems = {place: self.problems[n] for place, n in enumerate(numbers) if n in self.problems}
        pixels = self._pixels[np.asarray(numbers, dtype=np.int64)]
        for place, number in enumerate(numbers) if self.missing else ():
            if number in self.missing:
                try:
                    pixels[place] = self._read_missing(number)
                except ImageError as error:
                    problems[place] = str(error)
        return pixels, problems

    def _read_missing(self, number: int) -> NDArray[np.uint8]:
        """Reads an image that is not in the cache from its file."""
        return read_resized(self.missing[number], self.shape[2:], self._interpolation)

    def fill(self, max_unreadable: int | None) -> None:
        """Adds the missing images that can be read now to the cache; to a cache that cannot be written, none.

        Raises:
            DatasetError: more than `max_unreadable` images cannot be read.
        """
        found: dict[int, NDArray[np.uint8]] = {}
        for number in self.missing:
            try:
                found[number] = self._read_missing(number)
            except ImageError as error:
                self.unavailable[number] = str(error)
                _check_limit({**self.problems, **self.unavailable}, max_unreadable)
        if not found:
            return
        left = {number: path for number, path in self.missing.items() if number not in found}
        with suppress(OSError):
            with open(self.folder / _PIXELS, "r+b") as stream:
                for number, pixels in found.items():
                    stream.seek(self._pixels.offset + number * pixels.size)
                    stream.write(pixels.tobytes())
                _sync(stream)
            write_atomically(self.folder / _MISSING, lambda stream: stream.write(json.dumps(left).encode()))
            self.missing = left

    def __getstate__(self) -> dict[str, Any]:
        return {"folder": self.folder}  # a mapping would be sent to workers as all its bytes

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.folder = state["folder"]
        self._open()


def open_cached_images(
    paths: Sequence[str],
    size: Sequence[int],
    folder: Path,
    label: str,
    note: Callable[[str], object],
    *,
    interpolation: str = BILINEAR,
    source: str = "",
    max_unreadable: int | None = None,
    check_stop: Callable[[], None] = lambda: None,
) -> Images:
    """Opens images from a cache in `folder`, which is made if need be.

    Where no cache can be made, on a read-only or full disk, images are read from their files. Outdated caches of one
    source, label, size and interpolation, whose files have been changed, added or removed since, are removed once
    nobody reads them.

    Args:
        paths: image files, in order.
        size: height and width in pixels that images are resized to.
        folder: holds caches.
        label: of the split; begins the cache's name.
        note: receives a line for the log where no cache can be made.
        interpolation: of resizing, bilinear or bicubic.
        source: key of the settings that decide which files are read.
        max_unreadable: images that may be unreadable.
        check_stop: called after every image that is put into a cache; may raise.
    Raises:
        DatasetError: more images cannot be read. Where their files cannot be read now, no cache is made.
    """
    group = _cache_group(source, size, label, interpolation)
    states = [_file_state(path) for path in paths]
    place = folder / f"{group}-{_digest(states)}"
    shape = (len(paths), 3, *size)
    try:
        images = _open_cache(place, shape)
        if images is None:
            folder.mkdir(parents=True, exist_ok=True)
            with _exclusive_lock(folder / f".{group}.lock", check_stop):
                images = _open_cache(place, shape)
                if images is None:
                    _remove_damaged(place)
                    _remove_outdated(folder, group, place)  # makes room on the disk
                    files = FileImages(paths, size, interpolation)
                    _make_cache(place, states, files, max_unreadable, check_stop)
                    _remove_unfinished(folder, group)
                    images = CachedImages(place)
        _remove_outdated(folder, group, place)
        images.fill(max_unreadable)
        _check_limit({**images.problems, **images.unavailable}, max_unreadable)
        return images
    except OSError as error:
        # Without locks two processes may make a cache, and the first to finish removes what the other has begun.
        with suppress(OSError):
            if (images := _open_cache(place, shape)) is not None:
                return images
        note(
            f"No image cache: cannot write {folder} ({error.strerror or error}); images are decoded every time. "
            "DATALOADER.CACHE_DIR names another folder, DATALOADER.CACHE False does without"
        )
        return FileImages(paths, size, interpolation)


def _check_limit(problems: dict[int, str], max_unreadable: int | None) -> None:
    """Raises DatasetError where more images have problems than may be unreadable."""
    if max_unreadable is not None and len(problems) > max_unreadable:
        texts = list(problems.values())
        raise DatasetError(too_many_unreadable(texts, max_unreadable, latest=texts[0]))


def _open_cache(place: Path, shape: tuple[int, ...]) -> CachedImages | None:
    """Opens a cache; None where it is missing or damaged: a copied or restored one may be cut short."""
    try:
        images = CachedImages(place)
    except (FileNotFoundError, ValueError):
        return None
    return images if images.shape == shape else None


def _cache_group(source: str, size: Sequence[int], label: str, interpolation: str) -> str:
    """Names all caches of one source, size, label and interpolation: the beginning of their folders' names."""
    unusual = [] if interpolation == BILINEAR else [interpolation]  # caches from before there was a choice are found
    text = json.dumps([_NAMING, list(size), source, *unusual])
    return f"{label}-{size[0]}x{size[1]}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def _file_state(path: str) -> FileState:
    """Looks up what tells a changed file from an unchanged one; a missing file has -1 bytes."""
    try:
        status = os.stat(path)
        return os.path.abspath(path), status.st_size, status.st_mtime_ns
    except OSError:
        return os.path.abspath(path), -1, 0


def _digest(states: Sequence[FileState]) -> str:
    """Digests the states of files, and the format of a cache of them."""
    return hashlib.sha256(repr((_FORMAT, states)).encode()).hexdigest()[:16]


def _try_lock(file: int, kind: int) -> bool:
    """Tries to lock a file; False where another process holds the lock, and on a file system without locks."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


@contextmanager
def _exclusive_lock(lock: Path, check_stop: Callable[[], None]) -> Iterator[None]:
    """Holds a lock file, waiting for the process that has it; the system frees the lock when a process dies."""
    with open(lock, "w", encoding="utf-8") as stream:
        logged = False
        while True:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not logged:
                    logging.getLogger(NAME).info("Waiting for the image cache, which another process makes")
                logged = True
            except OSError:
                break  # a file system without locks: several may make the cache, and the first to finish wins
            check_stop()
            time.sleep(_LOCK_POLL_INTERVAL)
        yield


def _make_cache(
    place: Path,
    states: Sequence[FileState],
    images: FileImages,
    max_unreadable: int | None,
    check_stop: Callable[[], None],
) -> None:
    """Makes a cache beside its place and renames it there when complete.

    Raises:
        OSError: there is no room.
        DatasetError: the files of more than `max_unreadable` images cannot be read now.
    """
    part = _temporary_name(place)
    part.mkdir()
    try:
        shape = (len(states), 3, *images.size)
        needed, free = int(np.prod(shape)), shutil.disk_usage(part).free
        if needed > free:
            raise OSError(f"{needed / 1e9:.1f} GB are needed, {free / 1e9:.1f} GB free")
        logging.getLogger(NAME).info("Making the image cache: %d images", len(states))
        damaged, missing = dict[int, str](), dict[int, str]()
        with open(part / _PIXELS, "wb") as stream:
            np.lib.format.write_array_header_1_0(stream, {"descr": "|u1", "fortran_order": False, "shape": shape})
            with closing(_write_pixels(stream, images, check_stop)) as unreadable:
                for number, error in unreadable:
                    if error.lasting and _file_state(images.paths[number]) == states[number]:
                        damaged[number] = str(error)
                    else:
                        missing[number] = str(error)
                        _check_limit(missing, max_unreadable)
            _sync(stream)
        files = {number: states[number][0] for number in missing}
        index = {"problems": damaged, "interpolation": images.interpolation}
        for name, content in ((_INDEX, index), (_MISSING, files)):
            with open(part / name, "wb") as stream:
                stream.write(json.dumps(content).encode())
                _sync(stream)
        try:
            os.rename(part, place)
        except OSError:
            if not (place / _INDEX).is_file():
                raise
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _write_pixels(
    stream: BinaryIO, images: FileImages, check_stop: Callable[[], None]
) -> Generator[tuple[int, ImageError]]:
    """Writes the pixels of all images; yields the numbers and errors of those that cannot be read, which are black.

    The file is written, not mapped, so that a full disk is an error and not the end of the process.
    """

    def read(number: int) -> NDArray[np.uint8] | ImageError:
        try:
            return read_resized(images.paths[number], images.size, images.interpolation)
        except ImageError as error:
            return error

    total, logged = len(images.paths), time.monotonic()
    black = bytes(3 * images.size[0] * images.size[1])
    pool = ThreadPoolExecutor(_cpu_count())
    try:
        for first in range(0, total, _DECODED_AHEAD):
            numbers = range(first, min(first + _DECODED_AHEAD, total))
            for number, pixels in zip(numbers, pool.map(read, numbers), strict=True):
                if isinstance(pixels, ImageError):
                    stream.write(black)
                    yield number, pixels
                else:
                    stream.write(pixels.tobytes())
                check_stop()
                if time.monotonic() - logged >= _LOG_INTERVAL:
                    logged = time.monotonic()
                    logging.getLogger(NAME).info("Making the image cache: %d of %d images", number + 1, total)
    finally:
        pool.shutdown(cancel_futures=True)


def _sync(stream: BinaryIO) -> None:
    """Flushes a file to the disk."""
    stream.flush()
    os.fsync(stream.fileno())


def _cpu_count() -> int:
    """Counts the CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _temporary_name(place: Path) -> Path:
    """Makes a name beside `place` that nobody reads."""
    return place.with_name(f".{place.name}.{uuid.uuid4().hex}.part")


def _remove_damaged(place: Path) -> None:
    """Removes a damaged cache, if one is in `place`."""
    if place.exists():
        logging.getLogger(NAME).info("The image cache %s is damaged and is built again", place)
        temporary = _temporary_name(place)
        os.rename(place, temporary)
        shutil.rmtree(temporary, ignore_errors=True)


def _remove_unfinished(folder: Path, group: str) -> None:
    """Removes the unfinished caches of killed processes; the caller holds the group's lock."""
    for part in folder.glob(f".{group}-*.part"):
        shutil.rmtree(part, ignore_errors=True)


def _remove_outdated(folder: Path, group: str, place: Path) -> None:
    """Removes the group's other caches, but those that a process still reads."""
    for other in folder.glob(f"{group}-*"):
        if other != place and not _in_use(other):
            shutil.rmtree(other, ignore_errors=True)


def _in_use(cache: Path) -> bool:
    """Tells whether any process reads a cache; True where locks do not answer that."""
    try:
        with open(cache / _INDEX, "r+b") as stream:  # some network file systems lock only what can be written
            return not _try_lock(stream.fileno(), fcntl.LOCK_EX)
    except FileNotFoundError:
        return False
    except OSError:
        return True
