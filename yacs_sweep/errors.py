"""Every error this package raises on purpose."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence


def printable(text: str) -> str:
    """What other people's text may do to a terminal left out; it can still have several lines."""
    return "".join(letter if letter.isprintable() or letter == "\n" else "?" for letter in text)


def one_line(error: Exception) -> str:
    """What an error says, on one line."""
    return " ".join(str(error).split()) or type(error).__name__


class SweepError(Exception):
    """Root of the launcher's errors; its text is one clear message for the user."""


class ConfigError(SweepError):
    """Mistakes in what the user gave; all of them at once, nothing has been created (exit status 2)."""

    def __init__(self, problems: Sequence[str] | str) -> None:
        self.problems: list[str] = [problems] if isinstance(problems, str) else list(problems)
        super().__init__("\n".join(self.problems))


def exit_status(run: Callable[[], int]) -> int:
    """What `run` returns, or of its errors: 2 of a `ConfigError`, a line for each problem; 1 of another; 130 of Ctrl-C."""
    try:
        return run()
    except ConfigError as error:
        for problem in error.problems:
            print(f"error: {printable(problem)}", file=sys.stderr)
        return 2
    except SweepError as error:
        print(f"error: {printable(str(error))}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
