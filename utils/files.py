"""Atomic writing of files: whenever the process or the machine stops, a file is unchanged or complete."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from utils.errors import ConfigError
from utils.logger import NAME
from utils.text import one_line

TEMPORARY_SUFFIX = ".tmp"


def require_writable(path: Path, *, folder_given: bool = False) -> None:
    """Makes the folder of an output file and tries to write there, before hours of work depend on it.

    A folder that was not there is logged, since its name may be mistyped; not so with `folder_given`: where the user gave the
    folder of the output, not a file.

    Raises:
        ConfigError: the file could not be written.
    """
    temporary = path.with_name(path.name + TEMPORARY_SUFFIX)
    try:
        if not (folder_given or path.parent.exists()):
            path.parent.mkdir(parents=True)
            logging.getLogger(NAME).info("Made the folder %s, which was not there", one_line(str(path.parent)))
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        temporary.touch()
        temporary.unlink()
    except FileExistsError:  # mkdir finds a file in the folder's place
        raise cannot_write(path, NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))) from None
    except OSError as error:
        raise cannot_write(path, error) from None


def cannot_write(path: Path, error: OSError) -> ConfigError:
    """Makes the error for a path that cannot be written."""
    return ConfigError(f"cannot write {path}: {error.strerror or error}")


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Replaces a file by what `write` writes; on any error the file is unchanged and nothing is left behind.

    A process killed while writing leaves `path` + ".tmp", which the next call overwrites.
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
        os.fsync(folder)  # puts the new name on the disk, too
    finally:
        os.close(folder)
