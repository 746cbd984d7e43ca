"""Records trials as W&B runs by following their metrics.jsonl, on a thread of its own.

The file is the queue: nothing is kept in memory, nothing blocks the thread that reads the trainer's output, and rows
that W&B has not taken yet are on disk. A row's step in the file is its step on W&B, and a run is always opened to be
resumed: W&B says how many rows it has, and gets the others. So a run may be opened again whenever something went wrong
with it (an outage, a refused request after which the client sends nothing more, a killed service process, a dead agent).
"""

from __future__ import annotations

import contextlib
import queue
import re
import shlex
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..base.files import read_json
from ..recorders.rows import RowCopier
from ..records.environment import DIRTY
from ..records.folder import SweepPaths, TrialPaths, TrialRecord
from ..records.metrics import Objective
from . import client
from .client import OUTAGE, Transport, end_service_after, reason_of
from .client_parts import make_settings, settings_for_stops
from .run_rows import Axes, WandbTrial, describe_run, explain_run

FIRST_RETRY, RETRY = 0.5, min(10.0, OUTAGE / 10)  # seconds between two attempts to open a run; doubled up to the second
INIT_TIMEOUT = min(60.0, OUTAGE)  # seconds the client tries to open a run
LOOK = 1.0  # seconds between two looks for new rows: what they cost is mostly waking up for them
SETTLE = 0.5  # seconds between two questions whether the server has closed the run
SETTLE_TRIES = 4
STOPPED = "stopped by the W&B server"  # why a trial ends that somebody stops on its page
KILLED, PREEMPTED = 255, 143  # exit codes: W&B shows the first as "killed"; the second is a shell's for SIGTERM
UNSENT = ".wandb-unsent"  # in a trial's folder until W&B has all of it
# Of a run that belongs to nobody's terminal: no console capture, no code or git upload, no machine metadata.
SETTINGS: dict[str, Any] = {
    "console": "off",
    "silent": True,
    "save_code": False,
    "disable_git": True,
    "x_disable_meta": True,
    "x_disable_stats": True,
}
PATIENCE: dict[str, Any] = {
    # What a run sends is repeated for longer than any outage that is to cost nothing, and soon after it.
    "x_graphql_retry_max": 1000,
    "x_graphql_retry_wait_max_seconds": 5.0,
    "x_file_stream_retry_max": 1000,
    "x_file_stream_retry_wait_max_seconds": 5.0,
    "x_file_transfer_retry_max": 1000,
    "x_file_transfer_retry_wait_max_seconds": 5.0,
}
RUN_STATE = """
query RunState($project: String!, $entity: String!, $name: String!) {
    project(name: $project, entityName: $entity) { run(name: $name) { state } }
}"""


@dataclass(frozen=True)
class RunIdentity:
    """Identifies the W&B run of a trial."""

    id: str
    mode: str  # W&B's online or offline
    config: Mapping[str, Any] = field(default_factory=dict)
    name: str | None = None  # None: the server's
    group: str | None = None
    sweep_id: str | None = None
    project: str | None = None
    entity: str | None = None


