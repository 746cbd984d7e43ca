"""Walks a trial's folder, in which a trainer may leave anything: links that dangle or loop, pipes, sockets, devices,
files that cannot be read, names that are no text.

No link is followed, nothing but a regular file is opened, and what cannot be read is a problem of that file alone.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath

from ..base.files import FULL
from .folder import LAUNCHER_FILES, TrialPaths

LINK_FROM = 1 << 20  # bytes; a retried trial gets larger files as hard links, smaller ones as copies
FICLONE = 0x40049409  # Linux: makes a file share the blocks of another
GROWING = (".txt", ".log", ".json", ".jsonl")  # suffixes of files that are written to again, and so are copied
SHOWN = 3  # problems that a message names


@dataclass(frozen=True)
class Entry:
    """Something below a trial's folder, by its path in the folder.

    `folder` is the descriptor of the open folder with `name` in it, valid until the next step of the walk.
    """

    path: str
    folder: int
    name: str
    mode: int

    @property
    def is_file(self) -> bool:
        """Whether the entry is a regular file."""
        return stat.S_ISREG(self.mode)

    @property
    def is_link(self) -> bool:
        """Whether the entry is a symbolic link."""
        return stat.S_ISLNK(self.mode)

    @property
    def is_folder(self) -> bool:
        """Whether the entry is a folder."""
        return stat.S_ISDIR(self.mode)


class Problems:
    """Collects what could not be read in a trial's folder."""

    def __init__(self) -> None:
        self._found: list[str] = []

    def __bool__(self) -> bool:
        return bool(self._found)

    def __str__(self) -> str:
        """Names the first problems on one line."""
        more = len(self._found) - SHOWN
        return "; ".join([*self._found[:SHOWN], *([f"and {more} more"] if more > 0 else [])])

    def add(self, path: str | bytes | int | None, error: BaseException) -> None:
        """Adds the error of a file.

        Raises:
            OSError: the disk is full, which is no problem of one file.
        """
        if isinstance(error, OSError) and error.errno in FULL:
            raise error
        name = os.fsencode(str(path)).decode("utf-8", "backslashreplace")
        name = name if name.isprintable() else repr(name)
        name = name if len(name) <= 200 else f"{name[:100]}…{name[-99:]}"
        self._found.append(f"{name}: {getattr(error, 'strerror', None) or error}")


def walk(folder: Path, problems: Problems) -> Iterator[Entry]:
    """Yields everything below a trial's folder, a folder before what is in it.

    Args:
        problems: gets what cannot be read.
    """
    if folder.is_symlink():
        problems.add(str(folder), OSError("a link, which is not followed"))
        return
    try:
        for root, folders, names, descriptor in os.fwalk(
            folder, follow_symlinks=False, onerror=lambda error: problems.add(error.filename, error)
        ):
            below = os.path.relpath(root, folder)
            for name in sorted(folders) + sorted(names):
                path = os.path.normpath(os.path.join(below, name))
                try:
                    mode = os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_mode
                except OSError as error:
                    problems.add(path, error)
                    continue
                yield Entry(path, descriptor, name, mode)
    except (OSError, RecursionError) as error:  # the folder itself, or one that is too deep
        problems.add(getattr(error, "filename", None) or str(folder), error)


def link_or_copy(source: Path, target: Path) -> None:
    """Links a regular file, or copies it where the file system has no hard links, or the file is another user's.

    Raises:
        OSError: the file can be neither linked nor copied.
    """
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno in FULL:
            raise
        shutil.copy2(source, target, follow_symlinks=False)


def copy_file(source: Path, target: Path) -> None:
    """Copies a regular file; on a file system that can, the copy shares the blocks until one of them is written to.

    Raises:
        OSError: the file cannot be copied.
    """
    with open(source, "rb") as old, open(target, "wb") as new:
        try:
            fcntl.ioctl(new.fileno(), FICLONE, old.fileno())
        except OSError:
            shutil.copyfileobj(old, new, 1 << 20)
    shutil.copystat(source, target)


def inherit_files(old: TrialPaths, new: TrialPaths, *, links: bool = True) -> Problems:
    """Gives a trial the files that another one left, except the launcher's own; returns what could not be taken over.

    Large files become hard links where the file system has them, as checkpoints are replaced rather than written to;
    files that grow (logs) are copied. Links stay links; one into the other trial's folder leads to the same file in the
    new one. Pipes, sockets and devices are left out.

    Args:
        links: whether the other trial has ended, so that hard links may be made; else every file is copied.

    Raises:
        OSError: the disk is full.
    """
    problems = Problems()
    for entry in walk(old.dir, problems):
        if not entry.is_folder and (entry.path in LAUNCHER_FILES or entry.name.startswith(".")):
            continue
        source, target = old.dir / entry.path, new.dir / entry.path
        try:
            if entry.is_folder:
                target.mkdir(exist_ok=True)
            elif entry.is_link:
                _copy_link(source, target, old.dir, new.dir)
            elif entry.is_file and not os.path.lexists(target):
                size = os.stat(entry.name, dir_fd=entry.folder, follow_symlinks=False).st_size
                if not links:
                    copy_file(source, target)
                elif PurePath(entry.name).suffix in GROWING or size < LINK_FROM:
                    shutil.copy2(source, target, follow_symlinks=False)
                else:
                    link_or_copy(source, target)
        except (OSError, shutil.Error) as error:
            problems.add(entry.path, error)
    return problems


def _copy_link(source: Path, target: Path, old: Path, new: Path) -> None:
    """Makes the link `source` again at `target`."""
    if os.path.lexists(target):
        return
    leads_to, folder = os.readlink(source), str(old.absolute())
    if leads_to == folder or leads_to.startswith(folder + os.sep):
        leads_to = str(new.absolute()) + leads_to[len(folder) :]
    os.symlink(leads_to, target)
