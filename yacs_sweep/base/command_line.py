"""Parses command lines, and tells how the launcher itself was started."""

from __future__ import annotations

import argparse
import math
import os
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from .completion.shells import SHELLS, PrintCompletion
from .shipped import IMPORT_ROOT, version_lines
from .streams import print_error, print_lines
from .wording import did_you_mean

SCRIPT = os.path.join(IMPORT_ROOT, "tools", "sweep.py")


def launcher_command(started: str) -> tuple[str, ...]:
    """Finds the words that start the launcher from the current folder: an installed command, or a checkout's script.

    Args:
        started: the program that runs (`sys.argv[0]`), the launcher's or its report's.
    """
    if os.path.basename(started).startswith("yacs-sweep"):
        command = os.path.join(os.path.dirname(os.path.abspath(started)), "yacs-sweep")
        return ("yacs-sweep",) if shutil.which("yacs-sweep") in (None, command) else (_from_here(command),)
    return (_python(), _from_here(SCRIPT)) if os.path.isfile(SCRIPT) else ("yacs-sweep",)


def _python() -> str:
    """Returns `python` where that is this interpreter, else its path: a printed line must run where it is typed."""
    found = shutil.which("python")
    ours = os.path.dirname(sys.executable)
    return "python" if found and os.path.dirname(found) == ours else _from_here(sys.executable)


def _from_here(path: str) -> str:
    """Shortens a path that lies below the current folder."""
    try:
        relative = os.path.relpath(path)
    except OSError:  # this folder has been deleted
        return path
    return path if relative.startswith("..") else relative


def report_command(command: Sequence[str]) -> tuple[str, ...]:
    """Returns the words that start the report, beside those that start the launcher."""
    *python, program = command
    if not python:
        return (f"{program}-report",)
    return (*python, os.path.join(os.path.dirname(program), "report.py"))


COMMAND = launcher_command(sys.argv[0])
REPORT = report_command(COMMAND)
PROGRAM = "yacs-sweep" if os.path.basename(COMMAND[0]) == "yacs-sweep" else "sweep.py"


class ShowVersion(argparse.Action):
    """Prints the version and ends the program: argparse's own action wants the text, which asks git, at each start."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        print_lines("\n".join(version_lines()))
        parser.exit()


class Parser(argparse.ArgumentParser):
    """Parses options written with dashes or with underscores; reports a mistake in one line.

    Has `--version` and `--print-completion`.
    """

    unknown_hint = ""  # what is said of an option that is like none of the parser's; {word} is the option
    other_tools: Callable[[str], str] = staticmethod(lambda option: "")  # what another tool's option is called here

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        own: dict[str, Any] = {"dest": argparse.SUPPRESS, "default": argparse.SUPPRESS}
        self.add_argument("--version", action=ShowVersion, nargs=0, help="show the version and exit", **own)
        self.add(
            "--print-completion",
            action=PrintCompletion,
            choices=SHELLS,
            help="print a script that completes this command in a shell, and exit",
            **own,
        )

    def error(self, message: str) -> NoReturn:
        """Exits with status 2 and the message, with the option that was probably meant."""
        option, texts = self.reworded(message)
        for text in texts:
            print_error(f"error: {option and f'{option}: '}{text} (--help lists the options)")
        self.exit(2)

    def reworded(self, message: str) -> tuple[str, list[str]]:
        """Splits argparse's message into the option (may be empty) and what is wrong with it, in our words.

        Of several unknown options, one text each.
        """
        found = re.fullmatch(r"argument (-[^\s:/]+)[^\s:]*: (.*)", message, re.DOTALL)
        option, text = found.groups() if found else ("", message)
        if choice := re.fullmatch(r"invalid choice: (.*) \(choose from (.*)\)", text, re.DOTALL):
            allowed = choice[2].replace("'", "")
            text = f"{choice[1]} is not allowed; allowed: {allowed}{did_you_mean(choice[1], allowed.split(', '))}"
        elif re.fullmatch(r"expected (at least )?one argument", text):
            text = "needs a value"
        elif number := re.fullmatch(r"expected (\d+) arguments", text):
            text = f"needs {number[1]} values"
        elif unknown := re.fullmatch(r"unrecognized arguments: (.*)", text, re.DOTALL):
            words = unknown[1].split()
            options = [word for word in words if re.match(r"--?[A-Za-z]", word)]
            return option, [self._unknown(word) for word in options or [unknown[1]]]
        return option, [text]

    def _unknown(self, word: str) -> str:
        """Says what may have been meant by an option that does not exist."""
        name = word.partition("=")[0]
        known = [spelling for action in self._actions for spelling in action.option_strings]
        # An option of another tool may as well be one of the trainer's.
        elsewhere = self.other_tools(name)
        hint = "" if elsewhere else did_you_mean(name, known)
        return f"no such option: {word}{elsewhere}{hint or self.unknown_hint.format(word=word)}"

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parses words as argparse does, but gives an option that may stand alone no value except behind an `=`."""
        alone = {
            spelling: action.const
            for action in self._actions
            if action.nargs == argparse.OPTIONAL
            for spelling in action.option_strings
        }
        words = sys.argv[1:] if args is None else args
        words = [f"{word}={alone[word]}" if word in alone else word for word in words]
        words = self._joined(words)
        return super().parse_known_args(words, namespace)

    def _joined(self, words: Sequence[str]) -> list[str]:
        """Joins an option and a value behind it that begins like a negative number, so that the option judges it."""
        one = {
            spelling
            for action in self._actions
            if action.nargs is None and not isinstance(action, argparse._HelpAction)
            for spelling in action.option_strings
        }
        joined: list[str] = []
        for word in words:
            if joined and joined[-1] in one and re.match(r"-\.?\d", word):
                joined[-1] += f"={word}"
            else:
                joined.append(word)
        return joined

    def add(self, *names: str, **settings: Any) -> None:
        """Adds an option (`add_argument`) in both spellings of each name."""
        spellings = []
        for name in names:
            body = name.lstrip("-")
            spellings += [f"--{spelling}" for spelling in (body, body.replace("-", "_"), body.replace("_", "-"))]
        settings.setdefault("dest", names[0].lstrip("-").replace("-", "_"))
        self.add_argument(*dict.fromkeys(spellings), **settings)


def positive(kind: type[int] | type[float]) -> Callable[[str], float]:
    """Makes an argparse type for a positive, finite number."""

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
    """Parses an option's seconds, zero allowed (an argparse type)."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return value


def whole(text: str) -> int:
    """Parses an option's whole number, zero allowed (an argparse type)."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number")
    return int(text)
