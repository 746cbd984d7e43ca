"""Images as uint8 [3, H, W], from their files or from a cache that all trials on the machine share.

A cache is a folder with every image of a split, decoded and resized once, in one file that is mapped into memory: the
operating system keeps one copy for all processes. Its name says whose images at which size it holds, then from which
files it was made and when those last changed: an outdated one is never read, and can be told from those of others. It
appears in one step, and who asks for one that is being made waits for it.
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
from torchvision.transforms.v2 import functional as F

from data.datasets.base import DatasetError
from utils.logger import NAME

_FORMAT = 2  # raised when the same files would give other bytes
_PIXELS, _INDEX = "images.npy", "index.json"
_AT_ONCE = 256  # images decoded while others wait to be written
_TOLD_EVERY = 10.0  # seconds between two lines while a cache is made
_ASK_EVERY = 0.2  # seconds until it is looked again whether another has made it


class Images(Protocol):
    """Images by number, resized."""

    def read(self, numbers: Sequence[int]) -> tuple[NDArray[np.uint8], dict[int, str]]:
        """Images [B, 3, H, W]; and, for the places in `numbers` whose image cannot be read, what is wrong."""
        ...


def read_image(path: str) -> Tensor:
    """Decodes an image file, grey and palette too, to RGB, uint8 [3, H, W]. DatasetError names the file."""
    try:
        with Image.open(path) as image:
            pixels = np.array(image.convert("RGB"))
    except Exception as error:  # Pillow's decoders raise nearly every built-in type on damaged data
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DatasetError(f"cannot read the image {path}: {reason}") from None
    return torch.from_numpy(pixels).permute(2, 0, 1)


class FileImages:
    """Decodes and resizes an image whenever it is asked for."""

    def __init__(self, paths: Sequence[str], size: Sequence[int]) -> None:
        self.paths = paths
        self.size = list(size)

    def read(self, numbers: Sequence[int]) -> tuple[NDArray[np.uint8], dict[int, str]]:
        """See Images."""
        pixels = np.zeros((len(numbers), 3, *self.size), dtype=np.uint8)
        problems = {}
        for place, number in enumerate(numbers):
            try:
                pixels[place] = F.resize(read_image(self.paths[number]), self.size, antialias=True).numpy()
            except DatasetError as error:
                problems[place] = str(error)
        return pixels, problems


class CachedImages:
    """Reads images from a cache's folder, which nobody removes as long as this lives.

    Raises OSError where it cannot be opened, ValueError where it is damaged.
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
        """Of all images together."""
        return self._pixels.shape

    def read(self, numbers: Sequence[int]) -> tuple[NDArray[np.uint8], dict[int, str]]:
        """See Images."""
        problems = {place: self.problems[n] for place, n in enumerate(numbers) if n in self.problems}
        return self._pixels[np.asarray(numbers, dtype=np.int64)], problems

    def __getstate__(self) -> dict[str, Any]:
        return {"folder": self.folder}  # a mapping would be sent to workers as all its bytes

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.folder = state["folder"]
        self._open()


def cached(
    paths: Sequence[str],
    size: Sequence[int],
    folder: Path,
    label: str,
    note: Callable[[str], object],
    *,
    owner: str = "",
    check_stop: Callable[[], None] = lambda: None,
) -> Images:
    """The images `paths` resized to `size` (height, width), from a cache in `folder`, which is made if need be.

    Where none can be made — a read-only or full disk — they are read from their files, and `note` is told so in one
    line. Caches of the same `owner`, label and size are of files that have been changed, added or removed since; they
    are removed once nobody reads them. `check_stop` is called after every image and may raise.
    """
    group = _group(owner, size, label)
    place = folder / f"{group}-{_state_of(paths)}"
    shape = (len(paths), 3, *size)
    try:
        images = _opened(place, shape)
        if images is None:
            folder.mkdir(parents=True, exist_ok=True)
            with _only_one(folder / f".{group}.lock", check_stop):
                images = _opened(place, shape)
                if images is None:
                    _discard(place)
                    _remove_outdated(folder, group, place)  # which makes room
                    _make(place, paths, size, check_stop)
                    _remove_unfinished(folder, group)
                    images = CachedImages(place)
        _remove_outdated(folder, group, place)
        return images
    except OSError as error:
        # Without locks two may make one, and who is done first takes away what the other has begun.
        with suppress(OSError):
            if (images := _opened(place, shape)) is not None:
                return images
        note(
            f"No image cache: cannot write {folder} ({error.strerror or error}); images are decoded every time. "
            "DATALOADER.CACHE_DIR names another folder, DATALOADER.CACHE False does without"
        )
        return FileImages(paths, size)


