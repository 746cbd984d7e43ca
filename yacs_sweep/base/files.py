"""Reads and writes whole files that several processes share, in folders where a trainer may leave anything.

A reader never sees half of a file. New files get the permissions that the folder and the umask give, so that a group can
share a sweep.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
import time
from pathlib import Path
from typing import Any, BinaryIO

PART_AGE = 60.0  # seconds after which a half-written file belongs to nobody any more
NEW_FILE = 0o666  # permissions of a new file, less the umask
FULL = (errno.ENOSPC, errno.EDQUOT)


def open_regular(path: Path | str) -> BinaryIO:
    """Opens a file for reading; never waits for the writer of a named pipe, and opens no device.

    Raises:
        FileNotFoundError: there is no regular file.
        OSError: the file cannot be opened.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise FileNotFoundError(errno.ENOENT, "not a regular file", str(path))
    return open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")


def read_regular(path: Path | str) -> bytes:
    """Reads a regular file.

    Raises:
        FileNotFoundError: there is no regular file.
        OSError: the file cannot be read.
    """
    with open_regular(path) as file:
        return file.read()


def read_json(path: Path) -> dict[str, Any]:
    """Reads the object in a JSON file; an empty one where the file is missing, damaged or holds something else."""
    try:
        content = json.loads(read_regular(path))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def write_atomically(path: Path, content: str | bytes, *, durable: bool = True) -> None:
    """Replaces the file at `path` in one step; text is written as UTF-8.

    Args:
        durable: whether the file also survives a power cut (fsync).

    Raises:
        OSError: the file cannot be written; the former one is still in place.
    """
    descriptor, temporary = create_part(path)
    try:
        with open(descriptor, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def create_part(path: Path) -> tuple[int, Path]:
    """Creates an empty file beside `path`, which is to take its place; returns its descriptor and its path."""
    part = path.with_name(f".{path.name}.{os.urandom(6).hex()}.part")
    return os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, NEW_FILE), part


def put_aside(path: Path) -> None:
    """Renames what has the name of a file or folder of the launcher's: metrics.jsonl to metrics.trainer.jsonl."""
    target, number = path.with_name(f"{path.stem}.trainer{path.suffix}"), 1
    while True:
        try:
            os.rename(path, target)
            return
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.EISDIR, errno.ENOTDIR) or number > 99:
                raise
            number += 1
            target = path.with_name(f"{path.stem}.trainer-{number}{path.suffix}")


def make_way(path: Path) -> None:
    """Puts aside what has the name of a file of the launcher's and is no regular file: a folder, a pipe, a broken link; a
    file of ours gets back the permissions that it needs."""
    if os.path.lexists(path) and not os.path.isfile(path):
        put_aside(path)
    elif not os.access(path, os.R_OK | os.W_OK):
        _permit(path, stat.S_IRUSR | stat.S_IWUSR)


def regain(path: Path) -> None:
    """Takes back the permissions of one of the launcher's files and of its folder, which a trainer may have taken away."""
    _permit(path.parent, stat.S_IRWXU)
    _permit(path, stat.S_IRUSR | stat.S_IWUSR)


def _permit(path: Path, mode: int) -> None:
    """Adds permissions to a file or folder of ours; leaves another user's alone."""
    with contextlib.suppress(OSError):
        os.chmod(path, stat.S_IMODE(os.stat(path).st_mode) | mode)


def ensure_folder(folder: Path) -> None:
    """Makes a folder that can be used: a missing one is made, one without our own permissions gets them, and anything else
    of that name is put aside.

    Raises:
        OSError: no such folder can be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if error.errno in FULL or not os.path.lexists(folder) or os.path.isdir(folder):
            raise
        put_aside(folder)
        folder.mkdir()
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        _permit(folder, stat.S_IRWXU)


def remove_parts(folder: Path) -> None:
    """Removes the half-written files that killed writers left in `folder` and in the folders directly below."""
    for pattern in (".*.part", "*/.*.part"):
        for path in folder.glob(pattern):
            with contextlib.suppress(OSError):
                if time.time() - path.stat().st_mtime > PART_AGE:
                    path.unlink()
