"""Everything the metrics of one attempt of a trial come from: its output and its files, no metric counted twice."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from ..base.growing_files import GrowingFile
from ..logs.guessing import guess_loosely
from ..logs.metric_files import Follower
from ..logs.near_misses import clipped
from ..logs.parser import LINE_LIMIT, LogParser, Row, Sources
from ..records.folder import TrialPaths
from ..trainers.profile import TrainerProfile
from .echo import Echo

TAIL_BYTES = 1 << 16  # of output, for the last lines and the reason
LAST_LINES = 20


class Parser(Protocol):
    """Rows of metrics out of output: `Readings`, or a `LogParser` alone."""

    def feed_chunk(self, data: bytes) -> list[Row]: ...

    def flush(self) -> list[Row]: ...

    def close(self) -> list[Row]: ...


class Output:
    """Everything that happens to a trial's output: file, echo, tail, metrics."""

    def __init__(self, paths: TrialPaths, parser: Parser, on_row: Callable[[Mapping[str, Any]], None]) -> None:
        self.parser, self.on_row = parser, on_row
        self.tail = b""
        self.log = GrowingFile(paths.stdout)
        self.echo: Echo | None = None

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self.log.descriptor, view) :]
        if self.echo is not None:
            self.echo.write(data)
        self.tail = (self.tail + data)[-TAIL_BYTES:]
        for row in self.parser.feed_chunk(data):
            self.on_row(row)

    def flush(self) -> None:
        for row in self.parser.flush():
            self.on_row(row)

    def close(self) -> None:
        """The end of the output."""
        try:
            for row in self.parser.close():
                self.on_row(row)
        finally:
            self.log.close()

    @property
    def text(self) -> str:
        return self.tail.decode(errors="replace").replace("\r", "\n")

    @property
    def last_lines(self) -> list[str]:
        return [line[:2000] for line in self.text.split("\n") if line.strip()][-LAST_LINES:]


QUIET_LINES = 1000  # of output without any metric, after which that is said
_EPOCH = re.compile(rb"[eE]poch\W{0,3}(\d+)")


class Readings:
    """A `LogParser` of the output, and the files beside it. Not thread-safe."""

    def __init__(self, profile: TrainerProfile, paths: TrialPaths, trial_id: str, note: Callable[[str], None]) -> None:
        """`note` is told, in one line, what the user should know while the trial runs."""
        self._sources = Sources(profile.metrics.axis)
        self._parser = LogParser(profile.metrics, sources=self._sources)
        searched = profile.metrics.entries or profile.metrics.generic
        trainer = profile.reference or profile.name
        self._silence: Silence | None = Silence(paths.stdout, trainer) if searched else None
        self._note = note
        self._told = False  # about a METRIC line that cannot be read
        values = {"output_dir": str(profile.output_dir(paths.dir).absolute()), "trial_id": trial_id}
        self._follower: Follower | None = None
        if profile.files:
            self._follower = Follower(profile.files, profile.cwd, values, profile.metrics.axis)

    def feed_chunk(self, data: bytes) -> list[Row]:
        """Rows completed by the next bytes of output."""
        return self._seen(self._parser.feed_chunk(data), data)

    def flush(self) -> list[Row]:
        """The row still gathering: the output pauses."""
        return self._seen(self._parser.flush())

    def arrived(self) -> list[Row]:
        """Rows that the files have got; never waits for them."""
        return self._seen(self._of_files(self._follower.rows())) if self._follower else []

    def close(self) -> list[Row]:
        """The attempt has ended: every row that is left."""
        rows = self._seen(self._parser.close())
        if self._follower:
            rows += self._of_files(self._follower.close())
            if self._follower.problem:
                self._note(self._follower.problem)
        return rows

    def _of_files(self, arrived: Iterator[tuple[str, Row]]) -> list[Row]:
        admitted = (self._sources.admit(path, row) for path, row in arrived)
        return [row for row in admitted if row.keys() - {self._sources.axis}]

    def _seen(self, rows: list[Row], data: bytes = b"") -> list[Row]:
        if self._parser.unreadable and not self._told:
            self._told = True
            line = repr(clipped(self._parser.unreadable))
            self._note(f"a METRIC line is not JSON on one line, and is not read: {line}")
        if self._silence is not None:
            if rows:
                self._silence = None
            elif warning := self._silence.see(data):
                self._note(warning)
                self._silence = None
        return rows


class Silence:
    """Watches output in which nothing has matched, and says so once an epoch's worth has gone by: when a second epoch
    is named, or after many lines."""

    def __init__(self, log: Path, trainer: str) -> None:
        self._log, self._trainer = log, trainer
        self._lines = 0
        self._rest = b""
        self._epochs: set[bytes] = set()
        self._examples: dict[str, None] = {}

    def see(self, data: bytes) -> str | None:
        """The warning, when it is due."""
        *lines, rest = (self._rest + data.replace(b"\r", b"\n")).split(b"\n")
        self._rest = rest[:LINE_LIMIT]
        self._lines += len(lines)
        for whole in lines:
            self._epochs.update(_EPOCH.findall(whole))
            if len(self._examples) < 2:
                line = whole.decode("utf-8", "replace")
                if any(item.name != "epoch" for item in guess_loosely(line)):
                    self._examples[repr(clipped(line, 100))] = None
        if self._lines < QUIET_LINES and len(self._epochs) < 2:
            return None
        like = f"; lines that look like metrics: {', '.join(self._examples)}" if self._examples else ""
        return (
            f"no pattern has matched in {self._lines} lines of output{like}; see what they match with: "
            f"--test-patterns {self._log} --trainer {self._trainer}"
        )
