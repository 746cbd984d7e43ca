"""Runs one child process: starts it, streams its output, ends it with all its descendants, and says how it ended.

The child is started by a guard (`guard.py`), a small process that adopts the child's orphans, so that "ended" means that no
process of the trial exists any more.
"""

from __future__ import annotations

import array
import contextlib
import json
import os
import selectors
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ..base.errors import SweepError
from ..base.processes import MARKER, kill_marked, marked_processes, with_programs_of, without_wandb
from ..base.signals import AWAKE
from ..base.wording import counted
from .output_pipe import OutputPipe
from .wandb_calls import take_calls

TICK = 0.1  # seconds between two checks of limits and stop requests while the child is quiet
QUIET = 0.5  # seconds without output after which on_quiet is called once
GUARD_LATE = 12.0  # seconds after SIGKILL was due, by which a guard must have reported the end, or else hangs


class StartError(SweepError):
    """The child's command could not be executed."""


class GuardLost(SweepError):
    """The guard was killed; the rest of the trial's processes have been killed too."""

    def __init__(self, text: str, unkillable: Sequence[int] = ()) -> None:
        """Keeps `unkillable`, the ids of the processes that survived SIGKILL."""
        super().__init__(text)
        self.unkillable = tuple(unkillable)


@dataclass(frozen=True)
class Stop:
    """A request to end the child.

    Attributes:
        cause: timeout, stalled, stopped, paused, interrupted, deadline or lost.
        detail: the reason, for the user.
        grace: seconds between SIGTERM and SIGKILL; None: as `Limits` says.
    """

    cause: str
    detail: str = ""
    grace: float | None = None


@dataclass(frozen=True)
class Exit:
    """How a child ended.

    Attributes:
        status: as subprocess counts (-9: SIGKILL); None for a child that survived SIGKILL.
        stop: the request that ended it; None: it ended by itself.
        leftovers: how many processes the child left behind.
        unkillable: ids of the processes that survived SIGKILL (uninterruptible I/O).
        seconds: how long it ran, the time left out for which Ctrl-Z had stopped it.
    """

    status: int | None
    stop: Stop | None
    leftovers: int = 0
    unkillable: tuple[int, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True)
class Limits:
    """Seconds a child may take: `timeout` in all, `stall` without any output, `grace` between SIGTERM and SIGKILL."""

    timeout: float | None = None
    stall: float | None = None
    grace: float = 15.0


class GuardProcess(Protocol):
    """The part of `subprocess.Popen` that a guard's owner uses."""

    @property
    def pid(self) -> int:
        """Id of the process."""

    def kill(self) -> None:
        """Sends SIGKILL to the process."""

    def wait(self, timeout: float | None = None) -> int | None:
        """Waits for the end; raises subprocess.TimeoutExpired."""


def child_environment(
    profile_env: Mapping[str, str],
    parent: Mapping[str, str],
    gpu_ids: Sequence[str] = (),
    *,
    wandb: bool = False,
    interpreter: str | None = None,
) -> dict[str, str]:
    """Returns a trainer's environment: the parent's without W&B's variables (run, sweep, service, key), W&B disabled.
    With `wandb`, its Python takes the calls of W&B's client, unless the profile lets the client do something itself.

    With `gpu_ids`, CUDA sees these GPUs only, and numbers them as NVML does unless the environment says otherwise. OpenMP's
    idle threads sleep unless the environment says otherwise: beside other processes, threads that spin take two to four
    times as long as the work itself.

    Args:
        profile_env: the profile's `env`, which wins over the parent's.
        interpreter: whose programs are found first; None: as PATH has it.
    """
    env = {"OMP_WAIT_POLICY": "passive", **with_programs_of(interpreter, without_wandb(parent))}
    env |= {"WANDB_MODE": "disabled", "PYTHONUNBUFFERED": "1", **profile_env}
    if gpu_ids:
        env["CUDA_VISIBLE_DEVICES"] = ",".join(gpu_ids)
        env.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    return take_calls(env) if wandb and env["WANDB_MODE"] == "disabled" else env


def execute_guard(connection: socket.socket, token: str) -> GuardProcess:
    """Starts a guard as a fresh process."""
    script = str(Path(__file__).parent / "inside" / "guard.py")
    return subprocess.Popen(
        [sys.executable, "-I", "-S", script, str(connection.fileno())],
        env={**without_wandb(os.environ), MARKER: token},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        pass_fds=[connection.fileno()],
        start_new_session=True,
    )


