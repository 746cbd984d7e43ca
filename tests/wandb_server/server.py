"""The HTTP side: routes, authentication, faults, and the server's start and stop."""

from __future__ import annotations

import base64
import gzip
import json
import os
import re
import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from tests.wandb_server import stream
from tests.wandb_server.control import REMOTE, Control
from tests.wandb_server.faults import Fault, FaultPlan
from tests.wandb_server.model import ApiError, State
from tests.wandb_server.operations import OPERATIONS
from tests.wandb_server.record import Record

KEY = "0123456789abcdef0123456789abcdef01234567"  # 40 characters, as the client demands
_OPERATION = re.compile(r"\b(?:query|mutation)\s+(\w+)|\{\s*(\w+)")  # its name, else its first field's
_TYPE = re.compile(r"(?:(\w+): ?)?__type ?\(name: ?(?:\"(\w+)\"|\$(\w+))\)")  # a question for the fields of a type
_STREAM = re.compile(r"^/files/([^/]+)/([^/]+)/([^/]+)/file_stream$")
_STORAGE = re.compile(r"^/storage/([^/]+)/([^/]+)/([^/]+)/(.+)$")


class WandbServer:
    """A server on a free loopback port, in threads of this process. `url`, `key`, `control`, `state`, `record`."""

    def __init__(
        self, port: int = 0, *, keys: tuple[str, ...] = (KEY,), seed: int = 0, crash_after: float = 300.0
    ) -> None:
        self.keys = keys
        self.state = State(seed, crash_after)
        self.faults = FaultPlan()
        self.record = Record()
        self.control = Control(self.state, self.faults, self.record)
        self._http = self._listen(port)
        self.port = self._http.server_address[1]
        self.state.url = self.url

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def key(self) -> str:
        return self.keys[0]

    def close(self) -> None:
        """Refuse connections, and drop the open ones, until `reopen` (or for good)."""
        self._http.shutdown()
        self._http.server_close()
        self._http.drop_connections()

    def reopen(self) -> None:
        self._http = self._listen(self.port)

    @contextmanager
    def outage(self) -> Iterator[None]:
        """Nothing listens on the port inside the block; the state survives it."""
        self.close()
        try:
            yield
        finally:
            self.reopen()

    def env(self, folder: Path, **more: str) -> dict[str, str]:
        """Environment of a client process that knows this server only; its files stay in `folder`."""
        return client_env(self.url, self.key, folder, **more)

    def _listen(self, port: int) -> _Http:
        http = _Http(("127.0.0.1", port), self)
        threading.Thread(target=http.serve_forever, args=(0.05,), daemon=True).start()
        return http


