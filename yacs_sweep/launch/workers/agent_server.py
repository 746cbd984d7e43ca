"""Forks agents for the supervisor from one process that has imported what they need (agent_starter.py).

Protocol: one JSON object a packet, over a Unix socket whose descriptor is ``argv[1]``.

    supervisor → server     {"import": ["module", …]}
                            {"fork": 1, "agent": "token"}           with three descriptors: channel, log, output
                            {"fork": 2, "environment": {…}}         with three: standard input, output and error;
                                                                    answers a request (wandb/ask_client.py)
                            {"become": "token"}                     with three: the server turns into the agent
                            {"open": {…}}                           an environment: starts the W&B client meanwhile
    server → supervisor     {"started": 1, "pid": 123}
                            {"ended": 1, "status": 0}               as subprocess counts: -15 is "killed by SIGTERM"
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Mapping
from typing import Any, NoReturn

from ...base.processes import MARKER, set_environment, set_title
from ...trial.inside import guard, preload
from ...wandb import ask_client
from ...wandb.client import open_client
from . import agent
from .agent_starter import PACKET

OPENING_WAIT = 5.0  # seconds a new agent waits for the start of the W&B client


class Server:
    """Forks agents until the supervisor is gone."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._numbers: dict[int, int] = {}  # of what was forked, by process id
        self._opening: threading.Thread | None = None
        self._wake: tuple[int, int] = os.pipe()

    def run(self) -> None:
        """Handles messages and ended agents until the supervisor is gone."""
        for end in self._wake:
            os.set_blocking(end, False)
        signal.set_wakeup_fd(self._wake[1], warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        while True:
            watched: list[Any] = [self._connection, self._wake[0]]
            ready, _, _ = select.select(watched, [], [])
            if self._wake[0] in ready:
                os.read(self._wake[0], 4096)
                self._reap()
            if self._connection in ready:
                data, descriptors, _, _ = socket.recv_fds(self._connection, PACKET, 3)
                if not data:
                    return
                self._handle(json.loads(data), descriptors)

    def _handle(self, message: Mapping[str, Any], descriptors: list[int]) -> None:
        """Imports modules, or starts an agent, as the message says."""
        for name in message.get("import", ()):
            with contextlib.suppress(Exception):  # the agent that needs it will say so
                importlib.import_module(name)
        if "open" in message:
            set_environment(message["open"])
            self._opening = threading.Thread(target=open_client, daemon=True)
            self._opening.start()
        if "become" in message:
            if self._opening is not None:
                self._opening.join(OPENING_WAIT)  # it reads the environment, which the agent changes
            self._reap()
            self._become_agent(message["become"], *descriptors)
        if "fork" in message:
            self._fork(message, descriptors)
        for descriptor in descriptors:
            os.close(descriptor)

    def _fork(self, message: Mapping[str, Any], descriptors: list[int]) -> None:
        gc.freeze()  # the collector would write to, and thus copy, every page that is shared
        pid = os.fork()
        if pid == 0:
            os.setsid()
            if "agent" in message:
                self._become_agent(message["agent"], *descriptors)
            self._answer(message["environment"], descriptors)
        self._numbers[pid] = message["fork"]
        self._send(started=message["fork"], pid=pid)

    def _reap(self) -> None:
        """Sends the exit statuses of processes that have ended."""
        for pid in list(self._numbers):  # not the service process of W&B's client
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                self._send(ended=self._numbers.pop(pid), status=os.waitstatus_to_exitcode(status))

    def _send(self, **message: int) -> None:
        """Sends a message to the supervisor."""
        with contextlib.suppress(OSError):  # the supervisor is gone, which the loop finds out
            self._connection.send(json.dumps(message).encode())

    def _leave(self) -> None:
        """Drops in a process that is the server no more what was the server's."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        gc.enable()
        self._connection.close()
        for descriptor in self._wake:
            os.close(descriptor)

    def _become_agent(self, token: str, channel: int, log: int, output: int) -> NoReturn:
        """Runs an agent in this process to its end."""
        try:
            for descriptor, target in ((output, 1), (log, 2)):
                os.dup2(descriptor, target)
                os.close(descriptor)
            self._leave()
            set_title("agent")
            preload.set_marker(MARKER, token)
            agent.run_to_exit(socket.socket(fileno=channel), token)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)

    def _answer(self, environment: Mapping[str, str], descriptors: list[int]) -> NoReturn:
        try:
            guard.die_with_parent()
            self._leave()
            set_title("W&B request")
            for target, descriptor in enumerate(descriptors):
                os.dup2(descriptor, target)
                os.close(descriptor)
            set_environment(environment)
            ask_client.main()
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)


def main() -> None:
    """Starts the server process: ``argv[1]`` is the descriptor of its socket."""
    gc.disable()
    os.environ.pop(MARKER)
    connection = socket.socket(fileno=int(sys.argv[1]))
    os.set_inheritable(connection.fileno(), False)
    try:
        Server(connection).run()
    finally:
        os._exit(0)
