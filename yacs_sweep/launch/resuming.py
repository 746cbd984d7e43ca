"""Writes the commands that resume a sweep or a batch, as one would type them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ..base.command_line import COMMAND
from ..records.folder import SweepPaths
from ..records.known_sweeps import BATCH
from ..records.launch_file import LaunchFile
from ..show.lines import command_text
from ..spec.budget.budget import Budget
from ..spec.budget.lifting import without_reached
from .options.table import Options

if TYPE_CHECKING:
    from .workers.gpu_places import Layout


class Resuming:
    """Holds how a launch is resumed: on the workers that it has by now, and without limits that are reached."""

    def __init__(self, sweep_id: str, options: Options, of_files: Sequence[Budget | None] = ()) -> None:
        """Begins with the options of the launch.

        Args:
            of_files: the budgets of the sweeps' files.
        """
        self.sweep_id, self.options, self.of_files = sweep_id, options, tuple(of_files)
        self.reached: set[str] = set()  # the options (their fields) of limits that have ended a sweep
        self.in_python = False  # whether a `Sweep` object resumes it

    @property
    def words(self) -> list[str]:
        """The options that hold for one launch, as they are at this moment."""
        return without_reached(self.options.launch_words(), self.of_files, self.reached)

    @property
    def command(self) -> list[str]:
        """The words of the command that resumes the sweep or the batch."""
        at_once = self.options.parallel_sweeps and self.sweep_id.startswith(BATCH)
        return [*COMMAND, "--sweep_id", self.sweep_id, *self.words, *(["--parallel-sweeps"] if at_once else [])]

    @property
    def line(self) -> str:
        """The command that resumes the sweep."""
        return f"Sweep.open({self.sweep_id!r}).run()" if self.in_python else command_text(self.command)

    @property
    def retry_line(self) -> str:
        """The command that resumes the sweep, and tries its failed trials again."""
        if self.in_python:
            return f"Sweep.open({self.sweep_id!r}).run(retry_failed=True)"
        return command_text([*self.command, "--retry-failed"])

    def resize(self, layout: Layout) -> None:
        """Takes in the workers and GPUs that were ordered for the launch."""
        workers = None if layout.wanted.workers is None else layout.workers
        self.options = replace(self.options, workers=workers, gpus=layout.wanted.gpus)

    def save(self, paths: SweepPaths) -> None:
        """Writes the words into launch.json, for those who resume the sweep when this launch is gone. Raises OSError."""
        replace(LaunchFile.load(paths), words=tuple(self.words)).save(paths)
