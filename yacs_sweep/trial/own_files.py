"""Looks after the launcher's files in a trial's folder, which its trainer writes to and may clear."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..base.growing_files import GrowingFile, put_aside
from ..records.folder import TrialPaths

DELETED = (
    "warning: the trainer has deleted or replaced {names}, which the launcher writes into its output folder; they are "
    "back with all they held; give it a folder of its own to clear, as {{output_dir}}/run"
)


class Custody:
    """Looks after a running trial's files."""

    def __init__(self, paths: TrialPaths, files: Sequence[GrowingFile], save: Callable[[], None]) -> None:
        """`save` writes trial.json."""
        self._paths, self._files, self._save = paths, files, save
        self._missing = False

    def look(self, *, over: bool) -> str:
        """Puts back what is gone; names it.

        While the trainer runs (not `over`), only what was gone at the last look already and where the folder is there
        again: the trainer may be in the middle of clearing it, and fail over a file that comes back.
        """
        gone = [file for file in self._files if not file.in_place]
        names = [file.path.name for file in gone]
        if unnamed := not self._paths.record.is_file():
            names.append(self._paths.record.name)
        waits, self._missing = not over and not self._missing, bool(names)
        if not names or waits:
            return ""
        try:
            if over:
                self._paths.dir.mkdir(exist_ok=True)
            for file in gone:
                file.restore()
            if unnamed:
                put_aside(self._paths.record)
                self._save()
        except FileNotFoundError:  # the folder is gone, or goes
            if over:
                raise
            return ""
        self._missing = False
        return ", ".join(names)
