"""One agent: a process that takes trials from a controller and runs them one at a time, under a supervisor.

The supervisor's end of the channel closing means that the supervisor is gone: the trial is ended and the agent leaves.
"""

from __future__ import annotations

import errno
import os
import queue
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from ...base.errors import SweepError
from ...base.processes import MARKER
from ...records.alive import AgentLock
from ...records.folder import SweepPaths, TrialRecord
from ...records.launch_file import LaunchFile, load_spec_of
from ...search.controller import Controller
from ...trainers.choose import choose_profile
from ...trainers.overrides import Overrides
from ...trainers.profile import TrainerProfile
from ...trainers.schema import read_schema
from ...trial.contract import Assignment, Hooks, Launch, Retry, disk_full
from ...trial.echo import Echo
from ...trial.process import Guard, Limits, Stop
from ...trial.runner import TrialRunner
from ...trial.verdict import Verdict
from .channel import Channel, Job, Message


def load_launch(paths: SweepPaths, limits: Limits) -> Launch:
    """What an agent needs to run the sweep's trials."""
    file, spec = LaunchFile.load(paths), load_spec_of(paths)
    profile: TrainerProfile = choose_profile(file.trainer, spec, Path(file.cwd))
    schema = read_schema(profile, python=file.python, config_file=file.config_file)
    return Launch(
        paths=paths,
        profile=profile,
        overrides=Overrides(profile, schema),
        python=file.python,
        config_file=file.config_file,
        trailing=file.trailing,
        metric=spec.metric.name if spec.metric else None,
        goal=spec.metric.goal if spec.metric else "minimize",
        optimize=spec.optimize,
        limits=limits,
    )


ALIVE_PERIOD = 5.0  # seconds between two signs of life
LEAVING_GRACE = 10.0  # seconds W&B gets, after an interrupt, to take what it has not taken yet
SUPERVISOR_LOST_GRACE = 3.0  # seconds for the trainer when the supervisor is gone: the promise is 5 s in all


class Agent:
    """`controllers.base.Turn`: the channel to the supervisor and the runner of trials."""

    def __init__(
        self, channel: Channel, job: Job, launch: Launch, lock: AgentLock, token: str, guard: Guard | None = None
    ) -> None:
        self.channel, self.job, self.lock = channel, job, lock
        self.stop: Stop | None = None
        self._alive_told = 0.0
        self._answers: queue.Queue[Message] = queue.Queue()
        self.echo = Echo() if job.echo else None
        self.runner = TrialRunner(
            launch,
            agent=lock.name,
            echo=self.echo,
            on_event=self._event,
            stop_requested=self._stop_requested,
            find_gpus=self._find_gpus,
            cores=tuple(job.cores),
            token=token,
            preload=None if job.preload is None else socket.socket(fileno=job.preload),
            guard=guard,
        )
        threading.Thread(target=self._listen, name="channel", daemon=True).start()

    def tell(self, kind: str, **content: Any) -> None:
        self.channel.send(event=kind, **content)

    def _event(self, kind: str, content: Mapping[str, Any]) -> None:
        if kind in ("start", "end") and self.echo is not None:
            self.echo.begin("" if self.job.label is None else f"[{self.job.label}{content['name']}] ")
        self.tell(kind, content=content)

    def request_stop(self, stop: Stop) -> None:
        """The trial that runs is ended, no further one starts. A later request may shorten the grace period."""
        self.stop = stop
        self._answers.put({"go": False})

    def _listen(self) -> None:
        while (messages := self.channel.receive()) is not None:
            for message in messages:
                if "go" in message:
                    self._answers.put(message)
                elif "stop" in message:
                    self.request_stop(Stop(**message["stop"]))
        self.request_stop(Stop("lost", "the launcher went away", SUPERVISOR_LOST_GRACE))

    def may_start(self) -> bool:
        if self.stop is not None:
            return False
        self.tell("want")
        return bool(self._answer()["go"]) and self.stop is None

    def _answer(self) -> Message:
        """Waits for the supervisor's; the GPUs that come with it are used from here on."""
        while True:
            try:
                answer = self._answers.get(timeout=1.0)
                break
            except queue.Empty:
                self.alive()
        if answer["go"]:
            self.runner.use_gpus(answer["gpus"], shared=self.job.shared)
        return answer

    def _find_gpus(self, record: TrialRecord, verdict: Verdict) -> Retry:
        """Tells the supervisor that the machine ended the trial on its GPUs; returns where to try the trial again."""
        if self.stop is not None:
            return Retry.SAME
        self.tell("fault", content={"id": record.id, "cause": verdict.cause, "reason": verdict.reason})
        answer = self._answer()
        return Retry.OTHER if answer["go"] else Retry.SAME if answer.get("stay") else Retry.NOWHERE

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
            self.channel.offer(event="alive")
            self.lock.touch()

    def _stop_requested(self) -> Stop | None:
        self.alive()
        return self.stop

    def note(self, text: str) -> None:
        self.tell("note", content={"text": text})

    def close(self) -> None:
        self.runner.close()
        if self.echo is not None:
            self.echo.close()


