"""Line above the traceback of an uncaught exception in a user's own file: which setting names it, and what it was given."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

from utils.text import one_line

_NAMES: dict[str, dict[str, str]] = {}  # by file: NAME of each builder, and its setting


def remember(file: Path, name: str, key: str) -> None:
    """Remembers that the setting `key` names the builder `name` of a user's file, so that its exceptions are explained."""
    if not _NAMES:
        _explain_uncaught()
    _NAMES.setdefault(str(file), {})[name] = f"{key} {file.name}:{name}".strip()


def explain(error: BaseException) -> str:
    """Writes one line for an exception that passed through a user's file; empty where none did.

    The line has the setting, the arguments of the file's outermost call (shapes of tensors, numbers), and the error.
    """
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    frame = next((frame for frame in frames if frame.f_code.co_filename in _NAMES), None)
    # A process that reads images sends its traceback as text.
    file = frame.f_code.co_filename if frame else next((file for file in _NAMES if f'File "{file}"' in str(error)), "")
    if not file:
        return ""
    said = ([line for line in str(error).splitlines() if line.strip()] or [""])[-1 if frame is None else 0].strip()
    said = said if frame is None else f"{type(error).__name__}: {said}"
    arguments = f" with {', '.join(_arguments(frame))}" if frame and any(_arguments(frame)) else ""
    return one_line(f"{_setting(file, frame)} failed{arguments}: {said}")


def _setting(file: str, frame: FrameType | None) -> str:
    """Finds the setting by the object or function that was called; all settings of the file where that is another."""
    names = _NAMES[file]
    if frame is not None:
        owner = type(frame.f_locals.get("self")).__name__
        for called in (owner, frame.f_code.co_name):
            if called in names:
                return names[called]
    return " or ".join(names.values())


def _arguments(frame: FrameType) -> Iterator[str]:
    """Yields name and shape, or number, of each argument of a call that has one."""
    code = frame.f_code
    for name in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]:
        value: Any = frame.f_locals.get(name)
        if isinstance(value, int | float):
            yield f"{name} {value}"
        elif isinstance(shape := getattr(value, "shape", None), tuple):  # torch.Size is one
            yield f"{name} {list(shape)}"


def _explain_uncaught() -> None:
    """Prints the line of `explain` on stderr, above the traceback of an uncaught exception."""
    shown = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if line := explain(error):
            print(line, file=sys.stderr)
        shown(kind, error, trace)

    sys.excepthook = hook
