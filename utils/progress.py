"""Progress bar at the bottom of a terminal; nothing where the output goes to a file or a program."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sized
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Protocol, TextIO

_REFRESH = 0.2  # seconds between two updates
_WIDTH = 24


class ProgressBar(logging.Filter):
    """Progress bar of a loop; added to a logger as a filter, the bar makes room for that logger's lines.

    Args:
        stream: shows the bar if it is a terminal; default: stderr.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        super().__init__()
        self._stream = stream if stream is not None else sys.stderr
        self.visible = self._stream.isatty() and os.environ.get("TERM") != "dumb"
        self._shown = 0.0
        self._on_screen = False
        self._begun = (0.0, 0)  # time, and items done by then

    def start(self, done: int) -> None:
        """Starts the clock of a loop, of which `done` items are done already."""
        self._begun = (time.monotonic(), done)

    def show(self, title: str, done: int, total: int) -> None:
        """Shows that `done` of `total` items are done; draws at most every 0.2 s."""
        now = time.monotonic()
        if not self.visible or now - self._shown < _REFRESH:
            return
        self._shown, self._on_screen = now, True
        self._stream.write(f"\r{progress_line(title, done, total, now - self._begun[0], done - self._begun[1])}\x1b[K")
        self._stream.flush()

    def clear(self) -> None:
        """Clears the bar from the screen until the next `show`."""
        if self._on_screen:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
            self._on_screen = False

    def filter(self, record: logging.LogRecord) -> bool:
        """Clears the bar and lets every record pass."""
        self.clear()
        return True


class Batches(Iterable[Any], Sized, Protocol):
    """Batches with a known number, such as a loader's."""


@contextmanager
def with_progress_bar(batches: Batches, title: str, logger: logging.Logger) -> Iterator[Iterator[Any]]:
    """Yields the batches while a ProgressBar shows how many are done and makes room for the lines of `logger`."""
    bar = ProgressBar()

    def shown() -> Iterator[Any]:
        for done, batch in enumerate(batches, start=1):
            yield batch
            bar.show(title, done, len(batches))

    logger.addFilter(bar)
    bar.start(0)
    try:
        yield shown()
    finally:
        bar.clear()
        logger.removeFilter(bar)


def progress_line(title: str, done: int, total: int, seconds: float, items: int) -> str:
    """Writes the bar's text after `seconds` in which `items` items were done."""
    filled = _WIDTH * done // total
    text = f"{title} [{'#' * filled}{'.' * (_WIDTH - filled)}] {done}/{total}"
    if items > 0 and seconds > 0:
        left = timedelta(seconds=round((total - done) * seconds / items))
        text += f"  {items / seconds:.2f}/s  {left} left"
    return text