def client_env(url: str, key: str, folder: Path, **more: str) -> dict[str, str]:
    """This process's environment without its W&B settings, with a home of its own and this server's address."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("WANDB_") and not k.lower().endswith("_proxy")}
    for name in ("HOME", "WANDB_DIR", "WANDB_CONFIG_DIR", "WANDB_CACHE_DIR", "WANDB_DATA_DIR"):
        env[name] = str(folder / name.lower())
        Path(env[name]).mkdir(parents=True, exist_ok=True)
    env |= {
        "NETRC": str(folder / "netrc"),
        "WANDB_BASE_URL": url,
        "WANDB_API_KEY": key,
        "WANDB_ERROR_REPORTING": "false",
    }
    return env | more


@contextmanager
def start_server(port: int = 0, **options: Any) -> Iterator[WandbServer]:
    """A running server for the length of the block; options are those of `WandbServer`."""
    server = WandbServer(port, **options)
    try:
        yield server
    finally:
        server.close()


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], owner: WandbServer) -> None:
        super().__init__(address, _Handler)
        self.owner = owner
        self.connections: set[socket.socket] = set()

    def drop_connections(self) -> None:
        for connection in list(self.connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # its client has gone already

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # a client that hangs up is no news in these tests


class _Dropped(Exception):
    """The connection is to be closed without an answer."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Http

    def setup(self) -> None:
        super().setup()
        self.server.connections.add(self.connection)

    def finish(self) -> None:
        self.server.connections.discard(self.connection)
        super().finish()

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self._answer()

    def _answer(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Content-Encoding") == "gzip":
            raw = gzip.decompress(raw)
        path = unquote(urlsplit(self.path).path)
        if path.startswith("/_test/"):
            return self._test(path.removeprefix("/_test/"), raw)
        operation, run, body = _describe(path, raw)
        owner = self.server.owner
        entry = owner.record.add(operation, path, run, body, raw, dict(self.headers.items()))
        fault = owner.faults.match(operation, run)
        try:
            self._before(fault)
            status, answer = self._process(operation, path, body, raw)
            if fault and fault.kind == "drop_after":
                raise _Dropped
            headers = {}
        except _Dropped:
            entry.fault, self.close_connection = fault.kind if fault else "", True
            return None
        except ApiError as error:
            status, answer = error.status, {"errors": [{"message": str(error)}]}
            headers = {} if fault is None or fault.retry_after is None else {"Retry-After": f"{fault.retry_after:g}"}
        entry.status, entry.fault = status, fault.kind if fault else ""
        return self._send(status, answer, headers)

    def _before(self, fault: Fault | None) -> None:
        if fault is None:
            return
        if fault.kind == "delay":
            # Waits for the client to hang up at most this long: a bound, not a synchronisation.
            select.select([self.connection], [], [], fault.delay)
        elif fault.kind == "drop":
            raise _Dropped
        elif fault.kind == "status":
            raise ApiError(fault.status, f"injected fault {fault.status}")

    def _process(self, operation: str, path: str, body: Any, raw: bytes) -> tuple[int, Any]:
        state = self.server.owner.state
        if found := _STORAGE.match(path):  # a signed address in the real world: it needs no key
            with state.lock:
                run = state.run(found[3], found[1], found[2])
                if run is None:
                    raise ApiError(404, "no such run")
                run.uploads[found[4]] = raw
            return 200, {}
        self._authenticate()
        with state.lock:
            if path == "/graphql":
                if operation not in OPERATIONS:
                    raise ApiError(400, f"unknown operation {operation}")
                return 200, {"data": _as_asked(OPERATIONS[operation](state, body), _words(raw))}
            if found := _STREAM.match(path):
                run = state.run(found[3], found[1], found[2])
                if run is None:
                    raise ApiError(404, "no such run")
                return 200, stream.apply(run, body)
        raise ApiError(404, f"no such page {path}")

    def _authenticate(self) -> None:
        scheme, _, coded = (self.headers.get("Authorization") or "").partition(" ")
        try:
            user, _, key = base64.b64decode(coded).decode().partition(":")
        except ValueError:
            user, key = "", ""
        if scheme != "Basic" or user != "api" or key not in self.server.owner.keys:
            raise ApiError(401, "user is not logged in")

    def _test(self, method: str, raw: bytes) -> None:
        if method not in REMOTE:
            return self._send(404, {"error": f"no method {method}"}, {})
        try:
            answer = getattr(self.server.owner.control, method)(**json.loads(raw or b"{}"))
        except (KeyError, TypeError, ValueError) as error:
            return self._send(400, {"error": str(error)}, {})
        return self._send(200, answer, {})

    def _send(self, status: int, answer: Any, headers: dict[str, str]) -> None:
        data = json.dumps(answer).encode()
        try:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)
        except OSError:
            self.close_connection = True  # the client did not wait for the answer


def _words(raw: bytes) -> frozenset[str]:
    """The names in a query."""
    return frozenset(re.findall(r"\w+", json.loads(raw or b"{}").get("query") or ""))


def _as_asked(data: Any, asked: frozenset[str]) -> Any:
    """The data, its runs without fields that were not asked for: clients around 0.23 take those for a complete answer."""
    if isinstance(data, list):
        return [_as_asked(item, asked) for item in data]
    if not isinstance(data, dict):
        return data
    is_run = "historyLineCount" in data
    return {key: _as_asked(item, asked) for key, item in data.items() if not is_run or key in asked}


def _describe(path: str, raw: bytes) -> tuple[str, str, Any]:
    """Operation, run and body of a request."""
    if found := _STORAGE.match(path):
        return "upload", found[3], found[4]
    if found := _STREAM.match(path):
        return "file_stream", found[3], json.loads(raw or b"{}")
    if path != "/graphql":
        return path, "", None
    message = json.loads(raw or b"{}")
    variables = message.get("variables") or {}
    query = message.get("query") or ""
    if types := _TYPE.findall(query):
        return "introspection", "", {alias or "__type": name or variables[given] for alias, name, given in types}
    named = _OPERATION.search(query)
    run = variables.get("run") or (variables.get("name") if named and named[1] not in ("GetSweep", "Sweep") else None)
    return (named[1] or named[2]) if named else "unnamed", run or "", variables
