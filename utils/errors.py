"""The trainer's errors that are told in words, never with a traceback."""

from __future__ import annotations

from collections.abc import Sequence


class TrainerError(Exception):
    """Training cannot go on; the text is one clear message (exit status 1)."""


class Diverged(TrainerError):
    """The network is of no use any more: nothing is to be gone on from it."""


class ConfigError(TrainerError):
    """Mistakes in what the user gave, all of them at once; nothing has been created (exit status 2)."""

    def __init__(self, problems: Sequence[str] | str) -> None:
        self.problems: list[str] = [problems] if isinstance(problems, str) else list(problems)
        super().__init__("\n".join(self.problems))


class Stopped(Exception):
    """A signal asked the run to end; exit status 128 + signum."""

    def __init__(self, signum: int) -> None:
        self.signum = signum
        super().__init__(f"stopped by signal {signum}")
