"""Runs a trainer once for a while, with the user's yes, so that `--init` sees what it prints."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from ...base.errors import ConfigError
from ...base.processes import with_programs_of, without_wandb
from ..profile import TrainerProfile

FOLDER = Path("log", "init")  # of the project, for the run's output
_GRACE = 10.0  # seconds that the trainer has to end


def command_of(profile: TrainerProfile, config: Path | None, root: Path, python: str | None) -> list[str]:
    """Returns the command of the run, with no parameter changed.

    Raises:
        ConfigError: the command needs a configuration file, and none is known.
    """
    output = root / FOLDER
    return profile.command_line(python=python, config_file=None if config is None else root / config, output_dir=output)


def try_run(profile: TrainerProfile, words: Sequence[str], root: Path, seconds: float) -> Path:
    """Runs the command for at most so many seconds; returns the file of its output.

    Raises:
        ConfigError: the trainer cannot be started.
    """
    output = root / FOLDER
    log = output / "stdout.log"
    try:
        output.mkdir(parents=True, exist_ok=True)
        environment = with_programs_of(words[0], {**without_wandb(os.environ), **profile.env})
        with open(log, "wb") as file:
            child = subprocess.Popen(
                words,
                cwd=profile.cwd,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            _wait(child, seconds)
    except OSError as error:
        raise ConfigError(f"--try-run: {words[0]} cannot be started: {error.strerror}") from error
    return log


def _wait(child: subprocess.Popen[bytes], seconds: float) -> None:
    """Waits for the end of the run; after the time it is ended, with the processes that it has started."""
    try:
        for wait, number in ((seconds, signal.SIGTERM), (_GRACE, signal.SIGKILL)):
            try:
                child.wait(wait)
                return
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, number)
        child.wait()
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
