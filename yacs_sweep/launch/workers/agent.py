"""Runs an agent: a process that takes trials from a controller and runs them one at a time, under a supervisor.

When the supervisor's end of the channel closes, the supervisor is gone: the agent ends its trial and leaves.
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
from ...base.processes import MARKER, set_environment
from ...records.alive import AgentLock
from ...records.code.watched import InputWatch
from ...records.folder import SweepPaths, TrialRecord
from ...records.launch_file import LaunchFile, load_spec_of
from ...records.measured import Demands
from ...search.controller import Controller
from ...trainers.choose import choose_profile
from ...trainers.overrides import Overrides
from ...trainers.profile import TrainerProfile
from ...trainers.schemas.read import read_schema
from ...trainers.schemas.schema import Schema
from ...trial.attempt import STOP_GRACE
from ...trial.contract import Assignment, Hooks, Launch, Retry, disk_full_message
from ...trial.echo import Echo
from ...trial.process import Guard, Limits, Stop
from ...trial.runner import TrialRunner
from ...trial.verdict import Verdict
from .channel import Channel, Job, Message
from .freezer import Freezer


def load_launch(paths: SweepPaths, limits: Limits, schema_text: str | None = None) -> Launch:
    """Reads from the sweep's folder how its trials are run.

    Args:
        schema_text: the trainer's schema, packed; None: it is read in the trainer's interpreter.
    """
    file, spec = LaunchFile.load(paths), load_spec_of(paths)
    profile: TrainerProfile = choose_profile(file.trainer, spec, Path(file.cwd)).starting_in(file.code)
    if schema_text is None:
        schema = read_schema(profile, python=file.python, config_file=file.config_file)
    else:
        schema = Schema.unpack(schema_text)
    return Launch(
        paths=paths,
        profile=profile,
        overrides=Overrides(profile, schema),
        python=file.python,
        config_file=file.config_file,
        trailing=file.trailing,
        seed=file.trainer_seed,
        metric=spec.metric.name if spec.metric else None,
        goal=spec.metric.goal if spec.metric else "minimize",
        optimize=spec.optimize,
        compared=spec.compared.name if spec.compared and (spec.early_terminate or spec.pauses) else None,
        full=spec.full_training,
        demands=Demands.of(spec),
        limits=limits,
        watch=InputWatch(paths, Path(file.cwd)),
    )


ALIVE_PERIOD = 5.0  # seconds between two signs of life
LEAVING_GRACE = 10.0  # seconds W&B gets, after an interrupt, to take what it has not taken yet
SUPERVISOR_LOST_GRACE = 3.0  # seconds for the trainer when the supervisor is gone: the promise is 5 s in all


class Agent:
    """Runs trials for a controller (`search.controller.Agent`), with the supervisor's consent."""

    def __init__(
        self, channel: Channel, job: Job, launch: Launch, lock: AgentLock, token: str, guard: Guard | None = None
    ) -> None:
        self.channel, self.job, self.lock = channel, job, lock
        self.stop: Stop | None = None
        self._leaves = self._held = False
        self._trial = ""  # id of the running trial,
        self._trial_stop: tuple[str, Stop] | None = None  # and of the last one that a user has stopped
        self._fitting: int | None = None
        self._last_alive = 0.0
        self._answers: queue.Queue[Message] = queue.Queue()
        self.echo = Echo() if job.echo else None
        self.runner = TrialRunner(
            launch,
            lock_name=lock.name,
            echo=self.echo,
            on_event=self._on_event,
            stop_requested=self._stop_requested,
            find_gpus=self._find_gpus,
            cores=tuple(job.cores),
            token=token,
            preload=None if job.preload is None else socket.socket(fileno=job.preload),
            guard=guard,
        )
        self.freezer = Freezer(lambda: self.runner.guards.current)
        threading.Thread(target=self._listen, name="channel", daemon=True).start()

    def send_event(self, kind: str, **content: Any) -> None:
        """Sends an event to the supervisor."""
        self.channel.send(event=kind, **content)

    def _on_event(self, kind: str, content: Mapping[str, Any]) -> None:
        """Passes an event of the trial on to the supervisor; names the trial in front of its echoed lines."""
        if kind in ("start", "end") and self.echo is not None:
            self.echo.begin("" if self.job.label is None else f"[{self.job.label}{content['name']}] ")
        self.send_event(kind, content=content)

    def request_stop(self, stop: Stop) -> None:
        """Ends the running trial; no further one starts. A later request may shorten the grace period."""
        self.stop = stop
        self.freezer.wake()  # a trial that is to end must run
        self._answers.put({"granted": False})

    def _listen(self) -> None:
        """Receives the supervisor's messages, on a thread of its own, until the supervisor is gone."""
        while (messages := self.channel.receive()) is not None:
            for message in messages:
                if "granted" in message:
                    self._answers.put(message)
                elif "stop" in message:
                    self.request_stop(Stop(**message["stop"]))
                elif "sleep" in message:
                    self._sleep(message["sleep"])
                elif "held" in message:
                    self._held = message["held"]
                elif "leave" in message:
                    self._leaves = True
                elif "stop_trial" in message:
                    grace = min(STOP_GRACE, self.job.grace)
                    self._trial_stop = (message["stop_trial"], Stop("stopped", message["why"], grace))
        self.request_stop(Stop("lost", "the launcher exited", SUPERVISOR_LOST_GRACE))

    def _sleep(self, wanted: bool) -> None:
        """Stops the trial until the launch continues, or continues it; one that is to end is left alone."""
        if not wanted:
            self.freezer.wake()
            return
        if self.stop is None:
            self.freezer.sleep()
        self.send_event("asleep")

    def may_start(self) -> bool:
        """Asks the supervisor for one more trial; False when the sweep is to end."""
        if self.leaving():
            return False
        self.send_event("request")
        return bool(self._wait_for_answer()["granted"]) and self.stop is None

    def _wait_for_answer(self) -> Message:
        """Waits for the supervisor's answer; the GPUs that it names are used from then on."""
        while True:
            try:
                answer = self._answers.get(timeout=1.0)
                break
            except queue.Empty:
                self.alive()
        self._fitting = answer.get("iterations")
        if answer["granted"]:
            self.runner.use_gpus(answer["gpus"], shared=self.job.shared)
        return answer

    def _find_gpus(self, record: TrialRecord, verdict: Verdict) -> Retry:
        """Tells the supervisor that the machine ended the trial on its GPUs; returns where to try the trial again."""
        if self.stop is not None:
            return Retry.SAME
        self.send_event("fault", content={"id": record.id, "cause": verdict.cause, "reason": verdict.reason})
        answer = self._wait_for_answer()
        return Retry.OTHER if answer["granted"] else Retry.SAME if answer.get("same_gpus") else Retry.NOWHERE

    def fitting(self) -> int | None:
        """Returns the iterations that a trial which is started now may take until it pauses or ends; None: any number."""
        return self._fitting

    def give_back(self, *, late: bool = False) -> None:
        """Returns a granted trial: the controller has no point left, or with `late` none that is `fitting`."""
        if not self.leaving():  # else the supervisor lets this agent alone go
            self.send_event("exhausted", late=late)

    def run(self, assignment: Assignment, hooks: Hooks, refused: str | None = None) -> TrialRecord:
        """Runs one trial to its end; with `refused` it fails at once, for that reason."""
        self._trial = assignment.id
        return self.runner.run(assignment, hooks, refused)

    def stopping(self) -> bool:
        """Whether the agent is to leave."""
        return self.stop is not None

    def leaving(self) -> bool:
        """Whether this agent starts no further trial; a running one continues unless the agent is `stopping`."""
        return self._leaves or self.stop is not None

    def held(self) -> bool:
        """Whether no trial is to be started for the time being: the sweep is paused."""
        return self._held

    def preempted(self) -> bool:
        """Whether the agent is to leave because its machine is taken away (SIGTERM)."""
        return self.stop is not None and self.stop.cause == "interrupted" and "SIGTERM" in self.stop.detail

    def patience(self) -> float:
        """Returns the seconds that W&B may take for what it has not taken yet."""
        if self.stop is None:
            return 0.0
        return LEAVING_GRACE if self.stop.grace is None else 0.5

    def alive(self) -> None:
        """Gives the supervisor a sign of life, every few seconds at most."""
        now = time.monotonic()
        if now - self._last_alive > ALIVE_PERIOD:
            self._last_alive = now
            self.channel.offer(event="alive")
            self.lock.touch()

    def _stop_requested(self) -> Stop | None:
        """Returns how the running trial is to be stopped; None while it may run on."""
        self.alive()
        self.freezer.look()
        if self.stop is None and self._trial_stop is not None and self._trial_stop[0] == self._trial:
            return self._trial_stop[1]
        return self.stop

    def note(self, text: str) -> None:
        """Shows the user a line."""
        self.send_event("note", content={"text": text})

    def changed(self, record: TrialRecord) -> None:
        """Tells the supervisor that a trial that no agent runs has another record."""
        self.send_event("changed", content=record.row())

    def close(self) -> None:
        """Ends the runner's processes and threads."""
        self.runner.close()
        if self.echo is not None:
            self.echo.close()