def make_controller(job: Job, agent: Agent, lock: AgentLock) -> Controller:
    """The controller the sweep was launched with; imports only that one."""
    from ...wandb.recorder import Axes, Recorder, RunIdentity

    file, spec, launch = LaunchFile.load(job.paths), load_spec_of(job.paths), agent.runner.launch
    axes = Axes(launch.profile.metrics.axis, launch.metric, launch.goal, launch.optimize)
    if file.controller == "wandb":
        from ...search.wandb import WandbController

        return WandbController(
            job.paths,
            spec,
            agent=lock.name,
            retries=job.retries,
            recorder=Recorder(job.paths.dir, agent.note, axes),
            project=file.project,
            entity=file.entity,
        )
    from ...search.local import LocalController

    off = job.wandb_off or file.wandb_mode == "disabled"
    recorder = None if off else Recorder(job.paths.dir, agent.note, axes)
    return LocalController(
        job.paths,
        spec,
        agent=lock.name,
        seed=file.seed,
        storage_url=job.storage,
        retries=job.retries,
        target=job.target,
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
    job, environment = Job(**messages[0]["job"]), messages[0].get("environment")
    if job.preload is not None:
        job = replace(job, preload=channel.descriptors[0])  # the number is the supervisor's
    if environment is not None:  # the agent server forked us, with an environment of its own
        os.environ.clear()
        os.environ.update(environment)
    try:
        _work(channel, job, token)
    except SweepError as error:
        channel.send(event="fatal", text=str(error))
        return 1
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        channel.send(event="fatal", text=disk_full(job.paths))
        return 1
    return 0


def _work(channel: Channel, job: Job, token: str) -> None:
    guard = Guard(token=token) if job.preload is None else None  # starts while the agent reads what it is to do
    lock = AgentLock(job.paths.agents, job.index, token)
    launch = replace(load_launch(job.paths, job.limits), retries=job.retries, on_oom=job.on_oom, gpu_wait=job.gpu_wait)
    agent = Agent(channel, job, launch, lock, token, guard)

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
    finally:
        agent.close()
        lock.release()


def main() -> None:
    """Entry point of an agent that was executed: ``argv[1]`` is the descriptor of its channel."""
    token = os.environ.pop(MARKER)  # for the guard and what is below it, not for a W&B service process
    connection = socket.socket(fileno=int(sys.argv[1]))
    os.set_inheritable(connection.fileno(), False)
    live(connection, token)


def live(connection: socket.socket, token: str) -> NoReturn:
    """Runs an agent to the end of its process."""
    status = 1
    try:
        status = run_agent(Channel(connection), token)
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # what W&B's client does at exit may wait for a server that does not answer
