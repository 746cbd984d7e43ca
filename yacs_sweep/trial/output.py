"""Handles the output of one attempt: writes stdout.log, and takes metrics from the output and the trainer's files."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from ..base.escapes import without_escapes
from ..base.growing_files import GrowingFile
from ..base.wording import clipped
from ..logs.guessing import guess_loosely
from ..logs.metric_files import Follower
from ..logs.parser import LINE_LIMIT, LogParser
from ..logs.sources import COMMA, Row, Sources
from ..logs.wandb_calls import Calls, LoggedRow
from ..records.folder import TrialPaths
from ..trainers.profile import TrainerProfile
from .echo import Echo

TAIL_BYTES = 1 << 16  # of output, for the last lines and the reason
LAST_LINES = 20


class Parser(Protocol):
    """Turns output into rows: `MetricReader`, or a `LogParser` alone."""

    def feed_chunk(self, data: bytes) -> list[Row]:
        """Returns the rows that the next bytes complete."""

    def flush(self) -> list[Row]:
        """Returns the unfinished row, while the output pauses."""

    def close(self) -> list[Row]:
        """Returns the last rows, at the end of the output."""


class Output:
    """Passes a trial's output to stdout.log, the terminal, the last lines and the parser."""

    def __init__(self, paths: TrialPaths, parser: Parser, on_row: Callable[[Mapping[str, Any]], None]) -> None:
        """`on_row` gets each row of metrics."""
        self.parser, self.on_row = parser, on_row
        self.tail = b""
        self.log = GrowingFile(paths.stdout)
        self.echo: Echo | None = None

    def write(self, data: bytes) -> None:
        """Handles the next bytes of output."""
        view = memoryview(data)
        while view:
            view = view[os.write(self.log.descriptor, view) :]
        if self.echo is not None:
            self.echo.write(data)
        self.tail = (self.tail + data)[-TAIL_BYTES:]
        for row in self.parser.feed_chunk(data):
            self.on_row(row)

    def flush(self) -> None:
        """Ends the row that is being gathered: the output pauses."""
        for row in self.parser.flush():
            self.on_row(row)

    def close(self) -> None:
        """Handles the end of the output."""
        try:
            for row in self.parser.close():
                self.on_row(row)
        finally:
            self.log.close()

    @property
    def text(self) -> str:
        """The last 64 KiB of output, without escape sequences."""
        return without_escapes(self.tail.decode(errors="replace")).replace("\r", "\n")

    @property
    def last_lines(self) -> list[str]:
        """The last lines that are not empty, for trial.json."""
        return [line[:2000] for line in self.text.split("\n") if line.strip()][-LAST_LINES:]


PLACES = 100  # of epochs' numbers in lines that are remembered
QUIET_LINES = 1000  # lines without any metric, after which the user is warned
_EPOCH = re.compile(rb"\b(?:[eE]poch|EPOCH)\W{0,3}(\d{1,9})")
_DIGITS = re.compile(rb"\d+")


