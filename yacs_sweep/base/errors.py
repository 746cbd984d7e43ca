"""Defines the errors that the launcher raises on purpose, collects them, and turns them into an exit status."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from .streams import print_error

T = TypeVar("T")


class SweepError(Exception):
    """Root of the launcher's errors; its text is one clear message for the user."""


class ConfigError(SweepError):
    """Invalid input, with every error at once; nothing has been created (exit status 2)."""

    def __init__(self, problems: Sequence[str] | str) -> None:
        self.problems: list[str] = [problems] if isinstance(problems, str) else list(problems)
        super().__init__("\n".join(self.problems))


class Problems:
    """Collects mistakes over several steps that do not depend on each other."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def attempt(self, step: Callable[[], T]) -> T | None:
        """Runs a step; collects the mistakes of its ConfigError and returns None then."""
        try:
            return step()
        except ConfigError as error:
            self.found += error.problems
            return None

    def end(self) -> None:
        """Raises one ConfigError with every mistake collected, each once."""
        if self.found:
            raise ConfigError(list(dict.fromkeys(self.found)))


def exit_status(run: Callable[[], int]) -> int:
    """Runs a command and returns its exit status.

    A ConfigError is printed, a line for each problem, and gives 2; another SweepError gives 1; Ctrl-C gives 130.
    """
    try:
        return run()
    except ConfigError as error:
        for problem in error.problems:
            print_error(f"error: {problem}")
        return 2
    except SweepError as error:
        print_error(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        return 130
