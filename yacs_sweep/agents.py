"""One agent: a process that takes trials from a controller and runs them one at a time, under a supervisor.

The supervisor's end of the channel closing means that the supervisor is gone: the trial is ended and the agent leaves.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import queue
import signal
import socket
import sys
import threading
import time
import uuid
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any

from .channel import Channel
from .controllers.base import Controller
from .echo import Echo
from .errors import SweepError
from .launch import LaunchFile, load_launch, load_spec_of
from .process import MARKER, Limits, Stop
from .results import SweepPaths, TrialRecord
from .trial import Assignment, Hooks, Launch, TrialRunner

ALIVE_PERIOD = 5.0  # seconds between two signs of life
LEAVING_GRACE = 10.0  # seconds W&B gets, after an interrupt, to take what it has not taken yet
SUPERVISOR_LOST_GRACE = 3.0  # seconds for the trainer when the supervisor is gone: the promise is 5 s in all


@dataclass(frozen=True)
class Job:
    """What the supervisor tells an agent; travels as JSON."""

    sweep_dir_base: str
    sweep_id: str
    index: int = 0
    echo: bool = True
    prefix: str = ""
    timeout: float | None = None
    stall_timeout: float | None = None
    grace: float = 15.0
    gpu_ids: tuple[str, ...] = ()
    retries: int = 0
    on_oom: str = "skip"
    gpu_wait: float = 30.0

    @property
    def limits(self) -> Limits:
        return Limits(self.timeout, self.stall_timeout, self.grace)

    @property
    def paths(self) -> SweepPaths:
        return SweepPaths(Path(self.sweep_dir_base), self.sweep_id)


class OwnLock:
    """A locked file that says "this agent lives"; the kernel unlocks it when the process ends, however it ends."""

    def __init__(self, folder: Path, index: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{index}-{uuid.uuid4().hex[:12]}.lock"
        self._descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        os.write(self._descriptor, f"{socket.gethostname()} {os.getpid()}\n".encode())

    @property
    def name(self) -> str:
        return self.path.name

    def release(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()
        os.close(self._descriptor)


def agent_lives(folder: Path, name: str) -> bool:
    """Whether the agent with that lock file is still running (on this machine)."""
    try:
        descriptor = os.open(folder / name, os.O_WRONLY | os.O_CLOEXEC)
    except (FileNotFoundError, IsADirectoryError):
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


class Agent:
    """`controllers.base.Turn`: the channel to the supervisor and the runner of trials."""

    def __init__(self, channel: Channel, job: Job, launch: Launch, lock: OwnLock, token: str) -> None:
        self.channel, self.job = channel, job
        self.stop: Stop | None = None
        self._alive_told = 0.0
        self._answers: queue.Queue[bool] = queue.Queue()
        self.echo = Echo(prefix=job.prefix) if job.echo else None
        self.runner = TrialRunner(
            launch,
            agent=lock.name,
            echo=self.echo,
            on_event=lambda kind, content: self.tell(kind, content=content),
            stop_requested=self._stop_requested,
            gpu_ids=job.gpu_ids,
            token=token,
        )
        threading.Thread(target=self._listen, name="channel", daemon=True).start()

    def tell(self, kind: str, **content: Any) -> None:
        self.channel.send(event=kind, **content)

    def request_stop(self, stop: Stop) -> None:
        """The trial that runs is ended, no further one starts. A later request may shorten the grace period."""
        self.stop = stop
        self._answers.put(False)

    def _listen(self) -> None:
        while (messages := self.channel.receive()) is not None:
            for message in messages:
                if "go" in message:
                    self._answers.put(bool(message["go"]))
                elif "stop" in message:
                    self.request_stop(Stop(**message["stop"]))
        self.request_stop(Stop("lost", "the launcher went away", SUPERVISOR_LOST_GRACE))

    def may_start(self) -> bool:
        if self.stop is not None:
            return False
        self.tell("want")
        return self._answers.get() and self.stop is None

    def give_back(self) -> None:
        self.tell("none")

    def run(self, assignment: Assignment, hooks: Hooks, refused: str | None = None) -> TrialRecord:
        return self.runner.run(assignment, hooks, refused)

    def stopping(self) -> bool:
        return self.stop is not None

    def preempted(self) -> bool:
        return self.stop is not None and self.stop.cause == "interrupted" and "SIGTERM" in self.stop.detail

    def patience(self) -> float:
        if self.stop is None:
            return 0.0
        return LEAVING_GRACE if self.stop.grace is None else 0.5

    def alive(self) -> None:
        now = time.monotonic()
        if now - self._alive_told > ALIVE_PERIOD:
            self._alive_told = now
            self.tell("alive")

    def _stop_requested(self) -> Stop | None:
        self.alive()
        return self.stop

    def note(self, text: str) -> None:
        self.tell("note", content={"text": text})

    def close(self) -> None:
        self.runner.close()
        if self.echo is not None:
            self.echo.close()


def make_controller(job: Job, agent: Agent, lock: OwnLock) -> Controller:
    """The controller the sweep was launched with; imports only that one."""
    from .recorder import Recorder, RunIdentity

    file, spec = LaunchFile.load(job.paths), load_spec_of(job.paths)
    if file.controller == "wandb":
        from .controllers.wandb import WandbController

        return WandbController(
            job.paths, spec, recorder=Recorder(job.paths.dir, agent.note), project=file.project, entity=file.entity
        )
    from .controllers.local import LocalController

    recorder = Recorder(job.paths.dir, agent.note) if file.wandb_mode != "disabled" else None
    return LocalController(
        job.paths,
        spec,
        agent=lock.name,
        seed=file.seed,
        storage_url=file.storage,
        retries=job.retries,
        recorder=recorder,
        runs=RunIdentity(
            "", file.wandb_mode, group=f"{spec.name}-{job.sweep_id}", project=file.project, entity=file.entity
        ),
    )


def run_agent(channel: Channel, token: str) -> int:
    """The whole life of an agent process; its exit status. `token` marks its trials' processes."""
    messages = None
    while not messages:
        messages = channel.receive()
        if messages is None:
            return 1
    job = Job(**messages[0]["job"])
    lock = OwnLock(job.paths.agents, job.index)
    launch = replace(
        load_launch(job.paths, job.limits), retries=job.retries, on_oom=job.on_oom, gpu_wait=job.gpu_wait
    )
    agent = Agent(channel, job, launch, lock, token)

    def on_signal(number: int, frame: FrameType | None) -> None:
        agent.request_stop(Stop("interrupted", f"the agent received {signal.Signals(number).name}"))

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, on_signal)
    try:
        controller = make_controller(job, agent, lock)
        try:
            controller.work(agent)
        finally:
            controller.close()
    except SweepError as error:
        agent.tell("fatal", text=str(error))
        return 1
    finally:
        agent.close()
        lock.release()
    return 0


def main() -> None:
    """Entry point of the agent process: ``argv[1]`` is the descriptor of the channel."""
    token = os.environ.pop(MARKER)  # for the guard and what is below it, not for a W&B service process
    connection = socket.socket(fileno=int(sys.argv[1]))
    os.set_inheritable(connection.fileno(), False)
    sys.exit(run_agent(Channel(connection), token))
