"""The trainer's log: reid-strong-baseline's line format, on stdout and in OUTPUT_DIR/log.txt."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

FORMAT = "%(asctime)s %(name)s %(levelname)s: %(message)s"
NAME = "reid_baseline.train"


class _Kept(logging.Handler):
    """Keeps the lines for a log.txt that is not there yet."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


class _Console(logging.StreamHandler[TextIO]):
    """Writes to stdout for as long as somebody reads it: a run does not depend on `… | head`."""

    def __init__(self) -> None:
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
def early_log() -> Iterator[logging.Logger]:
    """The trainer's logger before OUTPUT_DIR may be touched: on stdout at once, and in the log.txt opened within."""
    logger = logging.getLogger(NAME)
    _take(logger, _Console(), _Kept())
    try:
        yield logger
    finally:
        close_log(logger)


def open_log(output_dir: Path) -> logging.Logger:
    """The trainer's logger, writing every line at once; log.txt is appended to."""
    logger = logging.getLogger(NAME)
    file = logging.FileHandler(output_dir / "log.txt", encoding="utf-8")
    early = [record for handler in logger.handlers if isinstance(handler, _Kept) for record in handler.records]
    _take(logger, _Console(), file)
    for record in early:
        file.handle(record)
    return logger


def _take(logger: logging.Logger, *handlers: logging.Handler) -> None:
    close_log(logger)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    for handler in handlers:
        handler.setFormatter(logging.Formatter(FORMAT))
        logger.addHandler(handler)


@contextmanager
def log_to_stderr(program: str) -> Iterator[logging.Logger]:
    """Within it the trainer's logger writes to stderr, its lines beginning with the program's name."""
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


def close_log(logger: logging.Logger) -> None:
    """Closes log.txt; the logger may be opened again."""
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()
