"""Files that are either as before or complete, whenever the process or the machine stops."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from utils.errors import ConfigError

TEMPORARY_SUFFIX = ".tmp"


def require_writable(path: Path) -> None:
    """Makes the folder of a file that is to be written later, so that hours of work are not lost to a typing error.

    Raises:
        ConfigError: the file could not be written.
    """
    temporary = path.with_name(path.name + TEMPORARY_SUFFIX)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        temporary.touch()
        temporary.unlink()
    except FileExistsError:  # what mkdir finds in its place
        raise cannot_write(path, NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))) from None
    except OSError as error:
        raise cannot_write(path, error) from None


def cannot_write(path: Path, error: OSError) -> ConfigError:
    """What is told when `path` cannot be written."""
    return ConfigError(f"cannot write {path}: {error.strerror or error}")


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Replaces `path` by what `write` writes; on any error `path` is untouched and nothing is left behind.

    A process killed inside leaves `path` + ".tmp", which the next call overwrites.
    """
    temporary = path.with_name(path.name + TEMPORARY_SUFFIX)
    try:
        with open(temporary, "wb") as stream:
            write(stream)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the new name, too, is on the disk
    finally:
        os.close(folder)
