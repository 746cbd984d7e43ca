"""JSON lines between the supervisor and an agent, over a Unix stream socket."""

from __future__ import annotations

import json
import select
import socket
import threading
from typing import Any

from .results import to_json

Message = dict[str, Any]


class Channel:
    """One end. `send` may be called from any thread; `receive` from one."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self._buffer = b""
        self._lock = threading.Lock()

    def fileno(self) -> int:
        return self.connection.fileno()

    def send(self, **message: Any) -> bool:
        """False when the other end is gone."""
        data = to_json(message).encode() + b"\n"
        try:
            with self._lock:
                self.connection.sendall(data)
        except OSError:
            return False
        return True

    def offer(self, **message: Any) -> bool:
        """Like `send`, but leaves the message out rather than wait for the other end to read."""
        # The kernel calls a Unix stream socket writable while three quarters of its buffer are free.
        return bool(select.select([], [self.connection], [], 0)[1]) and self.send(**message)

    def receive(self) -> list[Message] | None:
        """Waits for something to arrive; the whole messages of it (perhaps none yet), None at end-of-file."""
        try:
            data = self.connection.recv(1 << 16)
        except OSError:
            data = b""
        if not data:
            return None
        lines = (self._buffer + data).split(b"\n")
        self._buffer = lines.pop()
        return [json.loads(line) for line in lines]

    def close(self) -> None:
        self.connection.close()