class Run:
    """Follows one trial with one W&B run. No call blocks, but for those with a timeout."""

    def __init__(
        self,
        identity: RunIdentity,
        axes: Axes | None = None,
        preempted: Callable[[], bool] = lambda: False,
        commit: Callable[[], str | None] = lambda: None,
    ) -> None:
        """Prepares a run; `deliver` opens it.

        Args:
            preempted: tells whether the machine is being taken away, so that the server may hand the run out again.
            commit: returns the commit of the trainer's code.
        """
        self.identity, self.axes, self.preempted, self.commit = identity, axes or Axes(), preempted, commit
        self.name: str | None = None
        self.first_step: int | None = None  # rows W&B had when the run was opened first
        self.stop_reason: str | None = None  # once the server has stopped the run
        self.record: TrialRecord | None = None  # final, once the trial has ended
        self.error: str | None = None  # why W&B does not have everything
        self.folders: list[str] = []  # the client's own copies of what was logged
        self._paths: TrialPaths | None = None
        self._ended = 0.0  # monotonic seconds
        self._changed = threading.Event()
        self._opened = threading.Event()
        self._done = threading.Event()

    def _take_stop(self) -> None:
        """Takes note that the server has stopped the run."""
        self.stop_reason = STOPPED

    def wait_until_open(self, timeout: float) -> bool:
        """Waits at most `timeout` seconds; tells whether `name` and `first_step` are known."""
        self._opened.wait(timeout)
        return self.name is not None

    def follow(self, paths: TrialPaths) -> None:
        """Takes note that the trial has started; its rows appear in `paths.metrics`."""
        self._paths = paths
        if self.identity.mode == "online":
            (paths.dir / UNSENT).touch()
        self._changed.set()

    def end(self, record: TrialRecord) -> None:
        """Takes note that the trial has ended; `record` is its final trial.json."""
        self._ended = time.monotonic()
        self.record = record
        self._changed.set()

    def wait(self, timeout: float) -> bool:
        """Waits at most `timeout` seconds; tells whether the run is finished, or given up."""
        return self._done.wait(timeout)

    @property
    def delivered(self) -> bool:
        """Whether W&B has every row; offline, the client's folder."""
        return self._done.is_set() and self.error is None

    # -- on the recorder's thread -----------------------------------------------------------------------------------

    def deliver(self, folder: Path, transport: Transport) -> None:
        """Opens the run, logs every row and finishes it, again and again until W&B has everything.

        Gives up OUTAGE seconds after the trial's end. Raises nothing that W&B raises.
        """
        try:
            if self.identity.mode == "offline" and self.record is None:
                self._pause(LOOK)  # importing the client takes the processor from what starts the trial
            why = self._deliver_once(folder, self.identity.mode, transport)
            pause = FIRST_RETRY
            while why is not None and self.identity.mode == "online" and not self._out_of_time():
                self._pause(pause)
                pause = min(RETRY, 2 * pause)
                why = self._deliver_once(folder, "online", transport)
            if why is not None:
                self.error = why
                if not self.folders:  # leaves something that `wandb sync` takes
                    self._deliver_once(folder, "offline", transport)
            elif self.identity.mode == "offline":
                self._remove_earlier(folder)
        finally:
            self._opened.set()
            if self._paths is not None:
                self._mark_unsent(self._paths.dir / UNSENT)
            self._done.set()

    def _remove_earlier(self, folder: Path) -> None:
        """Removes what the client has kept of the trial before it was paused: the last folder has every row."""
        kept = {Path(name).name for name in self.folders}
        # The client numbers folders of one run that are made within a second.
        own = re.compile(rf"offline-run-\d+_\d+-{re.escape(self.identity.id)}(-\d+)?")
        for path in (folder / "wandb").glob("offline-run-*"):
            if kept and path.name not in kept and own.fullmatch(path.name):
                shutil.rmtree(path, ignore_errors=True)

    def _mark_unsent(self, path: Path) -> None:
        """Keeps the mark of a trial whose rows W&B lacks, and removes that of any other."""
        with contextlib.suppress(OSError):
            if self.error is None:
                path.unlink(missing_ok=True)
            elif self.identity.mode == "online":
                path.touch()  # again: a trainer may have cleared the folder

    def _out_of_time(self) -> bool:
        return self.record is not None and time.monotonic() > self._ended + OUTAGE

    def _pause(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        ended = self.record is not None
        while time.monotonic() < deadline and ended == (self.record is not None):
            self._changed.clear()
            self._changed.wait(min(LOOK, seconds))

    def _deliver_once(self, folder: Path, mode: str, transport: Transport) -> str | None:
        """Delivers the run; returns the reason why W&B lacks something, None when it has everything."""
        try:
            run = self._open_or_end_service(folder, mode)
            self.folders.append(str(run.settings.sync_dir))
            if self.first_step is None:
                self.name, self.first_step = run.name, run.starting_step
                self._opened.set()
            record = self._log_rows(run)
            with end_service_after(self._finish_timeout() + client.CALL_TIMEOUT):
                run.finish(exit_code=run_exit_code(record, self.preempted()))
            return None if mode == "offline" else self._undelivered(transport)
        except Exception as error:
            client.end_broken_service(error)
            return reason_of(error)

    def _open_or_end_service(self, folder: Path, mode: str) -> Any:
        try:
            return self._open(folder, mode)
        except Exception:
            client.end_service()  # it keeps the id of a run that could not be opened, and refuses it from then on
            raise

    def _finish_timeout(self) -> float:
        """Returns the seconds the client may take to send the rest once the trial has ended."""
        return OUTAGE if self.record is None else max(5.0, self._ended + OUTAGE - time.monotonic())

    def _open(self, folder: Path, mode: str) -> Any:
        """Opens the run, or resumes it."""
        import wandb

        identity = self.identity
        required = {"init_timeout": INIT_TIMEOUT, "sweep_id": identity.sweep_id, "run_id": identity.id}
        settings = make_settings(
            {**SETTINGS, **required, "git_commit": (self.commit() or "").removesuffix(DIRTY) or None},
            **PATIENCE,
            **settings_for_stops(self._take_stop),
            finish_timeout=self._finish_timeout(),
        )
        with end_service_after(INIT_TIMEOUT + client.CALL_TIMEOUT):
            return wandb.init(
                mode=mode,  # type: ignore[arg-type]
                dir=str(folder),
                project=identity.project,
                entity=identity.entity,
                group=identity.group,
                id=identity.id,
                name=identity.name,
                config=dict(identity.config),
                resume="allow" if mode == "online" else None,
                reinit="create_new",
                settings=settings,
            )

    def _undelivered(self, transport: Transport) -> str | None:
        """Asks the server whether the run is finished there; explains what is missing, None for nothing.

        After one 401, 403, 404 or 409 the client drops everything it has not sent, its last message included, and says
        that it has finished; the server's run is still running then. Rows go before that message, in order.
        """
        names = {"project": self.identity.project, "entity": self.identity.entity, "name": self.identity.id}
        for _ in range(SETTLE_TRIES):
            project = transport.execute(RUN_STATE, names)["project"]
            state = project["run"]["state"] if project and project["run"] else "missing"
            if state not in ("running", "pending", "crashed", "missing"):
                return None
            time.sleep(SETTLE)
        return f"its run is {state} on the server, which has not taken everything"

    def _log_rows(self, run: Any) -> TrialRecord:
        """Logs every row W&B does not have, until the trial has ended and its file is read."""
        axes = self.axes
        objective = Objective(axes.metric, axes.goal, axes.optimize)
        trial = WandbTrial(run, axes, objective)
        rows: RowCopier | None = None
        preempting, explained = False, False
        while True:
            record = self.record
            self._changed.clear()
            with end_service_after(client.CALL_TIMEOUT):
                if self._paths is not None:
                    if not explained:
                        explained = True
                        explain_run(run, read_json(self._paths.record))
                    rows = rows or RowCopier(self._paths.metrics)
                    rows.copy(trial.log, objective)
                if not preempting and self.preempted():
                    preempting = True  # at once: there may be no time to say it at the end
                    run.mark_preempting()
                if record is not None:
                    if self._paths is not None:
                        describe_run(run, self._paths.wandb_run, self.identity.config)
                    trial.finish(record, objective)
                    return record
            self._changed.wait(LOOK)


class Recorder:
    """Delivers runs one after the other, on a thread."""

    def __init__(
        self,
        folder: Path,
        note: Callable[[str], None],
        axes: Axes | None = None,
        commit: Callable[[], str | None] = lambda: None,
    ) -> None:
        """Starts the thread.

        Args:
            folder: the place of W&B's own `wandb/` folder.
            note: shows the user a line.
            commit: returns the commit of the trainer's code.
        """
        self.folder, self.note, self.axes, self.commit = folder, note, axes, commit
        self._runs: queue.Queue[Run | None] = queue.Queue()
        self._noted: set[str] = set()
        client.prepare()
        self._thread = threading.Thread(target=self._work, name="recorder", daemon=True)
        self._thread.start()

    def begin(self, identity: RunIdentity, preempted: Callable[[], bool] = lambda: False) -> Run:
        """Queues a run; it starts as soon as the one before it is finished. Never blocks."""
        run = Run(identity, self.axes, preempted, self.commit)
        self._runs.put(run)
        return run

    def close(self, timeout: float) -> None:
        """Waits, for at most `timeout` seconds, until W&B has everything; then ends its service process."""
        self._runs.put(None)
        self._thread.join(timeout)
        late = self._thread.is_alive()
        if late:
            self.note(f"W&B has not taken all rows within {timeout:.0f} s; each trial's are in its metrics.jsonl")
        client.end_service(0.0 if late else client.SERVICE_EXIT)

    def _work(self) -> None:
        transport = Transport()
        while (run := self._runs.get()) is not None:
            run.deliver(self.folder, transport)
            if run.error is not None and run.error not in self._noted:
                self._noted.add(run.error)
                self.note(f"W&B does not have everything of run {run.identity.id}: {run.error}")


def lacks_rows(paths: SweepPaths) -> bool:
    """Tells whether W&B lacks rows of some trial."""
    return any(paths.dir.glob(f"*/{UNSENT}"))


def how_to_upload(folders: list[str]) -> str:
    """Returns the command that uploads what the client has kept in these folders."""
    return shlex.join(["wandb", "sync", "--include-online", *folders])


def run_exit_code(record: TrialRecord, preempted: bool) -> int:
    """Returns the exit code of a W&B run.

    It is 0 for a trial that ended well, 143 for one whose machine is taken away, 255 (shown as killed) for another
    interrupted one, else the child's.
    """
    if record.state in ("finished", "stopped"):
        return 0
    if record.state == "killed":
        return PREEMPTED if preempted else KILLED
    code = record.exit_code or 1
    return code if code > 0 else 128 - code
