"""Writes trials as W&B runs by following their metrics.jsonl, on a thread of its own.

The file is the queue: nothing is kept in memory, nothing blocks the thread that reads the trainer's output, and what W&B
has not taken yet is on disk.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .results import TrialPaths, TrialRecord, number

FINISH_TIMEOUT = 60.0  # seconds W&B gets, when the agent leaves, to take what it has not taken yet
# Of a run that belongs to nobody's terminal: no console capture, no code or git upload, no machine metadata.
SETTINGS: dict[str, Any] = {"console": "off", "silent": True, "save_code": False, "x_disable_meta": True, "x_disable_stats": True}


class Recorder:
    """One W&B run after the other, each following one trial.

    `begin`, `notify` and `end` never block and never raise.
    """

    def __init__(
        self, *, mode: str, folder: Path, project: str | None, entity: str | None, group: str, note: Callable[[str], None]
    ) -> None:
        """
        Args:
            mode: W&B's `online` or `offline`.
            folder: where W&B's own `wandb/` folder goes.
            group: of the runs.
            note: shows the user a line; called at most once, when W&B cannot be used.
        """
        self.mode, self.folder, self.project, self.entity = mode, folder, project, entity
        self.group, self.note = group, note
        self._trials: queue.Queue[_Follow | None] = queue.Queue()
        self._current: _Follow | None = None
        self._broken = False
        self._thread = threading.Thread(target=self._work, name="recorder", daemon=True)
        self._thread.start()

    def begin(self, record: TrialRecord, paths: TrialPaths) -> None:
        """A trial has started; its rows appear in `paths.metrics`."""
        self._current = _Follow(record, paths)
        self._trials.put(self._current)

    def notify(self) -> None:
        """There may be new rows."""
        if self._current is not None:
            self._current.changed.set()

    def end(self, record: TrialRecord) -> None:
        """The trial has ended; `record` is its final trial.json."""
        if self._current is not None:
            self._current.finish(record)
            self._current = None

    def close(self) -> None:
        """Waits, for at most `FINISH_TIMEOUT` seconds, until W&B has everything."""
        self._trials.put(None)
        self._thread.join(FINISH_TIMEOUT)
        if self._thread.is_alive():
            self.note(f"W&B did not take all rows within {FINISH_TIMEOUT:.0f} s; they are in each trial's metrics.jsonl")

    def _work(self) -> None:
        while (follow := self._trials.get()) is not None:
            if self._broken:
                continue
            try:
                self._record(follow)
            except Exception as error:
                self._broken = True
                text = str(error).splitlines()[0] if str(error) else type(error).__name__
                self.note(f"W&B runs are not recorded any more ({text}); rows are in each trial's metrics.jsonl")

    def _record(self, follow: _Follow) -> None:
        import wandb

        os.environ.setdefault("WANDB_SILENT", "true")
        record = follow.record
        run = wandb.init(
            mode=self.mode,  # type: ignore[arg-type]
            dir=str(self.folder),
            project=self.project,
            entity=self.entity,
            group=self.group,
            id=record.id,
            name=record.name,
            config=dict(record.params),
            reinit="create_new",
            settings=wandb.Settings(**SETTINGS),
        )
        run.define_metric("epoch", hidden=True)
        run.define_metric("*", step_metric="epoch")
        exit_code = follow.copy(lambda row, step: run.log(row, step=step))
        run.summary.update(ending(follow.record))
        run.finish(exit_code=exit_code)


def ending(record: TrialRecord) -> dict[str, Any]:
    """What the run's summary says of how the trial ended."""
    summary: dict[str, Any] = {
        "sweep/state": record.state,
        "sweep/reason": record.reason,
        "sweep/exit_code": record.exit_code,
    }
    if record.state == "stopped":
        summary["sweep/stopped_early"] = True
    if record.value is not None:
        summary["sweep/value"] = record.value
    if record.last_lines:
        summary["sweep/last_lines"] = "\n".join(record.last_lines)
    return summary


def run_exit_code(record: TrialRecord) -> int:
    """The exit code a W&B run gets: 0 for a trial that ended well, else the child's (or 1)."""
    if record.state in ("finished", "stopped"):
        return 0
    code = record.exit_code or 1
    return code if code > 0 else 128 - code


class _Follow:
    """One trial's metrics.jsonl, read as it grows."""

    def __init__(self, record: TrialRecord, paths: TrialPaths) -> None:
        self.record, self.paths = record, paths
        self.changed = threading.Event()
        self.ended = False

    def finish(self, record: TrialRecord) -> None:
        self.record, self.ended = record, True
        self.changed.set()

    def copy(self, log: Callable[[dict[str, Any], int], Any]) -> int:
        """Logs every row until the trial has ended and its file is read; returns the run's exit code."""
        offset = 0
        while True:
            ended = self.ended
            self.changed.clear()
            offset = self._rows(offset, log)
            if ended:
                return run_exit_code(self.record)
            self.changed.wait()

    def _rows(self, offset: int, log: Callable[[dict[str, Any], int], Any]) -> int:
        with contextlib.suppress(FileNotFoundError), self.paths.metrics.open("rb") as file:
            file.seek(offset)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                offset += len(line)
                row = {key: number(value) for key, value in json.loads(line).items()}
                log(row, row.pop("step"))
        return offset
