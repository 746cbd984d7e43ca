"""What happens to a trial's output: stdout.log, the terminal, the last lines, the metrics."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from .echo import Echo
from .growing import GrowingFile
from .parsing import Row
from .results import TrialPaths

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