def make_controller(job: Job, agent: Agent, lock: AgentLock) -> Controller:
    """Makes the controller that the sweep was launched with; imports no other one."""
    from ...wandb.recorder import Recorder, RunIdentity
    from ...wandb.run_rows import Axes

    file, spec, launch = LaunchFile.load(job.paths), load_spec_of(job.paths), agent.runner.launch
    axes = Axes(launch.profile.metrics.axis, launch.metric, launch.goal, launch.optimize)
    if file.controller == "wandb":
        from ...search.wandb import WandbController
        from ...search.wandb_heartbeat import Command

        def recorder(axes: Axes) -> Recorder:
            return Recorder(job.paths.dir, agent.note, axes, agent.runner.commit.get)

        words: dict[str, Any] = {
            "lock_name": lock.name,
            "retries": job.retries,
            "retry": file.retry,
            "project": file.project,
            "entity": file.entity,
            "given": Command("run", job.given["run_id"], job.given["args"]) if job.given else None,
        }
        if spec.repeats is None:
            return WandbController(job.paths, spec, recorder=recorder(axes), **words)
        from ...search.repeats.server_points import RepeatingController

        # A point's run logs means, of which the last one counts.
        points = replace(axes, optimize="last")
        return RepeatingController(job.paths, spec, recorder=recorder(points), seeds=recorder(axes), **words)
    from ...search.local import LocalController
    from ...wandb.client_version import client_version, why_unusable

    off = job.wandb_off or file.wandb_mode == "disabled" or bool(why_unusable(client_version()))
    return LocalController(
        job.paths,
        spec,
        lock_name=lock.name,
        seed=file.seed,
        storage_url=job.storage,
        retries=job.retries,
        retry=file.retry,
        target=job.target,
        counted=job.counted,
        drops=file.keep != "all",
        axis=axes.axis,
        recorder=None if off else Recorder(job.paths.dir, agent.note, axes, agent.runner.commit.get),
        runs=RunIdentity(
            "", file.wandb_mode, group=f"{spec.name}-{job.sweep_id}", project=file.project, entity=file.entity
        ),
    )


