"""Follows a sweep's folder with one recorder, in a process of its own: what hangs or fails here costs no trial anything.

The folder is the queue: `trial.json` and `metrics.jsonl` of each trial. Beside what a recorder has is written which end of a
trial it has; everything else is recorded again, from the first row on, and the recorder leaves out what it has. So a trial
is recorded whenever it ran, whoever ran it, and however often the recorder failed.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..base.files import NEW_FILE, ensure_folder, read_json, write_atomically
from ..base.values import to_json
from ..base.wording import counted
from ..records.checkpoints import BEST, RECORD
from ..records.folder import SweepPaths, TrialRecord
from ..records.launch_file import load_spec_of
from ..records.metrics import Objective
from .interface import RecordedSweep, Recorder, TrialRun
from .rows import RowCopier
from .targets import MLFLOW, RECORDED, TENSORBOARD, UPLOADS, Target, scrubbed, takes_files

LOOK = 1.0  # seconds between two looks at the sweep's folder; more where a look takes long
SHARE = 20  # a look may take this part of the time
FIRST_RETRY, RETRY = 1.0, 30.0  # seconds after a failure; doubled up to the second
LOST_PATIENCE = 3.0  # seconds for the rest when the launcher is gone
NICE = 10  # trials go first
Make = Callable[[RecordedSweep], Recorder]


@dataclass
class OpenTrial:
    """Holds a trial that is being recorded."""

    run: TrialRun
    rows: RowCopier
    objective: Objective


class Follower:
    """Records the trials of a sweep's folder."""

    def __init__(self, sweep: RecordedSweep, target: Target, make: Make, note: Callable[[str], None]) -> None:
        """Prepares to record; nothing is opened yet.

        Args:
            make: makes the recorder.
            note: shows the user a line.
        """
        self.sweep, self.target, self._make, self._note = sweep, target, make, note
        self.folder = sweep.paths.dir / target.name
        self.error: str | None = None  # why the last look failed
        self._recorder: Recorder | None = None
        self._open: dict[str, OpenTrial] = {}
        self._marks: dict[str, Any] = {}  # what is recorded of each trial, as its file says
        self._seen: dict[Path, tuple[int, TrialRecord]] = {}  # trial.json by its time
        self._failures: dict[str, int] = {}  # by trial
        self._told: set[str] = set()
        self._lock: int | None = None

    def take_lock(self) -> bool:
        """Tells whether this process records the folder: of several launches one does."""
        if self._lock is not None:
            return True
        try:
            ensure_folder(self.folder)
            descriptor = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, NEW_FILE)
        except OSError as error:
            self._failed(None, error)
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return False
        self._lock = descriptor
        return True

    def records(self) -> Iterator[TrialRecord]:
        """Yields the trials of the folder; a trial.json is read when it has changed."""
        for path in self.sweep.paths.dir.glob("*/trial.json"):
            with contextlib.suppress(OSError, ValueError, TypeError):
                changed = path.stat().st_mtime_ns
                known = self._seen.get(path)
                if known is None or known[0] != changed:
                    known = self._seen[path] = changed, TrialRecord.load(path)
                if known[1].name == path.parent.name:
                    yield known[1]

    def owed(self) -> list[TrialRecord]:
        """Lists the trials that are running, or whose end is not recorded; those that have failed least come first."""
        found = [each for each in self.records() if each.state == "running" or self._mark(each) != self._ending(each)]
        return sorted(found, key=lambda each: (self._failures.get(each.id, 0), each.number))

    def _ending(self, record: TrialRecord) -> dict[str, Any]:
        """Returns what is written when a trial's end is recorded."""
        row = {name: getattr(record, name) for name in ("id", "state", "ended", "attempts", "rows", "value")}
        place = {} if self.target.uri is None else {"place": self.target.place}
        content: dict[str, Any] = json.loads(to_json({**row, **place}))
        return content

    def _mark(self, record: TrialRecord) -> Any:
        if record.name not in self._marks:
            self._marks[record.name] = read_json(self.folder / record.name / RECORDED)
        return self._marks[record.name]

    def look(self) -> bool:
        """Records what is new; returns whether nothing has failed. Raises nothing."""
        failed: TrialRecord | None = None
        try:
            owed = self.owed()
            if self._recorder is None and owed:
                self._recorder = self._make(self.sweep)
            for record in owed:
                failed = record
                self._record(record)
                self._failures.pop(record.id, None)
            self.error = None
        except Exception as error:
            self._failed(failed, error)
        return self.error is None

    def _record(self, record: TrialRecord) -> None:
        """Records the new rows of a trial, and its end."""
        assert self._recorder is not None
        metric = self.sweep.spec.metric
        trial = self._open.get(record.id)
        if trial is None:
            name, goal = (metric.name, metric.goal) if metric is not None else (None, "minimize")
            objective = Objective(name, goal, self.sweep.spec.optimize)
            rows = RowCopier(self.sweep.paths.trial(record.name).metrics)
            trial = self._open[record.id] = OpenTrial(self._recorder.open(record), rows, objective)
        trial.rows.copy(trial.run.log, trial.objective)
        if record.state != "running":
            trial.run.finish(record, trial.objective)
            ending = self._ending(record)
            ensure_folder(self.folder / record.name)
            write_atomically(self.folder / record.name / RECORDED, to_json(ending) + "\n", durable=False)
            self._marks[record.name] = ending
            del self._open[record.id]

    def _failed(self, record: TrialRecord | None, error: Exception) -> None:
        """Closes everything, to be opened again; the user is told of a reason once."""
        if record is not None:
            self._failures[record.id] = self._failures.get(record.id, 0) + 1
        self.error = reason_of(error, self.target)
        self._close()
        kind = type(error).__name__
        if kind not in self._told:
            self._told.add(kind)
            self._note(f"{self.target.name} does not take rows: {self.error}; they are kept, and recorded later")

    def _close(self) -> None:
        recorder, self._recorder = self._recorder, None
        self._open.clear()
        if recorder is not None:
            with contextlib.suppress(Exception):
                recorder.close()

    def end(self, order: dict[str, Any], deadline: float) -> bool:
        """Records the rest until `deadline` (monotonic); returns whether everything is recorded.

        Args:
            order: what the launcher says of its end: `interrupted`, `best` (a trial's name), `files` (whether to add them).
        """
        pause = 0.1
        while True:
            ours = self.take_lock()
            self._marks.clear()
            done = (self.look() if ours else True) and not any(record.state != "running" for record in self.owed())
            if done or time.monotonic() + pause > deadline:
                break
            time.sleep(pause)
            pause = min(RETRY, 2 * pause)
        if done and ours:
            self._end_recorder(order)
        self._close()
        if not done:
            left = sum(record.state != "running" for record in self.owed())
            why = f" ({self.error})" if self.error else ""
            self._note(
                f"{self.target.name} does not have all of {counted(left, 'trial')}{why}; resuming the sweep records the rest"
            )
        return done

    def _end_recorder(self, order: dict[str, Any]) -> None:
        """Records the end of the launch."""
        try:
            if self._recorder is None:
                if not order.get("files"):
                    return
                self._recorder = self._make(self.sweep)
            best = self.sweep.paths.record(str(order["best"])) if order.get("best") else None
            self._recorder.end(best, interrupted=bool(order.get("interrupted")))
            folder = self.sweep.paths.dir / BEST
            if best is not None and order.get("files") and (folder / RECORD).is_file():
                if takes_files([self.target.name]):
                    self._note(UPLOADS)
                self._recorder.add_files(best, folder)
        except Exception as error:
            self.error = reason_of(error, self.target)
            self._note(f"{self.target.name} has every trial, but not the end of the sweep: {self.error}")


