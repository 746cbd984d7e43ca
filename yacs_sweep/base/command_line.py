"""Parses command lines, and knows how the launcher itself was started."""

from __future__ import annotations

import argparse
import math
import os
import shutil
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from .shipped import IMPORT_ROOT
from .wording import did_you_mean

SCRIPT = os.path.join(IMPORT_ROOT, "tools", "sweep.py")


def typed(started: str) -> tuple[str, ...]:
    """What starts the launcher again from here: the command of an installed one, or the script of a checkout.

    Args:
        started: the program that runs, or that of its report (`sys.argv[0]`).
    """
    if os.path.basename(started).startswith("yacs-sweep"):
        command = os.path.join(os.path.dirname(os.path.abspath(started)), "yacs-sweep")
        return ("yacs-sweep",) if shutil.which("yacs-sweep") in (None, command) else (_from_here(command),)
    return ("python", _from_here(SCRIPT)) if os.path.isfile(SCRIPT) else ("yacs-sweep",)


def _from_here(path: str) -> str:
    try:
        relative = os.path.relpath(path)
    except OSError:  # this folder has been deleted
        return path
    return path if relative.startswith("..") else relative


COMMAND = typed(sys.argv[0])
PROGRAM = "yacs-sweep" if os.path.basename(COMMAND[0]) == "yacs-sweep" else "sweep.py"


class Parser(argparse.ArgumentParser):
    """Options are understood with dashes and with underscores; a mistake is told in one line."""

    def error(self, message: str) -> NoReturn:
        unknown = [word.partition("=")[0] for word in message.split() if word.startswith("-")]
        hint = ""
        if message.startswith("unrecognized"):
            known = [option for action in self._actions for option in action.option_strings]
            hint = "".join(did_you_mean(word, known) for word in unknown[:1])
        self.exit(2, f"error: {message}{hint} (--help lists the options)\n")

    def add(self, *names: str, **settings: Any) -> None:
        """`add_argument`, with the other spelling of each name beside it."""
        spellings = []
        for name in names:
            body = name.lstrip("-")
            spellings += [f"--{spelling}" for spelling in (body, body.replace("-", "_"), body.replace("_", "-"))]
        self.add_argument(*dict.fromkeys(spellings), dest=names[0].lstrip("-").replace("-", "_"), **settings)


def positive(kind: type[int] | type[float]) -> Callable[[str], float]:
    """An argparse type: a positive, finite number."""

    def convert(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = kind(0)
        if not value > 0 or not math.isfinite(value):
            raise argparse.ArgumentTypeError(f"{text!r} is not a positive {'whole ' if kind is int else ''}number")
        return value

    return convert


def not_negative(text: str) -> float:
    """An argparse type: seconds, zero allowed."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return value


def whole(text: str) -> int:
    """An argparse type: a whole number, zero allowed."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number")
    return int(text)
