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
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .results import TrialPaths, TrialRecord, number

OUTAGE = 600.0  # seconds without W&B that cost nothing: so long a run is tried to be opened, and to be finished
RETRY = 10.0  # seconds between two attempts to open a run
KILLED = 255  # the exit code W&B shows as "killed"
# Of a run that belongs to nobody's terminal: no console capture, no code or git upload, no machine metadata.
SETTINGS: dict[str, Any] = {
    "console": "off",
    "silent": True,
    "save_code": False,
    "disable_git": True,
    "x_disable_meta": True,
    "x_disable_stats": True,
}


@dataclass(frozen=True)
class RunIdentity:
    """Which W&B run a trial is."""

    id: str
    mode: str  # W&B's online or offline
    config: Mapping[str, Any] = field(default_factory=dict)
    name: str | None = None  # None: the server's
    group: str | None = None
    sweep_id: str | None = None
    project: str | None = None
    entity: str | None = None


class Run:
    """One W&B run that follows one trial. No call blocks, but for those with a timeout."""

    def __init__(self, identity: RunIdentity) -> None:
        self.identity = identity
        self.name: str | None = None
        self.record: TrialRecord | None = None  # final, once the trial has ended
        self.preempted = False
        self.error: str | None = None  # why W&B does not have everything
        self._paths: TrialPaths | None = None
        self._changed = threading.Event()
        self._opened = threading.Event()
        self._done = threading.Event()

    def wait_for_name(self, timeout: float) -> str | None:
        """The run's name once W&B has told it; None if it has not after `timeout` seconds."""
        self._opened.wait(timeout)
        return self.name

    def follow(self, paths: TrialPaths) -> None:
        """The trial has started; its rows appear in `paths.metrics`."""
        self._paths = paths
        self._changed.set()

    def notify(self) -> None:
        """There may be new rows."""
        self._changed.set()

    def end(self, record: TrialRecord, *, preempted: bool = False) -> None:
        """The trial has ended; `record` is its final trial.json. `preempted`: the server may hand it out again."""
        self.preempted = preempted
        self.record = record
        self._changed.set()

    def wait(self, timeout: float) -> bool:
        """Whether the run is finished, or given up, after at most `timeout` seconds."""
        return self._done.wait(timeout)

    # -- on the recorder's thread -----------------------------------------------------------------------------------

    def perform(self, folder: Path) -> None:
        """Opens the run, logs every row, finishes it. Raises what W&B raises."""
        try:
            run = self._open(folder)
            self.name = run.name
            self._opened.set()
            self._define(run)
            record = self._copy(run)
            run.summary.update(ending(record))
            if self.preempted:
                run.mark_preempting()
            run.finish(exit_code=run_exit_code(record))
        finally:
            self._opened.set()
            self._done.set()

    def _open(self, folder: Path) -> Any:
        """W&B's run; through an outage attempts are repeated, and after it the run is opened offline."""
        import wandb

        deadline = time.monotonic() + OUTAGE
        identity = self.identity
        mode = identity.mode
        while True:
            settings = wandb.Settings(
                **SETTINGS, init_timeout=60.0, finish_timeout=OUTAGE, sweep_id=identity.sweep_id, run_id=identity.id
            )
            try:
                return wandb.init(
                    mode=mode,  # type: ignore[arg-type]
                    dir=str(folder),
                    project=identity.project,
                    entity=identity.entity,
                    group=identity.group,
                    id=identity.id,
                    name=identity.name,
                    config=dict(identity.config),
                    reinit="create_new",
                    settings=settings,
                )
            except wandb.errors.Error as error:
                if mode == "offline":
                    raise
                if time.monotonic() > deadline:
                    mode = "offline"
                    self.error = f"the run could not be opened on the server: {first_line(error)}"
                    continue
                time.sleep(RETRY)

    def _define(self, run: Any) -> None:
        run.define_metric("epoch", hidden=True)
        run.define_metric("*", step_metric="epoch")

    def _copy(self, run: Any) -> TrialRecord:
        """Logs every row until the trial has ended and its file is read."""
        offset = 0
        while True:
            record = self.record
            self._changed.clear()
            if self._paths is not None:
                offset = _rows(self._paths.metrics, offset, lambda row, step: run.log(row, step=step))
            if record is not None:
                return record
            self._changed.wait()


def _rows(path: Path, offset: int, log: Callable[[dict[str, Any], int], Any]) -> int:
    """Logs the whole lines from `offset` on; returns where they end."""
    with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
        file.seek(offset)
        for line in file:
            if not line.endswith(b"\n"):
                break
            offset += len(line)
            row = {key: number(value) for key, value in json.loads(line).items()}
            log(row, row.pop("step"))
    return offset


class Recorder:
    """A thread that performs runs one after the other."""

    def __init__(self, folder: Path, note: Callable[[str], None]) -> None:
        """
        Args:
            folder: where W&B's own `wandb/` folder goes.
            note: shows the user a line.
        """
        self.folder, self.note = folder, note
        self._runs: queue.Queue[Run | None] = queue.Queue()
        self._thread = threading.Thread(target=self._work, name="recorder", daemon=True)
        self._thread.start()

    def begin(self, identity: RunIdentity) -> Run:
        """A run that starts as soon as the one before it is finished. Never blocks."""
        run = Run(identity)
        self._runs.put(run)
        return run

    def close(self, timeout: float) -> None:
        """Waits, for at most `timeout` seconds, until W&B has everything."""
        self._runs.put(None)
        self._thread.join(timeout)
        if self._thread.is_alive():
            self.note(f"W&B has not taken all rows within {timeout:.0f} s; {self.where()}")

    def where(self) -> str:
        """Where rows are that W&B does not have, and how to give them to it."""
        return f"they are in each trial's metrics.jsonl and in {self.folder / 'wandb'} (upload: wandb sync <run folder>)"

    def _work(self) -> None:
        os.environ.setdefault("WANDB_SILENT", "true")
        told: set[str] = set()
        while (run := self._runs.get()) is not None:
            try:
                run.perform(self.folder)
            except Exception as error:
                run.error = first_line(error)
            if run.error is not None and run.error not in told:
                told.add(run.error)
                self.note(f"W&B run {run.identity.id}: {run.error}; {self.where()}")


def first_line(error: BaseException) -> str:
    """An exception in one line."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


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
    """The exit code a W&B run gets: 0 for a trial that ended well, 255 (shown as killed) for an interrupted one, else the
    child's."""
    if record.state in ("finished", "stopped"):
        return 0
    if record.state == "killed":
        return KILLED
    code = record.exit_code or 1
    return code if code > 0 else 128 - code
