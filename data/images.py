"""Reading of images as uint8 [3, H, W], from their files or from a cache that all trials on the machine share.

A cache is a folder with every image of a split, decoded and resized once, in one file that is mapped into memory: the
operating system keeps one copy for all processes. The folder's name is a key of the source and size, then a digest of
the files and their times of change, so that an outdated cache is never read and only its own source removes it. The
folder appears in one step; a process that needs a cache in the making waits for it.
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
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as F

from data.datasets.base import DatasetError
from utils.logger import NAME

_FORMAT = 2  # raised when the same files would give other bytes
_PIXELS, _INDEX = "images.npy", "index.json"
_DECODED_AHEAD = 256  # images decoded while others wait to be written
BILINEAR = "bilinear"  # the usual interpolation
_LOG_INTERVAL = 10.0  # seconds between two lines while a cache is made
_LOCK_POLL_INTERVAL = 0.2  # seconds between two attempts to take the lock


class Images(Protocol):
    """Source of resized images by their numbers."""

    def read(self, numbers: Sequence[int]) -> tuple[NDArray[np.uint8], dict[int, str]]:
        """Reads images [B, 3, H, W]; returns them and, by place in `numbers`, the errors of unreadable images."""
        ...


def read_image(path: str) -> Tensor:
    """Decodes an image file, grey and palette too, to RGB, uint8 [3, H, W]; DatasetError names an unreadable file."""
    try:
        with Image.open(path) as image:
            pixels = np.array(image.convert("RGB"))
    except Exception as error:  # Pillow's decoders raise nearly every built-in type on damaged data
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DatasetError(f"cannot read the image {path}: {reason}") from None
    return torch.from_numpy(pixels).permute(2, 0, 1)


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
                pixels[place] = self._resize(read_image(self.paths[number]))
            except DatasetError as error:
                problems[place] = str(error)
        return pixels, problems

    def _resize(self, image: Tensor) -> NDArray[np.uint8]:
        resized: Tensor = F.resize(image, self.size, InterpolationMode(self.interpolation), antialias=True)
        return resized.numpy()


class CachedImages:
    """Reads images from a cache's folder, and holds a lock on it so that nobody removes it.

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
            self.problems: dict[int, str] = {int(number): text for number, text in index["problems"].items()}
        except (KeyError, TypeError, AttributeError):
            raise ValueError(f"{_INDEX} is not a cache's") from None
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
        return self._pixels[np.asarray(numbers, dtype=np.int64)], problems

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
        check_stop: called after every image that is put into a cache; may raise.
    """
    group = _cache_group(source, size, label, interpolation)
    place = folder / f"{group}-{_files_digest(paths)}"
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
                    _make_cache(place, FileImages(paths, size, interpolation), check_stop)
                    _remove_unfinished(folder, group)
                    images = CachedImages(place)
        _remove_outdated(folder, group, place)
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


def _open_cache(place: Path, shape: tuple[int, ...]) -> CachedImages | None:
    """Opens a cache; None where it is missing or damaged: a copied or restored one may be cut short."""
    try:
        images = CachedImages(place)
    except (FileNotFoundError, ValueError):
        return None
    return images if images.shape == shape else None


def _cache_group(source: str, size: Sequence[int], label: str, interpolation: str) -> str:
    """Names all caches of one source, size, label and interpolation: the beginning of their folders' names."""
    unusual = [] if interpolation == BILINEAR else [interpolation]  # caches from before there was a choice stay
    text = json.dumps([_FORMAT, list(size), source, *unusual])
    return f"{label}-{size[0]}x{size[1]}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def _files_digest(paths: Sequence[str]) -> str:
    """Digests the paths, sizes and times of change of files; a missing file counts with size -1."""
    states = []
    for path in paths:
        try:
            status = os.stat(path)
            states.append((os.path.abspath(path), status.st_size, status.st_mtime_ns))
        except OSError:
            states.append((os.path.abspath(path), -1, 0))
    return hashlib.sha256(repr(states).encode()).hexdigest()[:16]


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


def _make_cache(place: Path, images: FileImages, check_stop: Callable[[], None]) -> None:
    """Makes a cache beside its place and renames it there when complete; OSError where there is no room."""
    part = _temporary_name(place)
    part.mkdir()
    try:
        shape = (len(images.paths), 3, *images.size)
        needed, free = int(np.prod(shape)), shutil.disk_usage(part).free
        if needed > free:
            raise OSError(f"{needed / 1e9:.1f} GB are needed, {free / 1e9:.1f} GB free")
        logging.getLogger(NAME).info("Making the image cache: %d images", len(images.paths))
        with open(part / _PIXELS, "wb") as stream:
            problems = _write_pixels(stream, images, shape, check_stop)
            _sync(stream)
        with open(part / _INDEX, "wb") as stream:
            stream.write(json.dumps({"problems": problems}).encode())
            _sync(stream)
        try:
            os.rename(part, place)
        except OSError:
            if not (place / _INDEX).is_file():
                raise
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _write_pixels(
    stream: BinaryIO, images: FileImages, shape: tuple[int, ...], check_stop: Callable[[], None]
) -> dict[int, str]:
    """Writes all images in numpy's format; returns the errors of unreadable images by their numbers.

    The file is written, not mapped, so that a full disk is an error and not the end of the process.
    """
    total, problems, logged = shape[0], dict[int, str](), time.monotonic()
    np.lib.format.write_array_header_1_0(stream, {"descr": "|u1", "fortran_order": False, "shape": shape})
    pool = ThreadPoolExecutor(_cpu_count())
    try:
        for first in range(0, total, _DECODED_AHEAD):
            numbers = range(first, min(first + _DECODED_AHEAD, total))
            for number, (pixels, wrong) in zip(numbers, pool.map(images.read, ([n] for n in numbers)), strict=True):
                stream.write(pixels.tobytes())
                if wrong:
                    problems[number] = wrong[0]
                check_stop()
                if time.monotonic() - logged >= _LOG_INTERVAL:
                    logged = time.monotonic()
                    logging.getLogger(NAME).info("Making the image cache: %d of %d images", number + 1, total)
    finally:
        pool.shutdown(cancel_futures=True)
    return problems


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
