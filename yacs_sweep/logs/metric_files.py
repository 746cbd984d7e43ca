"""Follows the metrics that a trainer writes to files while it runs: JSON lines, CSV, and TensorBoard event files.

A thread of its own reads them, so that a slow disk or a large file never holds up the trainer's output.
"""

from __future__ import annotations

import glob
import importlib.util
import os
import queue
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..base.errors import ConfigError
from ..base.shipped import install_command
from .line_files import CsvLines, JsonLines, Reader
from .names import FIELD, Names
from .numbers import LeftOut
from .sources import Row

FORMATS = ("jsonl", "csv", "tensorboard")
PERIOD = 0.25  # seconds between two looks at the files
FAREWELL = 30.0  # seconds that reading what is left may take when the trial has ended
AGAIN = 8.0  # seconds for which a file that cannot be read then is tried again
WAITING = 100_000  # rows between the thread and the trial; more than that makes the thread wait, not the trainer
EVENTS = "*tfevents*"


@dataclass(frozen=True)
class FileSource:
    """An entry of a profile's `files`.

    `path` may hold {output_dir}, {trial_id} and `*`; `step` names the step of TensorBoard events (None: the profile's
    axis).
    """

    path: str
    format: str = "jsonl"
    names: Names = field(default_factory=Names)
    step: str | None = None

    def pattern(self, cwd: Path, values: Mapping[str, str]) -> str:
        """Makes the absolute path pattern for one trial; `*` in a filled-in value is no wildcard."""
        path = FIELD.sub(lambda match: glob.escape(values.get(match[1], "")), self.path)
        return os.path.join(glob.escape(str(cwd)), path)

    def collides(self, ours: tuple[str, ...]) -> bool:
        """Tells whether this is one of the files `ours` directly in the output directory."""
        return self.path.removeprefix("{output_dir}/") in ours


def check_formats(sources: tuple[FileSource, ...], where: str) -> None:
    """Raises ConfigError when a file's format cannot be read in this environment."""
    if any(source.format == "tensorboard" for source in sources) and not _has_tensorboard():
        raise ConfigError(
            f"{where}: files: reading TensorBoard's event files needs the package tensorboard in the launcher's "
            f"environment: {install_command('tensorboard')}"
        )


def _has_tensorboard() -> bool:
    try:
        return importlib.util.find_spec("tensorboard") is not None
    except ValueError:
        return False


class Events:
    """Reads a TensorBoard event file; consecutive scalars of one step are one row."""

    def __init__(self, path: str, names: Names, step: str) -> None:
        self.path, self.names, self.step = path, names, step
        self.left_out: LeftOut | None = None
        self._loader: Any = None
        self._open: Row = {}

    def new_rows(self, last: bool) -> Iterator[Row]:
        """Yields the rows that have arrived; `last` also takes the row that is gathering."""
        if self._loader is None:
            self._loader = _event_loader(self.path)
        for event in self._loader.Load():
            for value in event.summary.value:
                number = _scalar(value)
                metrics = {} if number is None else self.names.metrics([(value.tag, number)], {})
                if not metrics:
                    continue
                if self._open and (self._open[self.step] != event.step or not metrics.keys().isdisjoint(self._open)):
                    yield self._open
                    self._open = {}
                self._open = {self.step: int(event.step), **self._open, **metrics}
        if last and self._open:
            row, self._open = self._open, {}
            yield row


def _event_loader(path: str) -> Any:
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    return EventFileLoader(path)


def _scalar(value: Any) -> float | None:
    """Returns a scalar summary's number; None for histograms, images and the like."""
    if value.HasField("simple_value"):
        return float(value.simple_value)
    tensor = value.tensor
    if not tensor.tensor_shape.dim and value.metadata.plugin_data.plugin_name in ("", "scalars"):
        for numbers in (tensor.float_val, tensor.double_val, tensor.int_val, tensor.int64_val):
            if numbers:
                return float(numbers[0])
    return None


