"""Errors of the trainer that are reported in words, never with a traceback."""

from __future__ import annotations

from collections.abc import Sequence


class TrainerError(Exception):
    """Failure that ends a run; the text is one clear message (exit status 1)."""


class Diverged(TrainerError):
    """Divergence of the training: the network is unusable, so no checkpoint is written."""


class ConfigError(TrainerError):
    """Mistakes in the user's input, all in one error; nothing has been created (exit status 2)."""

    def __init__(self, problems: Sequence[str] | str) -> None:
        self.problems: list[str] = [problems] if isinstance(problems, str) else list(problems)
        super().__init__("\n".join(self.problems))


class Stopped(BaseException):
    """Request by a signal to end the run; exit status 128 + signum. As KeyboardInterrupt, no Exception."""

    def __init__(self, signum: int) -> None:
        self.signum = signum
        super().__init__(f"stopped by signal {signum}")