class Guard:
    """Controls a guard process, which runs one child at a time."""

    def __init__(
        self, *, token: str | None = None, start: Callable[[socket.socket, str], GuardProcess] = execute_guard
    ) -> None:
        """Starts the guard.

        Args:
            token: marks the environment of the guard and its descendants; None: a random one.
            start: makes the process, given its end of the connection and the token.
        """
        self.token = token or os.urandom(16).hex()
        self.executed: tuple[str, str] | None = None  # why a guard that can fork a trial did not: kind, text
        self.ending = False  # whether its child was told to end
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                self._process = start(theirs, self.token)
        except BaseException:
            ours.close()
            raise
        self.connection = ours
        self._buffer = b""
        self._waiting: deque[dict[str, object]] = deque()

    @property
    def pid(self) -> int:
        """Id of the guard's process."""
        return self._process.pid

    def send(self, message: dict[str, object], descriptors: Sequence[int] = ()) -> None:
        """Sends the guard a message, with open files.

        Raises:
            GuardLost: the guard is gone.
        """
        data = json.dumps(message).encode() + b"\n"
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
        try:
            sent = self.connection.sendmsg([data], ancillary)
            self.connection.sendall(data[sent:])
        except OSError as error:
            raise self.lost() from error

    def receive(self) -> dict[str, object]:
        """Waits for the guard's next message.

        Raises:
            GuardLost: the guard is gone.
        """
        while not self._waiting:
            try:
                data = self.connection.recv(1 << 16)
            except OSError:
                data = b""
            if not data:
                raise self.lost()
            lines = (self._buffer + data).split(b"\n")
            self._buffer = lines.pop()
            self._waiting.extend(json.loads(line) for line in lines)
        return self._waiting.popleft()

    def receive_all(self) -> list[dict[str, object]]:
        """Waits for the next message; returns all that have been read, since a selector does not see these."""
        messages = [self.receive()]
        messages.extend(self._waiting)
        self._waiting.clear()
        return messages

    @property
    def waiting(self) -> bool:
        """Whether messages have been read from the connection and not yet received."""
        return bool(self._waiting)

    def lost(self, how: str = "was killed") -> GuardLost:
        """Kills the guard and the processes below it; returns the error to raise."""
        self.connection.close()
        self._process.kill()
        self._process.wait()
        killed = kill_marked(self.token)
        left = marked_processes(self.token)
        ended = counted(killed - len(left), "process", "processes")
        return GuardLost(f"the process that guards the trial {how}; ended {ended} of the trial", left)

    def start(self, argv: Sequence[str], env: dict[str, str], cwd: str | Path, output: int) -> int:
        """Starts a child, whose stdout and stderr go to the descriptor `output`; returns its process id.

        Raises:
            StartError: the command cannot be executed.
        """
        env = {**env, MARKER: self.token}
        self.executed, self.ending = None, False
        self.send({"op": "start", "argv": list(argv), "env": env, "cwd": str(cwd)}, [output])
        while True:
            message = self.receive()
            if message["event"] == "started":
                return int(str(message["pid"]))
            if message["event"] in ("executed", "stale"):
                self.executed = str(message["event"]), str(message["text"])
            if message["event"] == "refused":
                raise StartError(f"cannot start {argv[0]}: {message['error']}")

    def close(self) -> None:
        """Ends the guard and its descendants."""
        self.connection.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        kill_marked(self.token)

    def __enter__(self) -> Guard:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _ChildRun:
    """Follows one child until none of its processes is left."""

    def __init__(
        self,
        guard: Guard,
        pipe: OutputPipe,
        limits: Limits,
        on_output: Callable[[bytes], None],
        on_quiet: Callable[[], None],
        poll: Callable[[], Stop | None],
    ) -> None:
        self.guard, self.pipe, self.limits = guard, pipe, limits
        self.on_output, self.on_quiet, self.poll = on_output, on_quiet, poll
        self.started = AWAKE.now()
        self.quiet_reported = True
        self.stop: Stop | None = None
        self.kill_at = float("inf")
        self.status: int | None = None
        self.clear: dict[str, object] | None = None

    def request(self, stop: Stop) -> None:
        """Ends the child. A second request counts only if it ends the child sooner; the cause stays the first one's.

        A trial that pauses and is then stopped for good is not resumed.
        """
        grace = self.limits.grace if stop.grace is None else stop.grace
        kill_at = time.monotonic() + grace
        if kill_at >= self.kill_at:
            return
        self.kill_at = kill_at
        if self.stop is None or (self.stop.cause, stop.cause) == ("paused", "stopped"):
            self.stop = stop
        self.guard.ending = True
        self.guard.send({"op": "stop", "grace": grace})

    def check_limits(self) -> None:
        """Ends the child if a limit is exceeded or a stop is requested; reports a pause in the output."""
        now = time.monotonic()
        if now > self.kill_at + GUARD_LATE:
            raise self.guard.lost("does not answer")
        if not self.quiet_reported and self.pipe.seconds_quiet() > QUIET:
            self.quiet_reported = True
            self.on_quiet()
        if self.status is not None:
            return
        if wanted := self.poll():
            self.request(wanted)
        elif self.stop is not None:
            return
        elif self.limits.timeout is not None and AWAKE.now() - self.started > self.limits.timeout:
            self.request(Stop("timeout", f"ran longer than {self.limits.timeout:g} s"))
        elif self.limits.stall is not None and self.pipe.seconds_quiet() > self.limits.stall:
            self.request(Stop("stalled", f"no output for {self.limits.stall:g} s"))

    def read(self) -> bool:
        """Handles the next piece of output; returns False at the end."""
        data = self.pipe.read()
        if data:
            self.quiet_reported = False
            self.on_output(data)
        return bool(data)

    def read_messages(self) -> None:
        """Keeps what the guard reports."""
        for message in self.guard.receive_all():
            if message["event"] == "exited":
                self.status = int(str(message["status"]))
            elif message["event"] == "clear":
                self.clear = message

    def wait_until_clear(self) -> None:
        """Waits until the guard reports that no process of the child is left, and handles all output."""
        more = True
        with selectors.DefaultSelector() as selector:
            selector.register(self.pipe, selectors.EVENT_READ)
            selector.register(self.guard.connection, selectors.EVENT_READ)
            while self.clear is None:
                if self.guard.waiting:  # the child has ended already
                    self.read_messages()
                    continue
                for key, _ in selector.select(TICK):
                    if key.fileobj is not self.pipe:
                        self.read_messages()
                    elif not self.read():
                        more = False
                        selector.unregister(self.pipe)
                self.check_limits()
        self.pipe.finish()
        while more:
            more = self.read()