class Follower:
    """Follows the files of one attempt of a trial from now on."""

    def __init__(self, sources: tuple[FileSource, ...], cwd: Path, values: Mapping[str, str], axis: str) -> None:
        """Starts the thread.

        Args:
            cwd: the folder of relative paths.
            values: values of the placeholders in paths.
            axis: the profile's x-axis.
        """
        self._sources = [(source, source.pattern(cwd, values)) for source in sources]
        self._axis = axis
        self._readers: dict[str, Reader] = {}
        self._rows: queue.Queue[tuple[str, Row]] = queue.Queue(WAITING)
        self._end = threading.Event()
        self._gone = threading.Event()
        self.problem = ""
        self.left_out: LeftOut | None = None  # the first value in a file that looks like a number and is none
        self.error: OSError | None = None  # why rows are missing
        self._find(skip=True)
        self._thread = threading.Thread(target=self._follow, name="metric files", daemon=True)
        self._thread.start()

    def rows(self) -> Iterator[tuple[str, Row]]:
        """Yields every row that has arrived, with its file's path; never waits."""
        for _ in range(self._rows.qsize()):
            try:
                yield self._rows.get_nowait()
            except queue.Empty:
                return

    def close(self) -> Iterator[tuple[str, Row]]:
        """Yields the rest of the rows, as the writer has ended; takes at most `FAREWELL` seconds."""
        self._end.set()
        deadline = time.monotonic() + FAREWELL
        while self._thread.is_alive() and time.monotonic() < deadline:
            self._thread.join(0.02)
            yield from self.rows()
        self._gone.set()
        if self._thread.is_alive():
            self.problem = self.problem or f"reading the trial's metric files took longer than {FAREWELL:g} s"
        yield from self.rows()

    def _follow(self) -> None:
        """Reads the files until the end (the thread's work)."""
        until: float | None = None
        while True:
            last = self._end.wait(PERIOD)
            if last and until is None:
                until = time.monotonic() + AGAIN
            try:
                if not self._read(last):
                    return
                self.error = None
            except OSError as error:
                self.error = error
            except Exception as error:  # whatever a foreign file does to a foreign library, the trial continues
                self.problem = f"the trial's metric files cannot be read: {type(error).__name__}: {error}"
                return
            if until is not None and (self.error is None or time.monotonic() > until or self._gone.wait(PERIOD)):
                return

    def _read(self, last: bool) -> bool:
        """Reads what the files have gained; False when nobody takes rows any more."""
        self._find(skip=False)
        for path, reader in self._readers.items():
            for row in reader.new_rows(last):
                if not self._put(path, row):
                    return False
            self.left_out = self.left_out or reader.left_out
        return True

    def _put(self, path: str, row: Row) -> bool:
        """Hands a row over, waiting while there are too many; False when nobody takes rows any more."""
        while not self._gone.is_set():
            try:
                self._rows.put((path, row), timeout=PERIOD)
                return True
            except queue.Full:
                continue
        return False

    def _find(self, *, skip: bool) -> None:
        """Starts to read files that are new; with `skip` their content is an earlier attempt's."""
        os.close(os.open("/", os.O_RDONLY | os.O_CLOEXEC))  # glob hides that no file can be opened at all
        for source, pattern in self._sources:
            for path in sorted(_paths(source, pattern)):
                if path not in self._readers:
                    self._readers[path] = self._reader(source, path, skip)

    def _reader(self, source: FileSource, path: str, skip: bool) -> Reader:
        if source.format != "tensorboard":
            return (CsvLines if source.format == "csv" else JsonLines)(path, source.names, skip=skip)
        reader = Events(path, source.names, source.step or self._axis)
        if skip:
            for _ in reader.new_rows(last=True):
                pass
        return reader


def _paths(source: FileSource, pattern: str) -> Iterator[str]:
    """Yields the files that a pattern matches, and the event files below the folders that it matches."""
    for path in _matches(pattern):
        if os.path.isfile(path):
            yield path
        elif source.format == "tensorboard":
            found = _matches(os.path.join(glob.escape(path), "**", EVENTS))
            yield from (file for file in found if os.path.isfile(file))


def _matches(pattern: str) -> Iterator[str]:
    """Yields what a pattern matches. `**` stands for each folder below once, also where links lead in a circle."""
    before, found, after = (f"{pattern}/*" if pattern.endswith("/**") else pattern).partition("/**/")
    if not found:
        yield from glob.iglob(pattern)
        return
    for start in glob.iglob(before):
        seen: set[tuple[int, int]] = set()
        for folder, below, _ in os.walk(start, followlinks=True):
            below[:] = [name for name in below if not name.startswith(".")]  # as glob
            about = _identity(folder)
            if about is None or about in seen:
                below.clear()
                continue
            seen.add(about)
            yield from _matches(os.path.join(glob.escape(folder), after))


def _identity(folder: str) -> tuple[int, int] | None:
    """Identifies a folder, whatever path leads to it; None for one that is gone."""
    try:
        about = os.stat(folder)
    except OSError:
        return None
    return about.st_dev, about.st_ino
