"""What the launcher prints, whoever reads it: a stream that takes nothing, or not every letter, costs text and no more."""

from __future__ import annotations

import contextlib
import io
import os
import select
import sys
from typing import Any, TextIO


class _Raw(io.FileIO):
    """A descriptor that loses what it cannot write. `failure` is the first reason."""

    failure: OSError | None = None

    def write(self, data: Any) -> int:
        try:
            while (written := super().write(data)) is None:  # a terminal that somebody has set not to block
                select.select([], [self], [], 1.0)
        except OSError as error:
            self.failure = self.failure or error
            return len(data)
        return written


def prepare() -> None:
    """At a command line's start: standard streams that are closed lead nowhere, the others never fail.

    A stream that somebody has put in their place (a test, a program that calls `main`) is left as it is.
    """
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        _open(descriptor)
        stream: TextIO | None = getattr(sys, name)
        if descriptor > 0 and stream is getattr(sys, f"__{name}__"):
            setattr(sys, name, _unfailing(descriptor, stream))


def _open(descriptor: int) -> None:
    """Sees to it that no file or socket of the launcher's is taken for a standard stream."""
    try:
        os.fstat(descriptor)
    except OSError:
        null = os.open(os.devnull, os.O_RDWR)
        if null != descriptor:
            os.dup2(null, descriptor)
            os.close(null)
        os.set_inheritable(descriptor, True)


def _unfailing(descriptor: int, stream: TextIO | None) -> TextIO:
    """`stream`, which writes to the descriptor, without its errors."""
    if stream is not None:
        with contextlib.suppress(OSError):
            stream.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(_Raw(descriptor, "w", closefd=False)),
        encoding=getattr(stream, "encoding", None) or "utf-8",
        errors="replace" if descriptor == 1 else "backslashreplace",
        line_buffering=getattr(stream, "line_buffering", descriptor == 2),
        write_through=getattr(stream, "write_through", False),
    )


def failure() -> OSError | None:
    """Why standard output has lost something, if it has."""
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    return raw.failure if isinstance(raw, _Raw) else None


def is_terminal() -> bool:
    """Whether standard output is a terminal; a closed one is not, nor is what has never heard of them."""
    try:
        return sys.stdout.isatty()
    except (AttributeError, ValueError):
        return False


def put(text: str, out: Any) -> None:
    """Writes to `out`, or nowhere where there is none (None); letters that its encoding lacks become `?`.

    Raises:
        OSError: it takes nothing.
        ValueError: it is closed.
    """
    if out is None:
        return
    try:
        out.write(text)
    except UnicodeEncodeError:
        encoding = out.encoding or "ascii"
        out.write(text.encode(encoding, "replace").decode(encoding))
    out.flush()


def show(text: str) -> None:
    """Prints lines. What a program of the user's has for standard output may fail, too, and costs only them."""
    with contextlib.suppress(OSError, ValueError):
        put(f"{text}\n", sys.stdout)
