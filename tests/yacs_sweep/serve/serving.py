"""Starts `report.py --serve` as a user does, and asks it as a browser would."""

from __future__ import annotations

import contextlib
import http.client
import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.sweeping import ROOT, environment

REPORT = ROOT / "tools" / "report.py"


@dataclass
class Answer:
    """What the server has answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def lines(self) -> list[str]:
        found: list[str] = json.loads(self.body)["lines"]
        return found


@dataclass
class Server:
    """A server that runs."""

    process: subprocess.Popen[str]
    address: str  # with the token

    @property
    def port(self) -> int:
        port = urlsplit(self.address).port
        assert port is not None
        return port

    @property
    def token(self) -> str:
        return self.address.partition("token=")[2]

    @property
    def home(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def cookie(self) -> dict[str, str]:
        return {"Cookie": f"yacs-sweep-{self.port}={self.token}"}

    def ask(
        self, path: str, method: str = "GET", headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Answer:
        """Asks with these headers, by default with the cookie."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        given = self.cookie if headers is None else dict(headers)
        connection.putrequest(method, path, skip_host="Host" in given, skip_accept_encoding=True)
        for name, value in given.items():
            connection.putheader(name, value)
        if body is not None and "Content-Length" not in given and "Transfer-Encoding" not in given:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders()
        if body is not None:
            connection.send(body)
        answer = connection.getresponse()
        found = Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
        connection.close()
        return found

    def order(self, sweep_id: str, content: Any, **headers: str) -> Answer:
        """Gives an order as the page does; headers replace those of the page (`Origin=...`), an empty one is left out."""
        own = {"Origin": self.home, "X-Yacs-Sweep": "order", "Content-Type": "application/json", **self.cookie}
        given = {name: value for name, value in {**own, **headers}.items() if value}
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        return self.ask(f"/sweep/{sweep_id}/order", "POST", given, body)

    def events(self, path: str, headers: Mapping[str, str] | None = None) -> Iterator[tuple[str, str, Any]]:
        """Yields the id, the name and the content of each event."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request("GET", path, headers={**self.cookie, **(headers or {})})
        answer = connection.getresponse()
        assert answer.status == 200
        found: dict[str, str] = {}
        try:
            for line in answer:
                key, _, value = line.decode().rstrip("\n").partition(": ")
                if key:
                    found[key] = value
                elif "event" in found:
                    yield found.get("id", ""), found["event"], json.loads(found["data"])
                    found = {}
        finally:
            connection.close()


class Cable:
    """Carries a browser's connections to a server's port, until it is pulled out."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._carried: list[socket.socket] = []
        self._whole = True
        with socket.create_server(("127.0.0.1", 0)) as found:
            self.server_port = found.getsockname()[1]  # that the server is to take
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def flag(self) -> str:
        """What tells Chromium to connect here, under the server's own address."""
        ours = self._listening.getsockname()[1]
        return f"--host-resolver-rules=MAP 127.0.0.1:{self.server_port} 127.0.0.1:{ours}"

    def pull_out(self) -> None:
        """Breaks all connections, and lets no further one through."""
        self._whole = False
        for each in self._carried:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        self._carried.clear()

    def plug_in(self) -> None:
        self._whole = True

    def _accept(self) -> None:
        while True:
            near, _ = self._listening.accept()
            far = socket.socket()
            if not self._whole or far.connect_ex(("127.0.0.1", self.server_port)):
                near.close()
                continue
            self._carried += [near, far]
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._carry, args=(one, other), daemon=True).start()

    def _carry(self, one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(1 << 16):
                other.sendall(data)
        for each in (one, other):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


@contextmanager
def serving(home: Path, *words: str | Path) -> Iterator[Server]:
    """Runs a server during a `with` block; it must end with 0 on Ctrl-C, and have printed no error."""
    process = subprocess.Popen(
        [sys.executable, str(REPORT), "--serve", *map(str, words)],
        cwd=home,
        env=environment(home),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        address = process.stdout.readline().strip()
        assert address.startswith("http://127.0.0.1:"), (address, process.communicate())
        yield Server(process, address)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
        assert (process.returncode, errors) == (0, "")
    finally:
        process.kill()
        process.communicate()
