"""A file that is appended to in a folder which others write to and may clear."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any, ClassVar


def read(path: Path) -> dict[str, Any]:
    """A JSON file's object; empty where it cannot be read."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


PART_AGE = 60.0  # seconds after which a half-written file belongs to nobody any more


def write_atomically(path: Path, text: str, *, durable: bool = True) -> None:
    """Replaces `path` by `text` in one step; `durable` also survives a power cut (fsync)."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def remove_parts(folder: Path) -> None:
    """Removes what writers that were killed half-way have left in `folder` and the folders in it."""
    for pattern in (".*.part", "*/.*.part"):
        for path in folder.glob(pattern):
            with contextlib.suppress(OSError):
                if time.time() - path.stat().st_mtime > PART_AGE:
                    path.unlink()


def append(descriptor: int, data: bytes) -> None:
    """Appends all of `data`, or nothing when the disk is full."""
    size = os.fstat(descriptor).st_size
    view = memoryview(data)
    try:
        while view:
            view = view[os.write(descriptor, view) :]
    except OSError:
        os.ftruncate(descriptor, size)
        raise


FLAGS = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC


class GrowingFile:
    """A file that is only appended to. Deleted, it lives on without a name, and `restore` gives it its name back."""

    _open: ClassVar[dict[Path, GrowingFile]] = {}

    def __init__(self, path: Path) -> None:
        self.path = path
        self.descriptor = os.open(path, FLAGS, 0o644)
        self._open[path] = self

    @classmethod
    def is_other(cls, path: Path, found: os.stat_result) -> bool:
        """Whether the file `found` at that path is none of ours: this process appends to another one."""
        ours = cls._open.get(path)
        try:
            return ours is not None and not os.path.samestat(found, os.fstat(ours.descriptor))
        except OSError:  # being put back, or closed, at this moment
            return True

    @property
    def in_place(self) -> bool:
        """Whether the file at the path is this one."""
        try:
            return os.path.samestat(os.stat(self.path), os.fstat(self.descriptor))
        except OSError:
            return False

    def restore(self) -> None:
        """Puts the file back at its path with all it holds. Raises OSError; it goes on without a name then."""
        part, temporary = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}.", suffix=".part")
        try:
            os.lseek(self.descriptor, 0, os.SEEK_SET)  # where it is read; it is appended to at its end
            with open(part, "wb") as new, open(self.descriptor, "rb", closefd=False) as old:
                shutil.copyfileobj(old, new, 1 << 20)
            os.chmod(temporary, 0o644)
            descriptor = os.open(temporary, FLAGS)
            put_aside(self.path)
            os.replace(temporary, self.path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
        former, self.descriptor = self.descriptor, descriptor
        os.close(former)

    def close(self) -> None:
        if self._open.get(self.path) is self:
            del self._open[self.path]
        os.close(self.descriptor)


def put_aside(path: Path) -> None:
    """Renames what a trainer has put in the place of the launcher's file: metrics.jsonl to metrics.trainer.jsonl."""
    with contextlib.suppress(FileNotFoundError):
        os.rename(path, path.with_name(f"{path.stem}.trainer{path.suffix}"))