def _opened(place: Path, shape: tuple[int, ...]) -> CachedImages | None:
    """The cache, unless there is none or it is not whole: a copied or restored one may be cut short."""
    try:
        images = CachedImages(place)
    except (FileNotFoundError, ValueError):
        return None
    return images if images.shape == shape else None


def _group(owner: str, size: Sequence[int], label: str) -> str:
    text = json.dumps([_FORMAT, list(size), owner])
    return f"{label}-{size[0]}x{size[1]}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def _state_of(paths: Sequence[str]) -> str:
    """Digest of the files, their sizes and times of change; a missing file is a state as well."""
    states = []
    for path in paths:
        try:
            status = os.stat(path)
            states.append((os.path.abspath(path), status.st_size, status.st_mtime_ns))
        except OSError:
            states.append((os.path.abspath(path), -1, 0))
    return hashlib.sha256(repr(states).encode()).hexdigest()[:16]


def _try_lock(file: int, kind: int) -> bool:
    """False where another holds it, and on a file system without locks."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


@contextmanager
def _only_one(lock: Path, check_stop: Callable[[], None]) -> Iterator[None]:
    """Holds `lock`, waiting for who holds it; the system frees it when a process dies."""
    with open(lock, "w", encoding="utf-8") as stream:
        told = False
        while True:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not told:
                    logging.getLogger(NAME).info("Waiting for the image cache, which another process makes")
                told = True
            except OSError:
                break  # a file system without locks: several may make the cache, and the first to finish wins
            check_stop()
            time.sleep(_ASK_EVERY)
        yield


def _make(place: Path, paths: Sequence[str], size: Sequence[int], check_stop: Callable[[], None]) -> None:
    part = _aside(place)
    part.mkdir()
    try:
        shape = (len(paths), 3, *size)
        needed, free = int(np.prod(shape)), shutil.disk_usage(part).free
        if needed > free:
            raise OSError(f"{needed / 1e9:.1f} GB are needed, {free / 1e9:.1f} GB free")
        logging.getLogger(NAME).info("Making the image cache: %d images", len(paths))
        with open(part / _PIXELS, "wb") as stream:
            problems = _write_pixels(stream, FileImages(paths, size), shape, check_stop)
            _to_disk(stream)
        with open(part / _INDEX, "wb") as stream:
            stream.write(json.dumps({"problems": problems}).encode())
            _to_disk(stream)
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
    """Writes all images in numpy's format; returns what cannot be read. Written, not mapped: a full disk is an
    error then, not the end of the process."""
    total, problems, told = shape[0], dict[int, str](), time.monotonic()
    np.lib.format.write_array_header_1_0(stream, {"descr": "|u1", "fortran_order": False, "shape": shape})
    pool = ThreadPoolExecutor(_processors())
    try:
        for first in range(0, total, _AT_ONCE):
            numbers = range(first, min(first + _AT_ONCE, total))
            for number, (pixels, wrong) in zip(numbers, pool.map(images.read, ([n] for n in numbers)), strict=True):
                stream.write(pixels.tobytes())
                if wrong:
                    problems[number] = wrong[0]
                check_stop()
                if time.monotonic() - told >= _TOLD_EVERY:
                    told = time.monotonic()
                    logging.getLogger(NAME).info("Making the image cache: %d of %d images", number + 1, total)
    finally:
        pool.shutdown(cancel_futures=True)
    return problems


def _to_disk(stream: BinaryIO) -> None:
    stream.flush()
    os.fsync(stream.fileno())


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _aside(place: Path) -> Path:
    """A name beside `place` that nobody reads."""
    return place.with_name(f".{place.name}.{uuid.uuid4().hex}.part")


def _discard(place: Path) -> None:
    """Takes away what lies in the place of a cache and is none."""
    if place.exists():
        logging.getLogger(NAME).info("The image cache %s is damaged and made anew", place)
        aside = _aside(place)
        os.rename(place, aside)
        shutil.rmtree(aside, ignore_errors=True)


def _remove_unfinished(folder: Path, group: str) -> None:
    """What killed makers have left; for who is the only one to make a cache of the group."""
    for part in folder.glob(f".{group}-*.part"):
        shutil.rmtree(part, ignore_errors=True)


def _remove_outdated(folder: Path, group: str, place: Path) -> None:
    for other in folder.glob(f"{group}-*"):
        if other != place and not _in_use(other):
            shutil.rmtree(other, ignore_errors=True)


def _in_use(cache: Path) -> bool:
    """Whether anybody reads a cache; so it is where that cannot be told."""
    try:
        with open(cache / _INDEX, "r+b") as stream:  # some network file systems lock only what can be written
            return not _try_lock(stream.fileno(), fcntl.LOCK_EX)
    except FileNotFoundError:
        return False
    except OSError:
        return True
