"""Output folder of a training: the names of its files of weights, and the lock that one training at a time holds.

Imports no torch.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import socket
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from types import TracebackType

from utils.errors import ConfigError

BEST_NAME = "best.pth"  # weights with the highest mAP so far; no checkpoint to resume from
_NAME = re.compile(r"checkpoint_epoch_(\d+)(?:_iteration_(\d+))?\.pth")


def checkpoint_name(epoch: int, iteration: int) -> str:
    """Names the checkpoint after `iteration` batches of `epoch`; epoch N + 1, iteration 0 is "after epoch N"."""
    if iteration == 0:
        return f"checkpoint_epoch_{epoch - 1}.pth"
    return f"checkpoint_epoch_{epoch}_iteration_{iteration}.pth"


def list_checkpoints(folder: Path) -> list[Path]:
    """Lists the checkpoints of a run, the latest first.

    Raises:
        ConfigError: the folder is there and cannot be listed, so that nobody knows which checkpoints it holds.
    """
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise ConfigError(f"OUTPUT_DIR: cannot list the folder {folder}: {error.strerror}") from None
    found = []
    for name in names:
        if match := _NAME.fullmatch(name):
            epoch, iteration = int(match[1]), match[2]
            found.append(((epoch, 0) if iteration is None else (epoch - 1, int(iteration)), folder / name))
    return [path for _position, path in sorted(found, reverse=True)]


class OutputLock:
    """Lock on an output folder, for one training at a time; the system frees it when the process ends, however.

    It is a lock of the process (POSIX), which workers of a loader do not inherit: they may outlive a killed training
    by seconds. The lock's file stays in the folder; it says who holds the lock.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / ".training.lock"
        self._file: int | None = None

    def __enter__(self) -> OutputLock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    @property
    def taken(self) -> bool:
        """Tells whether this process has the lock, or there are no locks."""
        return self._file is not None

    def take(self, lines: list[str]) -> None:
        """Takes the lock where the folder is there.

        Args:
            lines: gets a line for the log where the file system has no locks.
        Raises:
            ConfigError: another training holds the lock, or the folder cannot be written to.
        """
        try:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (FileNotFoundError, NotADirectoryError):
            return  # made, or refused, when the training begins
        except OSError as error:
            if self._file is None:
                raise ConfigError(f"OUTPUT_DIR: cannot write to {self._folder}: {error.strerror}") from None
            if error.errno in (errno.EACCES, errno.EAGAIN):
                raise ConfigError(
                    f"OUTPUT_DIR: {self._folder} is in use by another training ({self._holder()}): wait for its end, or"
                    " give another OUTPUT_DIR"
                ) from None
            lines.append(
                f"OUTPUT_DIR: {self._folder} is on a file system without locks ({error.strerror}); nothing keeps two"
                " trainings from using it"
            )
        now = datetime.now().astimezone().isoformat(" ", "seconds")
        with suppress(OSError):  # of a full disk; the lock holds without
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, f"process {os.getpid()} on {socket.gethostname()}, since {now}".encode(), 0)

    def _holder(self) -> str:
        """Reads who holds the lock."""
        assert self._file is not None
        return os.pread(self._file, 1000, 0).decode("utf-8", "replace").strip() or "which has just begun"