class MetricReader:
    """Reads metrics from the output, the trainer's files and its calls of W&B's client, each from one source. Not thread-safe."""

    def __init__(
        self,
        profile: TrainerProfile,
        paths: TrialPaths,
        trial_id: str,
        note: Callable[[str], None],
        calls: Calls | None = None,
        warn_once: Callable[[str, str], None] | None = None,
        placeholders: Mapping[str, str | None] | None = None,
    ) -> None:
        """Opens the sources of metrics that the profile names.

        Args:
            note: shows the user, in one line, what to know while the trial runs.
            calls: what the trainer logs through W&B's client; None: it is not looked at.
            placeholders: their values for the trial, in paths of the profile's `files`.
            warn_once: shows a line of a subject (the first argument) for the first trial only; None: `note` does.
        """
        self._sources = Sources(profile.metrics.axis)
        self._parser = LogParser(profile.metrics, sources=self._sources)
        searched = profile.metrics.entries or profile.metrics.generic
        trainer = profile.reference or profile.name
        self._warning: NoMatchWarning | None = NoMatchWarning(paths.stdout, trainer) if searched else None
        self._note, self._calls = note, calls
        self._warn_once = warn_once or (lambda subject, line: note(line))
        self._told: set[str] = set()  # subjects
        self._guessed_at: int | None = None  # rows of calls there were when a line first named the sweep's metric
        self._trusts_lines = False  # lines that only look like metrics count beside calls
        self._unreadable_noted = False
        folder = {"output_dir": str(profile.output_dir(paths.dir).absolute()), "trial_id": trial_id}
        values = {**{name: text or "" for name, text in (placeholders or {}).items()}, **folder}
        self.error: OSError | None = None  # why rows are missing, once closed
        self._follower: Follower | None = None
        if profile.files:
            self._follower = Follower(profile.files, profile.cwd, values, profile.metrics.axis)

    def feed_chunk(self, data: bytes) -> list[Row]:
        """Returns the rows completed by the next bytes of output, after those of the calls made before them."""
        rows = self._logged()
        rows += self._checked(self._parser.feed_chunk(data), data, parsed=True)
        return rows + self._guessed()

    def flush(self) -> list[Row]:
        """Returns the row that is being gathered: the output pauses."""
        return self._checked(self._parser.flush(), parsed=True)

    def read_files(self) -> list[Row]:
        """Returns the new rows of the trainer's files and calls; never waits."""
        rows = self._logged()
        return rows + (self._checked(self._admitted(self._follower.rows())) if self._follower else [])

    def close(self) -> list[Row]:
        """Returns all rows that are left, at the end of the attempt."""
        rows = self._checked(self._parser.close(), parsed=True)
        if self._follower:
            rows += self._admitted(self._follower.close())
            self.error = self._follower.error
            if self._follower.problem:
                self._note(self._follower.problem)
        rows += self._logged(last=True)
        if self._calls is not None and not self._calls.complete:
            rows += self._checked(self._parser.release(), parsed=True)
        if nulls := self._sources.only_null():
            rows.append(nulls)
        return rows

    def left_out(self, metric: str) -> str:
        """Names a value of the metric that was left out, since it is no plain number; empty for none."""
        found = [self._parser.left_out, self._follower.left_out if self._follower else None]
        return next((str(item) for item in found if item is not None and item.name == metric), "")

    def _logged(self, *, last: bool = False) -> list[Row]:
        """Returns the rows of the calls. Once a run is open, lines of output that only look like metrics are kept back."""
        if self._calls is None:
            return []
        found: list[Row] = []
        for row in self._calls.rows(last=last):
            admitted = self._sources.admit("wandb", row)
            if admitted.keys() - {self._sources.axis}:
                found.append(LoggedRow(admitted, row.at))
        if self._calls.opened and not self._trusts_lines:
            self._parser.keep_back()
        return self._checked(found)

    def _guessed(self) -> list[Row]:
        """Returns the rows that were kept back when the calls turn out not to log the sweep's metric.

        That is when lines have named it, calls have logged something else, and lines name it again.
        """
        calls = self._calls
        if calls is None or calls.complete or calls.metric not in self._parser.kept_names():
            return []
        if self._guessed_at is None:
            self._guessed_at = calls.count
        if calls.count == self._guessed_at:
            return []
        self._trusts_lines = True
        return self._checked(self._parser.release(), parsed=True)

    def _admitted(self, rows: Iterator[tuple[str, Row]]) -> list[Row]:
        """Leaves out metrics that another source has logged already, and rows without any left."""
        admitted = (self._sources.admit(path, row) for path, row in rows)
        return [row for row in admitted if row.keys() - {self._sources.axis}]

    def _checked(self, rows: list[Row], data: bytes = b"", *, parsed: bool = False) -> list[Row]:
        """Warns of METRIC lines that cannot be read and of output without metrics; returns the rows.

        Args:
            parsed: the rows are of lines of output, which may only look like metrics.
        """
        if self._parser.unreadable and not self._unreadable_noted:
            self._unreadable_noted = True
            line = repr(clipped(self._parser.unreadable))
            self._note(f"a METRIC line is not JSON on one line, and is not read: {line}")
        if left_out := self._parser.left_out or (self._follower.left_out if self._follower else None):
            self._tell("number", f"{left_out}; only the first such value of a sweep is shown")
        if name := self._sources.misread:
            self._tell("comma", COMMA.format(name=name))
        if self._warning is not None:
            if self._parser.matched or (rows and not parsed):
                self._warning = None
            elif text := self._warning.feed(data):
                self._note(text)
                self._warning = None
        return rows

    def _tell(self, subject: str, line: str) -> None:
        """Shows a line of a subject once."""
        if subject not in self._told:
            self._told.add(subject)
            self._warn_once(subject, line)


class NoMatchWarning:
    """Watches output in which no pattern has matched; warns when a second epoch is named, or after many lines."""

    def __init__(self, log: Path, trainer: str) -> None:
        """The warning quotes the path of the log and the trainer, for `--test-patterns`."""
        self._log, self._trainer = log, trainer
        self._lines = 0
        self._rest = b""
        self._epochs: dict[bytes, list[int]] = {}  # by the line around it, without its numbers
        self._moved_on = False  # to a second epoch
        self._examples: dict[str, None] = {}

    def feed(self, data: bytes) -> str | None:
        """Takes the next bytes; returns the warning when it is due."""
        *lines, rest = (self._rest + data.replace(b"\r", b"\n")).split(b"\n")
        self._rest = rest[:LINE_LIMIT]
        self._lines += len(lines)
        for whole in lines:
            self._moved_on = self._moved_on or self._next_epoch(whole)
            if len(self._examples) < 2:
                line = whole.decode("utf-8", "replace")
                if any(item.name != "epoch" for item in guess_loosely(line)):
                    self._examples[repr(clipped(line, 100))] = None
        if self._lines < QUIET_LINES and not self._moved_on:
            return None
        like = f"; lines that look like metrics: {', '.join(self._examples)}" if self._examples else ""
        return (
            f"no pattern has matched in {self._lines} lines of output{like}; see what they match with: "
            f"--test-patterns {self._log} --trainer {self._trainer}"
        )

    def _next_epoch(self, line: bytes) -> bool:
        """Tells whether the line counts on: with the next epoch, or a third one, in the same place of the same words.

        A configuration that is printed names epochs, too: `max_epoch: 60`, `stages: {epoch: 5}`.
        """
        match = _EPOCH.search(line[:LINE_LIMIT])
        if match is None:
            return False
        number = int(match[1])
        words = _DIGITS.sub(b"0", line[: match.start()]).strip()
        if len(self._epochs) >= PLACES and words not in self._epochs:
            return False
        seen = self._epochs.setdefault(words, [])
        if not seen or number > seen[-1]:
            seen.append(number)
            return len(seen) > 2 or (len(seen) == 2 and number == seen[0] + 1)
        return False
