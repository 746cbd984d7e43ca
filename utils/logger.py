"""Log of the trainer, in reid-strong-baseline's line format, on stdout and in OUTPUT_DIR/log.txt."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from pathlib import Path
from typing import TextIO

FORMAT = "%(asctime)s %(name)s %(levelname)s: %(message)s"
NAME = "reid_baseline.train"


class _BufferHandler(logging.Handler):
    """Handler that keeps records until log.txt can be opened."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


class _ConsoleHandler(logging.StreamHandler[TextIO]):
    """Handler that writes to stdout and ignores a closed pipe: `… | head` does not end a run."""

    def __init__(self) -> None:
        escape_unprintable(sys.stdout)
        super().__init__(sys.stdout)

    def handleError(self, record: logging.LogRecord) -> None:
        error = sys.exc_info()[1]
        if isinstance(error, BrokenPipeError | ConnectionResetError):
            # Python flushes stdout once more when it ends, and says so loudly where that fails.
            with suppress(OSError, ValueError, AttributeError), open(os.devnull, "w") as nowhere:
                os.dup2(nowhere.fileno(), self.stream.fileno())
        elif not isinstance(error, OSError):  # a disk may be full for a moment; log.txt has the line
            super().handleError(record)


@contextmanager
def early_log(*, silent: bool = False) -> Iterator[logging.Logger]:
    """Opens the trainer's logger before OUTPUT_DIR exists: on stdout, and later in the log.txt that `open_log` opens.

    Args:
        silent: discards all lines, in a process beside the one that writes the log.
    """
    logger = logging.getLogger(NAME)
    _set_handlers(logger, *([logging.NullHandler()] if silent else [_ConsoleHandler(), _BufferHandler()]))
    try:
        yield logger
    finally:
        close_log(logger)


def open_log(output_dir: Path) -> logging.Logger:
    """Opens the trainer's logger on stdout and log.txt, which is appended to line by line."""
    logger = logging.getLogger(NAME)
    file = logging.FileHandler(output_dir / "log.txt", encoding="utf-8", errors="backslashreplace")
    early = [record for handler in logger.handlers if isinstance(handler, _BufferHandler) for record in handler.records]
    _set_handlers(logger, _ConsoleHandler(), file)
    for record in early:
        file.handle(record)
    return logger


def _set_handlers(logger: logging.Logger, *handlers: logging.Handler) -> None:
    """Replaces the logger's handlers, in the trainer's line format."""
    close_log(logger)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    for handler in handlers:
        handler.setFormatter(logging.Formatter(FORMAT))
        logger.addHandler(handler)


@contextmanager
def log_to_stderr(program: str) -> Iterator[logging.Logger]:
    """Sends the trainer's log to stderr for a tool; each line begins with the program's name."""
    escape_unprintable(sys.stdout)
    logger = logging.getLogger(NAME)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(f"{program}: %(message)s"))
    before = logger.level, logger.propagate
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.addHandler(handler)
    try:
        yield logger
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before[0])
        logger.propagate = before[1]


def escape_unprintable(stream: TextIO) -> None:
    """Lets a stream escape what its encoding lacks, such as a file name that is not UTF-8, rather than fail."""
    if isinstance(stream, TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")


def close_log(logger: logging.Logger) -> None:
    """Closes the logger's handlers, log.txt too; it may be opened again."""
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()
