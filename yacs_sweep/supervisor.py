"""The supervisor: starts agents, replaces those that die, owns the signals, the screen and summary.json."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import Any

from .agents import Job
from .channel import Channel, Message
from .locks import clear_dead_agents
from .process import MARKER, await_marked, kill_marked
from .results import ENDED_WELL, Summary, TrialRecord, mark_lost, remove_parts

MAX_RESTARTS = 3  # deaths of one worker's agents in a row without a trial ended in between
SILENCE = 120.0  # seconds without a sign of life after which an agent counts as hung and is replaced
LATE = 1.0  # seconds between two rounds of the supervisor from which on it was itself held up
AGENT_EXIT_GRACE = 20.0  # seconds an agent gets, beyond its trial's grace period, to leave when asked
GUARD_EXIT_GRACE = 4.0  # seconds for the guard of a dead agent to end its trial, before we do
AGENT_CODE = "import sys; sys.path.insert(0, {root!r}); from yacs_sweep.agents import main; main()"


@dataclass
class Outcome:
    """How a sweep ended."""

    interrupted: bool = False
    message: str | None = None  # why it ended before its count, in words
    ended: list[TrialRecord] = field(default_factory=list)  # in this launch


@dataclass(frozen=True)
class FailureLimit:
    """Ends a sweep of failing trials. `limit` None: three in a row, and only while none has succeeded."""

    limit: int | None = None

    def reached(self, ended: list[TrialRecord]) -> str | None:
        """The message that ends the sweep, or None. Pure.

        Args:
            ended: the trials that ended in this launch, in order.
        """
        counted = [record for record in ended if record.state in (*ENDED_WELL, "failed")]
        wanted = self.limit or 3
        row = counted[-wanted:]
        if len(row) < wanted or any(record.state != "failed" for record in row):
            return None
        if self.limit is None and any(record.state in ENDED_WELL for record in counted):
            return None
        first = row[0]
        lines = "".join(f"\n    {line}" for line in first.last_lines[-8:])
        return (
            f"ended after {wanted} failed trials in a row (--max-failures {wanted}). "
            f"The first of them, {first.name}: {first.reason}{lines}"
        )


class AgentHandle:
    """The supervisor's view of one worker: its agent process now, and how often it had to be replaced."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.deaths = 0  # in a row, without a trial ended in between
        self.token = ""
        self.heard = 0.0  # when it last said something (monotonic seconds)
        self.ticket = False
        self.trial: TrialRecord | None = None
        self.log: Path
        self.channel: Channel
        self.process: subprocess.Popen[bytes]

    def start(self) -> None:
        ours, theirs = socket.socketpair()
        self.token = uuid.uuid4().hex
        root = str(Path(__file__).resolve().parent.parent)
        self.log = self.job.paths.agents / f"worker-{self.job.index}.log"
        with theirs, self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", AGENT_CODE.format(root=root), str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stderr=log,  # tracebacks and the W&B client's messages; the trainer's stderr goes with its stdout
                start_new_session=True,  # Ctrl-C reaches the supervisor alone, which ends things in order
                env={**os.environ, MARKER: self.token},
            )
        self.channel = Channel(ours)
        self.heard = time.monotonic()
        self.ticket, self.trial = False, None
        self.channel.send(job=asdict(self.job))

    @property
    def started(self) -> bool:
        return hasattr(self, "process")

    def last_words(self) -> str:
        """The last line of the agent's log, where a traceback ends."""
        lines = [line for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
        return f"{lines[-1].strip()} (see {self.log})" if lines else f"see {self.log}"


class Supervisor:
    """Runs `jobs` agents until `count` trials have been given out or the controller has none left."""

    def __init__(
        self,
        jobs: list[Job],
        count: int,
        summary: Summary,
        *,
        failure_limit: FailureLimit,
        on_trial: Callable[[TrialRecord], None] = lambda record: None,
        on_row: Callable[[dict[str, Any]], None] = lambda row: None,
        enough: Callable[[TrialRecord], str | None] = lambda record: None,
        say: Callable[[str], None] = print,
        silence: float = SILENCE,
    ) -> None:
        self.silence = silence
        self.handles = [AgentHandle(job) for job in jobs]
        self.left = count
        self.summary = summary
        self.failure_limit = failure_limit
        self.on_trial, self.on_row, self._print = on_trial, on_row, say
        self._enough, self._over = enough, False  # over: the search has what it looked for
        self._looked = time.monotonic()
        self.outcome = Outcome()
        self.grace = max(job.grace for job in jobs)
        self.stop_sent: dict[str, Any] | None = None
        self.stop_deadline = float("inf")
        self.signals: list[int] = []
        self.selector = selectors.DefaultSelector()

    # -- signals ----------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _signals(self) -> Any:
        def note(number: int, frame: FrameType | None) -> None:
            self.signals.append(number)

        wanted = [signal.SIGINT, signal.SIGTERM]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup
            wanted.append(signal.SIGHUP)
        previous = {number: signal.signal(number, note) for number in wanted}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def say(self, text: str) -> None:
        """Shows the user a line. A terminal that is gone is replaced by nothing: results are written all the same."""
        try:
            self._print(text)
        except OSError:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 1)
            os.close(null)

    def _handle_signals(self) -> None:
        while self.signals:
            name = signal.Signals(self.signals.pop(0)).name
            first = not self.outcome.interrupted
            self.outcome.interrupted = True
            if first:
                self.say(f"{name}: ending the running trial (again: at once)")
                self.stop({"cause": "interrupted", "detail": f"interrupted by {name}", "grace": None})
            else:
                self.say(f"{name} again: ending at once")
                self.stop({"cause": "interrupted", "detail": f"interrupted by {name}", "grace": 0.0})

    def stop(self, request: dict[str, Any]) -> None:
        """Ends the running trials; nothing new starts."""
        self.left = 0
        self.stop_sent = request
        grace = self.grace if request["grace"] is None else request["grace"]
        self.stop_deadline = time.monotonic() + grace + AGENT_EXIT_GRACE
        for handle in self.handles:
            if handle.started:
                handle.channel.send(stop=request)

    # -- agents -----------------------------------------------------------------------------------------------------

    def _message(self, handle: AgentHandle, message: Message) -> None:
        kind = message["event"]
        handle.heard = time.monotonic()
        if kind == "want":
            handle.ticket = self.left > 0
            self.left -= handle.ticket
            handle.channel.send(go=handle.ticket)
        elif kind == "none":
            self._return_ticket(handle)
            self.left = 0
        elif kind == "start":
            handle.trial = TrialRecord.from_row(message["content"])
            self._record(handle.trial)
        elif kind == "row":
            self.on_row(message["content"])
        elif kind == "end":
            self._ended(handle, TrialRecord.from_row(message["content"]))
        elif kind == "note":
            self.say(message["content"]["text"])
        elif kind == "fatal":
            self.outcome.message = message["text"]
            self.left = 0

    def _return_ticket(self, handle: AgentHandle) -> None:
        if handle.ticket and self.stop_sent is None and self.outcome.message is None and not self._over:
            self.left += 1
        handle.ticket = False

    def _record(self, record: TrialRecord) -> None:
        self.summary.records[record.id] = record
        self.summary.own.add(record.id)
        try:
            self.summary.write()
            self.on_trial(record)
        except OSError as error:
            self._fail(f"cannot write results: {error.strerror} ({error.filename or self.summary.path})")

    def _write_summary(self) -> None:
        """Writes what `Summary.write` has put off."""
        try:
            self.summary.write_if_due()
        except OSError as error:
            self._fail(f"cannot write results: {error.strerror} ({error.filename or self.summary.path})")

    def _fail(self, message: str) -> None:
        """Ends the sweep: nothing new starts, what runs is ended."""
        if self.outcome.message is None:
            self.outcome.message = message
            self.stop({"cause": "interrupted", "detail": message, "grace": None})

    def _ended(self, handle: AgentHandle, record: TrialRecord) -> None:
        if record.state == "lost":  # taken from its agent, which lives: another trial takes its place
            self._return_ticket(handle)
        handle.trial, handle.ticket, handle.deaths = None, False, 0
        self.outcome.ended.append(record)
        self._record(record)
        if record.cause == "disk_full":
            self._fail(f"{record.name}: {record.reason}; what was done is kept: make room, then go on with the sweep")
        if not self._over and (why := self._enough(record)):
            self._over, self.left = True, 0
            self.say(f"{why}; no further trial is started")
        if self.left > 0 and (message := self.failure_limit.reached(self.outcome.ended)):
            self.outcome.message = message
            self.left = 0

    def _gone(self, handle: AgentHandle) -> None:
        """An agent's channel has closed: it has left, or died."""
        self.selector.unregister(handle.channel)
        handle.channel.close()
        try:
            status = handle.process.wait(timeout=AGENT_EXIT_GRACE)
        except subprocess.TimeoutExpired:
            handle.process.kill()
            status = handle.process.wait()
        # The guard of a dead agent ends the trial within its own grace period.
        if not await_marked(handle.token, GUARD_EXIT_GRACE):
            kill_marked(handle.token)
        if handle.trial is not None:
            self._lose(handle, handle.trial, status)
        self._return_ticket(handle)
        if status == 0 or self.outcome.message is not None or self.stop_sent is not None:
            return
        handle.deaths += 1
        if handle.deaths > MAX_RESTARTS:
            times = f"{handle.deaths} times in a row ({_status(status)})"
            self.outcome.message = f"worker {handle.job.index} died {times}: {handle.last_words()}"
            self.left = 0
            return
        if self.left > 0:
            time.sleep(min(5.0, 0.2 * 2 ** (handle.deaths - 1)))
            self._launch(handle)

    def _lose(self, handle: AgentHandle, trial: TrialRecord, status: int) -> None:
        """The trial of a dead agent; the agent may have written its end before it could tell."""
        with contextlib.suppress(OSError, ValueError, TypeError):
            trial = TrialRecord.load(self.summary.paths.trial(trial.name).record)
        if trial.state != "running":
            deaths = handle.deaths
            self._ended(handle, trial)
            handle.deaths = deaths
            return
        self.say(f"the agent of {trial.name} died ({_status(status)}); the trial is lost")
        with contextlib.suppress(OSError):
            mark_lost(trial, self.summary.paths)
        self._record(trial)

    def _replace_hung(self) -> None:
        now = time.monotonic()
        pause, self._looked = now - self._looked, now
        for handle in self.handles:
            if pause > LATE:  # it is we who were stopped (Ctrl-Z) or busy: what agents said meanwhile is not read yet
                handle.heard += pause
            if handle.started and now - handle.heard > self.silence and handle.process.poll() is None:
                worker = f"worker {handle.job.index}"
                self.say(f"{worker} gave no sign of life for {self.silence:g} s; its agent is replaced")
                handle.heard = now
                handle.process.kill()

    def _launch(self, handle: AgentHandle) -> None:
        try:
            handle.start()
        except OSError as error:
            self._fail(f"cannot start worker {handle.job.index}: {error.strerror} ({error.filename or handle.log})")
            return
        self.selector.register(handle.channel, selectors.EVENT_READ, handle)

    def run(self) -> Outcome:
        """Returns when every agent has left."""
        paths = self.summary.paths
        if left := clear_dead_agents(paths.agents):
            self.say(f"{left} processes were left over from agents that had been killed; they have been ended")
        remove_parts(paths.dir)
        with self._signals(), self.selector:
            for handle in self.handles:
                self._launch(handle)
            while self.selector.get_map():
                self._handle_signals()
                self._replace_hung()
                self._write_summary()
                if time.monotonic() > self.stop_deadline:
                    for handle in self.handles:
                        if handle.started:
                            handle.process.kill()
                for key, _ in self.selector.select(0.2):
                    handle = key.data
                    messages = handle.channel.receive()
                    if messages is None:
                        self._gone(handle)
                        continue
                    for message in messages:
                        self._message(handle, message)
        return self.outcome


def _status(status: int) -> str:
    return signal.Signals(-status).name if status < 0 else f"exit code {status}"


def with_index(job: Job, index: int) -> Job:
    """The same job for another worker."""
    return replace(job, index=index)
