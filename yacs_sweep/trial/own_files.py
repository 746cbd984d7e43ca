"""Restores the launcher's files in a trial's folder, which the trainer writes to and may clear."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from ..base.files import FULL, ensure_folder, put_aside
from ..base.growing_files import GrowingFile
from ..records.folder import TrialPaths

DELETED = (
    "warning: the trainer has deleted or replaced {names}, which the launcher writes into its output folder; they have "
    "been restored; give the trainer a subfolder to clear, such as {{output_dir}}/run"
)


class OwnFiles:
    """Restores the files of a running trial that its trainer deletes or replaces."""

    def __init__(self, paths: TrialPaths, files: Sequence[GrowingFile], save: Callable[[], None]) -> None:
        """Watches `files` and trial.json, which `save` writes."""
        self._paths, self._files, self._save = paths, files, save
        self._missing = False

    def restore(self, *, ended: bool) -> str:
        """Restores missing files; returns their names.

        While the trainer runs (not `ended`), only files that were missing at the last call already, and only where the
        folder exists again: the trainer may be clearing the folder, and would fail over a file that comes back.
        """
        missing = [file for file in self._files if not file.in_place]
        names = [file.path.name for file in missing]
        if no_record := not os.path.isfile(self._paths.record):
            names.append(self._paths.record.name)
        waits, self._missing = not ended and not self._missing, bool(names)
        if not names or waits:
            return ""
        try:
            if ended:
                ensure_folder(self._paths.dir)
            for file in missing:
                file.restore()
            if no_record:
                put_aside(self._paths.record)
                self._save()
        except OSError as error:  # the folder does not exist, is being deleted, or is something else by now
            if ended or error.errno in FULL:
                raise
            return ""
        self._missing = False
        return ", ".join(names)
