"""Prints for the launcher so that no output ends it: what a stream cannot take is lost, and only that."""

from __future__ import annotations

import contextlib
import io
import os
import select
import shutil
import sys
import threading
from collections.abc import Iterator
from typing import Any, TextIO

from .wording import cells, printable, wrap

SILENT_WAIT = 3.0  # seconds after which the user is told what the start waits for
WIDTH = 160  # columns of a table where there is no terminal


def protect_streams() -> None:
    """Makes the standard streams safe at a command line's start: closed ones lead nowhere, the others never fail.

    A stream that somebody has put in their place (a test, a program that calls `main`) is left as it is.
    """
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        _open(descriptor)
        stream: TextIO | None = getattr(sys, name)
        if descriptor > 0 and stream is getattr(sys, f"__{name}__"):
            setattr(sys, name, _unfailing(descriptor, stream))


def output_error() -> OSError | None:
    """Returns why standard output has lost something; None when everything was written."""
    buffer = getattr(sys.stdout, "buffer", None)
    raw = getattr(buffer, "raw", buffer)
    return raw.error if isinstance(raw, _LossyFile) else None


def is_terminal(out: Any = None) -> bool:
    """Tells whether `out`, by default standard output, is a terminal; a closed stream, or one without `isatty`, is none."""
    try:
        return bool((sys.stdout if out is None else out).isatty())
    except (AttributeError, ValueError):
        return False


def output_width() -> int:
    """Returns the columns that a table may take: those of the terminal but one, as some wrap a line that is full."""
    return _columns() if is_terminal() else WIDTH


def _columns() -> int:
    """Returns the terminal's columns but one."""
    return shutil.get_terminal_size((120, 24)).columns - 1


def broken(text: str, out: Any, indent: int, command: str = "") -> str:
    """Breaks the lines of a message between words where `out` is a terminal.

    Args:
        indent: blanks before the lines that are made.
        command: stands behind the message; its lines can be pasted into a shell, which takes them as one.
    """
    text, command = printable(text), printable(command)
    if command and (not is_terminal(out) or cells(text) + 2 + cells(command) <= _columns()):
        text, command = f"{text}: {command}", ""
    if not is_terminal(out):
        return text
    width = _columns()
    lines = [piece for line in text.split("\n") for piece in wrap(line, width, indent=indent)]
    if command:
        lines[-1] += ":"
        lines += wrap(" " * indent + command, width, indent=indent, shell=True)
    return "\n".join(lines)


def write_text(text: str, out: Any) -> None:
    """Writes `text` to the stream `out` at once, nowhere if that is None; the way out of all that the launcher prints.

    Nothing in it is a command to a terminal (`wording.printable`), and letters that the encoding lacks become `?`.

    Raises:
        OSError: the stream takes nothing.
        ValueError: the stream is closed.
    """
    if out is None:
        return
    text = printable(text)
    try:
        out.write(text)
    except UnicodeEncodeError:
        encoding = out.encoding or "ascii"
        out.write(text.encode(encoding, "replace").decode(encoding))
    out.flush()


@contextlib.contextmanager
def waiting_for(what: str) -> Iterator[None]:
    """Says what is waited for when the block takes long."""
    timer = threading.Timer(SILENT_WAIT, print_error, [f"waiting for {what}"])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def print_lines(text: str) -> None:
    """Prints text and a line end; a standard output that fails costs only this text."""
    _print(text, sys.stdout)


def print_error(text: str) -> None:
    """Prints text and a line end on standard error: errors, and warnings on what the user gave."""
    _print(broken(text, sys.stderr, 4), sys.stderr)


def _print(text: str, out: TextIO) -> None:
    with contextlib.suppress(OSError, ValueError):
        write_text(f"{text}\n", out)


class _LossyFile(io.FileIO):
    """A descriptor for writing that drops what it cannot write and keeps the first error."""

    error: OSError | None = None

    def write(self, data: Any) -> int:
        """Writes all of `data`, or drops it; waits where somebody has set the terminal not to block."""
        try:
            while (written := super().write(data)) is None:
                select.select([], [self], [], 1.0)
        except OSError as error:
            self.error = self.error or error
            return len(data)
        return written


def _open(descriptor: int) -> None:
    """Opens a closed standard descriptor on /dev/null, so that no file of the launcher's gets its number."""
    try:
        os.fstat(descriptor)
    except OSError:
        null = os.open(os.devnull, os.O_RDWR)
        if null != descriptor:
            os.dup2(null, descriptor)
            os.close(null)
        os.set_inheritable(descriptor, True)


def _unfailing(descriptor: int, stream: TextIO | None) -> TextIO:
    """Wraps the descriptor in a stream like `stream` that raises no errors."""
    if stream is not None:
        with contextlib.suppress(OSError):
            stream.flush()
    raw = _LossyFile(descriptor, "w", closefd=False)
    unbuffered = getattr(stream, "write_through", False)  # PYTHONUNBUFFERED, `python -u`
    return io.TextIOWrapper(
        raw if unbuffered else io.BufferedWriter(raw),
        encoding=getattr(stream, "encoding", None) or "utf-8",
        errors="replace" if descriptor == 1 else "backslashreplace",
        line_buffering=getattr(stream, "line_buffering", descriptor == 2),
        write_through=unbuffered,
    )