def run_agent(channel: Channel, token: str) -> int:
    """Receives the agent's job and does it; returns the exit status. `token` marks the trials' processes."""
    messages = None
    while not messages:
        messages = channel.receive()
        if messages is None:
            return 1
    job, environment = Job(**messages[0]["job"]), messages[0].get("environment")
    if job.preload is not None:
        job = replace(job, preload=channel.descriptors[0])  # the number is the supervisor's
    if environment is not None:  # the agent server forked us, with an environment of its own
        set_environment(environment)
    try:
        _work(channel, job, token)
    except SweepError as error:
        channel.send(event="fatal", text=str(error))
        return 1
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        channel.send(event="fatal", text=disk_full_message(job.paths))
        return 1
    return 0


def _work(channel: Channel, job: Job, token: str) -> None:
    """Runs the job\'s controller until it has no trial left or the agent is stopped."""
    guard = Guard(token=token) if job.preload is None else None  # starts while the agent reads what it is to do
    lock = AgentLock(job.paths.agents, job.index, token)
    launch = replace(
        load_launch(job.paths, job.limits, job.schema), retries=job.retries, on_oom=job.on_oom, gpu_wait=job.gpu_wait
    )
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
    """Starts an agent that was executed: ``argv[1]`` is the descriptor of its channel."""
    token = os.environ.pop(MARKER)  # for the guard and what is below it, not for a W&B service process
    connection = socket.socket(fileno=int(sys.argv[1]))
    os.set_inheritable(connection.fileno(), False)
    run_to_exit(connection, token)


def run_to_exit(connection: socket.socket, token: str) -> NoReturn:
    """Runs an agent to the end of its process."""
    status = 1
    try:
        status = run_agent(Channel(connection), token)
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # what W&B's client does at exit may wait for a server that does not answer
