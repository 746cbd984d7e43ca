"""Appends to files, and reads what others append, in a folder that a trainer may clear at any time."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

from .files import NEW_FILE, create_part, make_way, put_aside

READ_SIZE = 1 << 20  # bytes read at a time
_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC


def append(descriptor: int, data: bytes) -> None:
    """Appends all of `data`, or nothing when the disk is full.

    Raises:
        OSError: the data could not be written.
    """
    size = os.fstat(descriptor).st_size
    view = memoryview(data)
    try:
        while view:
            view = view[os.write(descriptor, view) :]
    except OSError:
        os.ftruncate(descriptor, size)
        raise


class GrowingFile:
    """A file that this process appends to. A deleted one stays open without a name until `restore` puts it back."""

    _open: ClassVar[dict[Path, GrowingFile]] = {}

    def __init__(self, path: Path) -> None:
        make_way(path)
        self.path = path
        self.descriptor = os.open(path, _FLAGS, NEW_FILE)
        self._open[path] = self

    @classmethod
    def is_other(cls, path: Path, found: os.stat_result) -> bool:
        """Tells whether this process appends to another file than the one `found` at that path."""
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
        """Puts the file back at its path with everything written so far.

        Raises:
            OSError: the file could not be put back; it stays open without a name.
        """
        part, temporary = create_part(self.path)
        try:
            os.lseek(self.descriptor, 0, os.SEEK_SET)  # for reading; O_APPEND writes at the end
            with open(part, "wb") as new, open(self.descriptor, "rb", closefd=False) as old:
                shutil.copyfileobj(old, new, READ_SIZE)
            descriptor = os.open(temporary, _FLAGS)
            put_aside(self.path)
            os.replace(temporary, self.path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
        former, self.descriptor = self.descriptor, descriptor
        os.close(former)

    def close(self) -> None:
        """Closes the file; the path belongs to nobody from here on."""
        if self._open.get(self.path) is self:
            del self._open[self.path]
        os.close(self.descriptor)


class GrowingLines:
    """Reads the whole lines that a file has gained since the last call, and keeps the beginning of an unfinished one.

    Lines longer than `limit` bytes are left out, so that a file without line ends never fills the memory.
    """

    def __init__(self, offset: int = 0, limit: int | None = None) -> None:
        self.position = offset  # bytes read so far
        self._limit = limit
        self._rest = b""

    @property
    def offset(self) -> int:
        """Where the last whole line ends, in bytes (only without a limit)."""
        return self.position - len(self._rest)

    def read(self, file: BinaryIO) -> Iterator[bytes]:
        """Yields every new line of the file without its line end. To be read to the end."""
        file.seek(self.position)
        while data := file.read(READ_SIZE):
            self.position += len(data)
            *lines, self._rest = (self._rest + data).split(b"\n")
            if self._limit is not None:
                self._rest = self._rest[: self._limit + 1]
            yield from (line for line in lines if self._limit is None or len(line) <= self._limit)

    def unfinished(self) -> bytes:
        """Takes the beginning of a line that has no end yet; empty when it is too long."""
        rest, self._rest = self._rest, b""
        return rest if self._limit is None or len(rest) <= self._limit else b""

    def restart(self) -> None:
        """Reads from the file's beginning next time: the file has been written again."""
        self.position, self._rest = 0, b""


def json_object(line: bytes) -> dict[str, Any] | None:
    """Parses the JSON object of a line; None for a line that holds something else, or half of one."""
    if b"{" not in line:
        return None
    try:
        content = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None