def reason_of(error: Exception, target: Target) -> str:
    """Says in one line why a recorder failed, without passwords."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = scrubbed(str(error), target) or type(error).__name__
    return text if len(text) <= 200 else text[:199] + "…"


def make_recorder(target: Target) -> Make:
    """Returns what makes the recorder of a target; its package is imported then."""

    def make(sweep: RecordedSweep) -> Recorder:
        if target.name == TENSORBOARD:
            from .tensorboard_files import TensorBoardRecorder

            return TensorBoardRecorder(sweep)
        assert target.name == MLFLOW
        from .mlflow_runs import MlflowRecorder

        return MlflowRecorder(sweep, target)

    return make


def main() -> None:
    """Follows a sweep until the launcher closes standard input: a request in its first line, how the launch ends in its last."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the launcher says when it is over
    with contextlib.suppress(OSError):
        os.nice(NICE)
    lines = Lines(sys.stdin.fileno())
    request = lines.wait(None)
    if request is None:
        return
    out, sys.stdout = os.fdopen(os.dup(1), "w"), sys.stderr  # libraries print
    os.dup2(2, 1)

    def note(text: str) -> None:
        with contextlib.suppress(OSError):
            out.write(f"{text}\n")  # to the launcher, which shows it
            out.flush()

    paths = SweepPaths(Path(request["base"]), request["sweep_id"])
    target = Target(request["name"], request["uri"])
    sweep = RecordedSweep(paths, load_spec_of(paths), request["project"])
    follower = Follower(sweep, target, make_recorder(target), note)
    order, retry = None, FIRST_RETRY
    while order is None and not lines.closed:
        began, wait = time.monotonic(), LOOK
        if follower.take_lock():
            follower.look()
        if follower.error is None:
            wait, retry = max(LOOK, SHARE * (time.monotonic() - began)), FIRST_RETRY
        else:
            wait, retry = retry, min(RETRY, 2 * retry)
        order = lines.wait(wait)
    order = order or {"interrupted": True, "patience": LOST_PATIENCE}  # the launcher was killed
    follower.end(order, time.monotonic() + order["patience"])
    os._exit(0)  # threads of a library may wait for a server


class Lines:
    """Reads JSON objects, one a line, from a descriptor."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.closed = False
        self._rest = b""

    def wait(self, seconds: float | None) -> dict[str, Any] | None:
        """Waits at most `seconds` for a line; None where there is none. None seconds: without end."""
        deadline = None if seconds is None else time.monotonic() + seconds
        while b"\n" not in self._rest and not self.closed:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not select.select([self.descriptor], [], [], left)[0]:
                return None
            data = os.read(self.descriptor, 1 << 16)
            self.closed = not data
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        return json.loads(line) if line else None