def run_child(
    guard: Guard,
    argv: Sequence[str],
    env: dict[str, str],
    cwd: str | Path,
    *,
    limits: Limits,
    on_output: Callable[[bytes], None],
    on_quiet: Callable[[], None] = lambda: None,
    poll: Callable[[], Stop | None] = lambda: None,
    on_start: Callable[[int], None] = lambda pid: None,
) -> Exit:
    """Runs a command until it and all its descendants have ended.

    Args:
        on_output: gets stdout and stderr as they come, in pieces of at most 256 KiB, not split at lines.
        on_quiet: called once whenever there was no output for half a second.
        poll: asked at least every 0.1 s; a `Stop` ends the child. May be asked again and answer with a shorter grace.
        on_start: gets the child's process id.

    Raises:
        StartError: the command cannot be executed.
        GuardLost: the guard was killed; nothing of the child is left.
    """
    read_end, write_end = os.pipe()
    try:
        with contextlib.ExitStack() as stack:
            try:
                pipe = stack.enter_context(OutputPipe(read_end))  # before the child, which nobody would end without it
                pid = guard.start(argv, env, cwd, write_end)
            finally:
                os.close(write_end)
            run = _ChildRun(guard, pipe, limits, on_output, on_quiet, poll)
            try:
                on_start(pid)
                run.wait_until_clear()
            except GuardLost:
                raise
            except BaseException:
                # The trial must not outlive an error of the launcher's.
                with contextlib.suppress(GuardLost):
                    guard.connection.settimeout(GUARD_LATE)
                    guard.send({"op": "stop", "grace": 0})
                    while run.clear is None:
                        run.read_messages()
                    guard.connection.settimeout(None)
                raise
    finally:
        os.close(read_end)
    assert run.clear is not None
    left = run.clear["left"]
    return Exit(
        status=run.status,
        stop=run.stop,
        leftovers=int(str(run.clear["killed"])),
        unkillable=tuple(left) if isinstance(left, list) else (),
        seconds=AWAKE.now() - run.started,
    )
