"""Forks agents for the supervisor from one process that has imported what they need (agent_starter.py).

Protocol: one JSON object a packet, over a Unix socket whose descriptor is ``argv[1]``.

    supervisor → server     {"import": ["module", …]}
                            {"start": 1, "token": "…"}  with three descriptors: channel, log (stderr), output (stdout)
                            {"become": "token"}         with the same: the server turns into the agent
    server → supervisor     {"started": 1, "pid": 123}
                            {"ended": 1, "status": 0}   as subprocess counts: -15 is "killed by SIGTERM"
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
import traceback
from collections.abc import Mapping
from typing import Any, NoReturn

from ...base.processes import MARKER, set_title
from ...trial.inside import preload
from . import agent
from .agent_starter import PACKET


class Server:
    """Forks agents until the supervisor is gone."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._numbers: dict[int, int] = {}  # of the agents, by process id
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
        if "become" in message:
            self._become_agent(message["become"], *descriptors)
        if "start" in message:
            gc.freeze()  # the collector would write to, and thus copy, every page that is shared
            pid = os.fork()
            if pid == 0:
                os.setsid()
                self._become_agent(message["token"], *descriptors)
            self._numbers[pid] = message["start"]
            self._send(started=message["start"], pid=pid)
        for descriptor in descriptors:
            os.close(descriptor)

    def _reap(self) -> None:
        """Sends the exit statuses of agents that have ended."""
        with contextlib.suppress(ChildProcessError):
            while (found := os.waitpid(-1, os.WNOHANG))[0]:
                self._send(ended=self._numbers.pop(found[0]), status=os.waitstatus_to_exitcode(found[1]))

    def _send(self, **message: int) -> None:
        """Sends a message to the supervisor."""
        with contextlib.suppress(OSError):  # the supervisor is gone, which the loop finds out
            self._connection.send(json.dumps(message).encode())

    def _become_agent(self, token: str, channel: int, log: int, output: int) -> NoReturn:
        """Runs an agent in this process to its end."""
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            gc.enable()
            set_title("agent")
            preload.set_marker(MARKER, token)
            os.dup2(output, 1)
            os.dup2(log, 2)
            self._connection.close()
            for descriptor in (*self._wake, log, output):
                os.close(descriptor)
            agent.run_to_exit(socket.socket(fileno=channel), token)
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
