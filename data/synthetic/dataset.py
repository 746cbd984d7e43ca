"""Synthetic pedestrian set: drawn people seen by invented cameras, in the Market-1501 layout.

Every picture is a function of the seed, the identity, the camera and its number; more identities do not change the
others. A set's folder appears in one step, so that trials that start together can all ask for the set.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from data.datasets.base import DatasetError, DatasetRequest, ReIDDataset
from data.datasets.market1501 import GALLERY, QUERY, TRAIN, read_market1501
from data.synthetic.cameras import make_cameras, photograph
from data.synthetic.people import Person, random_person

DESCRIPTION = "synthetic.json"
_DRAWING_CODE = ("people.py", "cameras.py", "dataset.py")
# First words of the random seeds, one for each kind of drawing.
_CAMERAS, _PEOPLE, _TRAIN, _QUERY, _GALLERY, _DISTRACTORS, _JUNK = range(7)


# A query needs a match in another camera, hence two; smaller pictures show nothing.
_LEAST = {
    "seed": 0, "train_ids": 1, "test_ids": 1, "cameras": 2, "cameras_per_id": 2, "shots": 1,
    "gallery_shots": 1, "distractors": 0, "junk": 0, "width": 8, "height": 16,
}  # fmt: skip


@dataclass(frozen=True)
class SyntheticSpec:
    """Parameters of a synthetic set; the defaults are sized for training on a CPU.

    Every identity is seen by `cameras_per_id` of the `cameras`: a training one `shots` times by each, a
    test one by each once as a query and `gallery_shots` times in the gallery. `width` and `height` are
    pixels.

    Raises:
        DatasetError: values out of range.
    """

    seed: int = 0
    train_ids: int = 32
    test_ids: int = 24
    cameras: int = 6
    cameras_per_id: int = 4
    shots: int = 4
    gallery_shots: int = 2
    distractors: int = 60
    junk: int = 12
    width: int = 32
    height: int = 64

    def __post_init__(self) -> None:
        problems = [
            f"{field} must be at least {least}, not {value}"
            for field, least in _LEAST.items()
            if (value := getattr(self, field)) < least
        ]
        if self.cameras_per_id > self.cameras:
            problems.append(f"cameras_per_id must be at most cameras ({self.cameras}), not {self.cameras_per_id}")
        if self.train_ids + self.test_ids > 9999:
            problems.append(f"train_ids + test_ids must be at most 9999, not {self.train_ids + self.test_ids}")
        if problems:
            raise DatasetError("synthetic set: " + "; ".join(problems))


def read(request: DatasetRequest) -> ReIDDataset:
    """Reads the default synthetic set; raises DatasetError as `write_synthetic` does."""
    return read_synthetic(request.root)


def read_synthetic(root: Path) -> ReIDDataset:
    """Reads the default synthetic set; draws it below `root` first where it is missing."""
    spec = SyntheticSpec()
    return read_market1501("synthetic", write_synthetic(root / folder_name(spec), spec))


def folder_name(spec: SyntheticSpec) -> str:
    """Names the folder of a set by its sizes, and a digest of its parameters and of the drawing code."""
    digest = hashlib.sha256(description(spec).encode()).hexdigest()[:8]
    return f"synthetic-{spec.width}x{spec.height}-{spec.train_ids}+{spec.test_ids}ids-seed{spec.seed}-{digest}"


def description(spec: SyntheticSpec) -> str:
    """Writes the JSON text for a set's folder: its parameters and the version of the drawing code."""
    return json.dumps({"drawing": _drawing_version(), **asdict(spec)}, indent=1) + "\n"


@cache
def _drawing_version() -> str:
    """Digests the drawing code, as a version that nobody can forget to raise."""
    code = b"".join(Path(__file__).with_name(name).read_bytes() for name in _DRAWING_CODE)
    return hashlib.sha256(code).hexdigest()[:16]


