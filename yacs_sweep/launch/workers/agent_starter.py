"""Starts agents from a server process that has imported what they need: at once, and in memory that they share.

    supervisor ─ "start" → agent server (agent_server.py) ─ fork → agent ─ fork → guard (trial/inside/guard.py)

An agent that was forked is like one that was executed: a session, environment, log and channel of its own, and a death
that touches nobody else. Where the server cannot be had (another system than Linux; it was killed), agents are executed.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Protocol

from ...base.processes import MARKER, TITLE, without_wandb
from ...base.shipped import IMPORT_ROOT
from ...wandb.client import client_environment

CODE = (
    "import sys; sys.path[:] = [{root!r}, *filter(None, sys.path)]; "
    "from yacs_sweep.launch.workers.agent_server import main; main()"
)
PACKET = 1 << 20  # bytes of a message at most
POLL = 0.005  # seconds between two looks at a process that is waited for
STATUS_WAIT = 2.0  # seconds the server may take to tell the exit status of a process that has ended
UNKNOWN_STATUS = 256  # of a process whose server was killed: no process exits with it


class AgentProcess(Protocol):
    """Names what the supervisor needs of `subprocess.Popen`."""

    @property
    def pid(self) -> int: ...

    def poll(self) -> int | None: ...

    def kill(self) -> None: ...


class AgentStarter:
    """Runs the server, for the supervisor; a context that ends with it. Agents that it forked live on."""

    def __init__(self) -> None:
        self._connection, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._connection.setblocking(False)
        self._forked: dict[int, ForkedProcess] = {}
        self._single = False
        self.gone = False
        root, descriptor = str(IMPORT_ROOT), theirs.fileno()
        # One thread: it forks. Agents get the launcher's environment, with its keys, from the supervisor.
        own = {"OPENBLAS_NUM_THREADS": "1", MARKER: os.urandom(16).hex()}
        with theirs:
            self._process: subprocess.Popen[bytes] | None = subprocess.Popen(
                [sys.executable, "-c", CODE.format(root=root), str(descriptor), TITLE],
                env={**without_wandb(os.environ), **own},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[descriptor],
                start_new_session=True,
            )

    def prepare(self, modules: Sequence[str], *, single: bool = False) -> None:
        """Makes the server import modules that its agents will need; returns at once.

        Args:
            single: one agent is wanted, and others only if it dies. The server then turns into it, which takes less
                memory than both do.
        """
        self._single = single
        self._send({"import": list(modules)})

    def start(self, token: str, channel: int, log: int, output: int) -> AgentProcess | None:
        """Starts an agent; None when the server is gone. The arguments but the first are descriptors."""
        if self._single:
            there = self._send({"become": token}, (channel, log, output))
            self._connection.close()
            self.gone, agent, self._process = True, self._process, None
            return agent if there else None
        return self._fork({"agent": token}, (channel, log, output))

    def fork_request(
        self, given: IO[bytes], out: IO[bytes], err: IO[bytes], environment: Mapping[str, str]
    ) -> ForkedProcess | None:
        """Starts a process that answers a request to W&B's client (`base.ask_process.StartChild`)."""
        descriptors = given.fileno(), out.fileno(), err.fileno()
        process = self._fork({"environment": dict(environment)}, descriptors)
        if self._single:  # the server turns into the agent, and forks no more
            self._send({"open": client_environment(os.environ)})
        while process is not None and process.pid == 0:
            if process.poll() is not None:
                return None
            time.sleep(POLL)
        return process

    def _fork(self, message: Mapping[str, object], descriptors: Sequence[int]) -> ForkedProcess | None:
        number = len(self._forked) + 1
        if not self._send({"fork": number, **message}, descriptors):
            return None
        self._forked[number] = ForkedProcess(self)
        return self._forked[number]

    def _send(self, message: Mapping[str, object], descriptors: Sequence[int] = ()) -> bool:
        """Sends a message, and descriptors with it; returns False when the server is gone."""
        try:
            if not self.gone:
                socket.send_fds(self._connection, [json.dumps(message).encode()], descriptors)
        except OSError:  # gone, or stopped for so long that its queue is full
            self.kill()
        return not self.gone

    def receive(self) -> None:
        """Reads the messages that the server has sent; never waits."""
        while not self.gone:
            try:
                data = self._connection.recv(PACKET)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self.gone = True
                return
            message = json.loads(data)
            if "started" in message:
                self._forked[message["started"]].pid = message["pid"]
            else:
                self._forked[message["ended"]].status = message["status"]

    def kill(self) -> None:
        """Kills the server, unless it has turned into an agent; agents that it forked live on."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self.receive()  # what it had said
        self.gone = True

    def close(self) -> None:
        """Ends the server, unless it has turned into an agent."""
        self.kill()
        self._connection.close()

    def __enter__(self) -> AgentStarter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextlib.contextmanager
def agent_starter(there: AgentStarter | None = None, *, wanted: bool = True) -> Iterator[AgentStarter | None]:
    """Starts a server unless one is there already; None where agents are executed, or none are `wanted`."""
    if there is not None or not wanted or not sys.platform.startswith("linux"):
        yield there
        return
    with contextlib.ExitStack() as stack:
        starter = None
        with contextlib.suppress(OSError):  # what keeps an agent from starting is said when one does
            starter = stack.enter_context(AgentStarter())
        yield starter


class ForkedProcess:
    """Stands for a process that the server has forked, with the methods of `subprocess.Popen`."""

    def __init__(self, server: AgentStarter) -> None:
        self._server = server
        self.pid = 0  # until the server has sent it
        self.status: int | None = None
        self._seen_ended = 0.0  # when it was first seen to have ended (monotonic seconds)

    def poll(self) -> int | None:
        """Returns the exit status; None while the process runs."""
        self._server.receive()
        if self.status is None and self._has_ended():
            now = time.monotonic()
            self._seen_ended = self._seen_ended or now
            if now > self._seen_ended + STATUS_WAIT:  # it hangs
                self._server.kill()
            if self._server.gone:
                self.status = UNKNOWN_STATUS
        return self.status

    @property
    def returncode(self) -> int:
        """The exit status of a process that has ended."""
        return UNKNOWN_STATUS if self.status is None else self.status

    def wait(self) -> int:
        """Waits for the process's end; returns its exit status."""
        while (status := self.poll()) is None:
            time.sleep(POLL)
        return status

    def _has_ended(self) -> bool:
        """Whether the process is gone, or has ended and waits for its exit status to be read."""
        if not self.pid:
            return self._server.gone
        try:
            with open(f"/proc/{self.pid}/stat", "rb") as file:
                return file.read().rpartition(b")")[2].split()[0] in (b"Z", b"X")
        except (OSError, IndexError):
            return True

    def kill(self) -> None:
        """Kills the process; a server that has not started it yet is killed instead."""
        self._server.receive()
        if not self.pid:
            self._server.kill()
        elif self.poll() is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(self.pid, signal.SIGKILL)
