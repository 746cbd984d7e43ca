"""The trainer's log: reid-strong-baseline's line format, on stdout and in OUTPUT_DIR/log.txt."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

FORMAT = "%(asctime)s %(name)s %(levelname)s: %(message)s"
NAME = "reid_baseline.train"


def open_log(output_dir: Path) -> logging.Logger:
    """The trainer's logger, writing every line at once; log.txt is appended to."""
    logger = logging.getLogger(NAME)
    close_log(logger)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    for handler in (logging.StreamHandler(sys.stdout), logging.FileHandler(output_dir / "log.txt", encoding="utf-8")):
        handler.setFormatter(logging.Formatter(FORMAT))
        logger.addHandler(handler)
    return logger


def close_log(logger: logging.Logger) -> None:
    """Closes log.txt; the logger may be opened again."""
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()