def write_synthetic(folder: Path, spec: SyntheticSpec) -> Path:
    """Writes the set of `spec` into `folder`, in one step; keeps a complete set that exists.

    A killed writer leaves a hidden `….part` folder beside it, which nothing reads. Processes that write one folder
    at the same time all succeed: the first to finish wins.

    Returns:
        The folder.
    Raises:
        DatasetError: the folder holds something else or cannot be written.
    """
    part = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}.part")
    try:
        if _is_complete(folder, spec):
            return folder
        part.mkdir(parents=True)
        _draw_set(part, spec)
        try:
            os.rename(part, folder)
        except OSError:
            if not _is_complete(folder, spec):
                raise
    except OSError as error:
        raise DatasetError(f"synthetic set: cannot write {folder} ({error.strerror or error})") from None
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return folder


def _is_complete(folder: Path, spec: SyntheticSpec) -> bool:
    """Tells whether the folder holds the whole set; DatasetError where it holds anything else."""
    # Looked at first: the whole set may appear at any moment, and must not be taken for foreign files.
    occupied = folder.is_dir() and any(folder.iterdir())
    try:
        if (folder / DESCRIPTION).read_text(encoding="utf-8") == description(spec):
            return True
        found = "a synthetic set of other parameters or of another version"
    except FileNotFoundError:
        if not occupied:
            return False
        found = "other files"
    except NotADirectoryError:
        found = "something that is not a folder"
    except UnicodeDecodeError:
        found = "other files"
    raise DatasetError(f"synthetic set: {folder} holds {found}; remove it or name another folder")


def _draw_set(folder: Path, spec: SyntheticSpec) -> None:
    """Draws all pictures into their split's folders and writes the description."""
    for split in (TRAIN, QUERY, GALLERY):
        (folder / split).mkdir()
    for split, name, picture in _pictures(spec):
        picture.save(folder / split / name, quality=92, subsampling=0)
    (folder / DESCRIPTION).write_text(description(spec), encoding="utf-8")


def _pictures(spec: SyntheticSpec) -> Iterator[tuple[str, str, Image.Image]]:
    """Draws all pictures; yields split, file name and picture. Frame numbers count all pictures."""
    size = spec.width, spec.height
    cameras = make_cameras(np.random.default_rng([spec.seed, _CAMERAS]), spec.cameras, spec.width, spec.height)
    frame = 0

    def shoot(split: str, pid: int, person: Person | None, camera: int, *key: int) -> tuple[str, str, Image.Image]:
        nonlocal frame
        frame += 1
        label = f"{pid:04d}" if pid >= 0 else str(pid)
        rng = np.random.default_rng([spec.seed, *key])
        picture = photograph(cameras[camera], person, rng, size)
        return split, f"{label}_c{camera + 1}s1_{frame:06d}_00.jpg", picture

    for pid in range(1, spec.train_ids + 1):
        person, seen_by = _identity(spec, _TRAIN, pid)
        for camera in seen_by:
            for take in range(spec.shots):
                yield shoot(TRAIN, pid, person, camera, _TRAIN, pid, camera, take)
    for number in range(1, spec.test_ids + 1):
        person, seen_by = _identity(spec, _GALLERY, number)
        pid = spec.train_ids + number
        for camera in seen_by:
            yield shoot(QUERY, pid, person, camera, _QUERY, number, camera)
            for take in range(spec.gallery_shots):
                yield shoot(GALLERY, pid, person, camera, _GALLERY, number, camera, take)
    for number in range(spec.distractors):
        person, _ = _identity(spec, _DISTRACTORS, number)
        yield shoot(GALLERY, 0, person, number % spec.cameras, _DISTRACTORS, number)
    for number in range(spec.junk):
        yield shoot(GALLERY, -1, None, number % spec.cameras, _JUNK, number)


def _identity(spec: SyntheticSpec, role: int, number: int) -> tuple[Person, list[int]]:
    """Draws an identity and chooses the cameras that see it, in order."""
    rng = np.random.default_rng([spec.seed, _PEOPLE, role, number])
    person = random_person(rng)
    return person, sorted(int(camera) for camera in rng.choice(spec.cameras, spec.cameras_per_id, replace=False))
