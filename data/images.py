"""Images as uint8 [3, H, W], from their files or from a cache that all trials on the machine share.

A cache is a folder with every image of a split, decoded and resized once, in one file that is mapped into memory: the
operating system keeps one copy for all processes. Its name says which files at which size it was made from, and when
those last changed, so that an outdated one is never read; it appears in one step, and who asks for one that is being
made waits for it.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import functional as F

from data.datasets.base import DatasetError

_FORMAT = 1  # raised when the same files would give other bytes
_PIXELS, _INDEX = "images.npy", "index.json"
_AT_ONCE = 256  # images decoded while others wait to be written


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
    """Reads images from a cache's folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._open()

    def _open(self) -> None:
        index = json.loads((self.folder / _INDEX).read_text(encoding="utf-8"))
        self.problems: dict[int, str] = {int(number): text for number, text in index["problems"].items()}
        self._pixels = np.load(self.folder / _PIXELS, mmap_mode="r")

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
    paths: Sequence[str], size: Sequence[int], folder: Path, label: str, note: Callable[[str], object]
) -> Images:
    """The images `paths` resized to `size` (height, width), from a cache in `folder`, which is made if need be.

    Where none can be made — a read-only or full disk — they are read from their files, and `note` is told so in one
    line. Caches of the same files that have become outdated are removed.
    """
    group = _group(paths, size, label)
    place = folder / f"{group}-{_state_of(paths)}"
    try:
        if not (place / _INDEX).is_file():
            folder.mkdir(parents=True, exist_ok=True)
            with _only_one(folder / f".{group}.lock"):
                if not (place / _INDEX).is_file():
                    _make(place, paths, size)
                    _remove_outdated(folder, group, place)
        return CachedImages(place)
    except OSError as error:
        note(
            f"No image cache: cannot write {folder} ({error.strerror or error}); images are decoded every time. "
            "DATALOADER.CACHE_DIR names another folder, DATALOADER.CACHE False does without"
        )
        return FileImages(paths, size)


def _group(paths: Sequence[str], size: Sequence[int], label: str) -> str:
    text = json.dumps([_FORMAT, list(size), [os.path.abspath(path) for path in paths]])
    return f"{label}-{size[0]}x{size[1]}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def _state_of(paths: Sequence[str]) -> str:
    """Digest of sizes and times of change; a missing file is a state as well."""
    states = []
    for path in paths:
        try:
            status = os.stat(path)
            states.append((status.st_size, status.st_mtime_ns))
        except OSError:
            states.append((-1, 0))
    return hashlib.sha256(repr(states).encode()).hexdigest()[:16]


@contextmanager
def _only_one(lock: Path) -> Iterator[None]:
    """Holds `lock`, waiting for who holds it; the system frees it when a process dies."""
    with open(lock, "w", encoding="utf-8") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX)
        except OSError:
            pass  # a file system without locks: several may make the cache, and the first to finish wins
        yield


def _make(place: Path, paths: Sequence[str], size: Sequence[int]) -> None:
    part = place.with_name(f".{place.name}.{uuid.uuid4().hex}.part")
    part.mkdir()
    try:
        shape = (len(paths), 3, *size)
        needed, free = int(np.prod(shape)), shutil.disk_usage(part).free
        if needed > free:
            raise OSError(f"{needed / 1e9:.1f} GB are needed, {free / 1e9:.1f} GB free")
        problems = _write_pixels(part / _PIXELS, paths, size, shape)
        (part / _INDEX).write_text(json.dumps({"problems": problems}), encoding="utf-8")
        try:
            os.rename(part, place)
        except OSError:
            if not (place / _INDEX).is_file():
                raise
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _write_pixels(file: Path, paths: Sequence[str], size: Sequence[int], shape: tuple[int, ...]) -> dict[int, str]:
    """Writes all images in numpy's format; returns what cannot be read. Written, not mapped: a full disk is an
    error then, not the end of the process."""
    images, problems = FileImages(paths, size), dict[int, str]()
    with open(file, "wb") as stream, ThreadPoolExecutor(_processors()) as pool:
        np.lib.format.write_array_header_1_0(
            stream, {"descr": "|u1", "fortran_order": False, "shape": shape}
        )
        for first in range(0, len(paths), _AT_ONCE):
            numbers = range(first, min(first + _AT_ONCE, len(paths)))
            for number, (pixels, wrong) in zip(numbers, pool.map(images.read, ([n] for n in numbers)), strict=True):
                stream.write(pixels.tobytes())
                if wrong:
                    problems[number] = wrong[0]
        stream.flush()
        os.fsync(stream.fileno())
    return problems


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _remove_outdated(folder: Path, group: str, place: Path) -> None:
    """Who has one open keeps it: its file lives as long as it is mapped."""
    for other in (*folder.glob(f"{group}-*"), *folder.glob(f".{group}-*.part")):
        if other != place:
            shutil.rmtree(other, ignore_errors=True)
