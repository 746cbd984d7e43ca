"""Carries JSON lines between the supervisor and an agent, over a Unix stream socket."""

from __future__ import annotations

import json
import os
import select
import socket
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...base.values import to_json
from ...records.folder import SweepPaths
from ...trial.process import Limits


@dataclass(frozen=True)
class Job:
    """Holds what an agent needs to know of its sweep and of this launch; travels as JSON."""

    sweep_dir_base: str
    sweep_id: str
    index: int = 0
    echo: bool = True
    label: str | None = None  # what stands before the trial's name in each line of its trainer; None: lines as they are
    timeout: float | None = None
    stall_timeout: float | None = None
    grace: float = 15.0
    shared: bool = False  # whether other trials run on a trial's GPUs at the same time
    cores: tuple[int, ...] = ()  # the trials are kept on these; empty: on none in particular
    retries: int = 0
    on_oom: str = "skip"
    gpu_wait: float = 30.0
    schema: str | None = None  # of the trainer, packed; None: it has none, or the agent reads it
    preload: int | None = None  # descriptor of the socket at which the preload server is asked; it comes with the job
    storage: str | None = None  # with its password, which no file has
    wandb_off: bool = False  # in this launch, whatever the sweep's launch.json says
    given: dict[str, Any] | None = None  # the one run of `wandb agent` that this launch is for (`agent_run.given_run`)
    target: int | None = None  # trials in the whole sweep, whoever runs them; None: this launch counts its own
    counted: str | None = None  # id of the last order of such a number that `target` has taken in

    @property
    def limits(self) -> Limits:
        """Returns the time limits of each trial."""
        return Limits(self.timeout, self.stall_timeout, self.grace)

    @property
    def paths(self) -> SweepPaths:
        """Returns the paths of the sweep's folder."""
        return SweepPaths(Path(self.sweep_dir_base), self.sweep_id)


Message = dict[str, Any]


class Channel:
    """Sends and receives messages at one end. `send` may be called from any thread; `receive` from one."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self._buffer = b""
        self.descriptors: list[int] = []  # those received
        self._lock = threading.Lock()

    def fileno(self) -> int:
        """Returns the socket's descriptor, for selectors."""
        return self.connection.fileno()

    def send(self, *descriptors: int, **message: Any) -> bool:
        """Sends a message, and descriptors with it; returns False when the other end is closed."""
        data = to_json(message).encode() + b"\n"
        try:
            with self._lock:
                sent = socket.send_fds(self.connection, [data], descriptors) if descriptors else 0
                self.connection.sendall(data[sent:])
        except OSError:
            return False
        return True

    def offer(self, **message: Any) -> bool:
        """Sends a message unless that would have to wait for the other end to read."""
        # The kernel calls a Unix stream socket writable while three quarters of its buffer are free.
        return bool(select.select([], [self.connection], [], 0)[1]) and self.send(**message)

    def receive(self) -> list[Message] | None:
        """Waits for data; returns the messages that are complete (perhaps none yet), None at end-of-file."""
        try:
            data, descriptors, _, _ = socket.recv_fds(self.connection, 1 << 16, 1)
        except OSError:
            return None
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
        self.descriptors += descriptors
        if not data:
            return None
        lines = (self._buffer + data).split(b"\n")
        self._buffer = lines.pop()
        return [json.loads(line) for line in lines]

    def close(self) -> None:
        """Closes this end."""
        self.connection.close()
