"""A record of every request that reached the server, with what it was answered."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class Request:
    """One request. `time` is Unix seconds; `operation` a GraphQL operation, "file_stream", "upload" or the path.

    body: GraphQL variables or the file stream's message; status 0 means that no answer was sent; fault names the
    injected fault, if any. The key is not kept, nor the header that has it.
    """

    time: float
    operation: str
    path: str
    run: str
    body: Any
    status: int = 0
    fault: str = ""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Record:
    """Requests in the order they came; appending and reading are safe from many threads."""

    _requests: list[Request] = field(default_factory=list)
    _raw: list[bytes] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(
        self, operation: str, path: str, run: str, body: Any, raw: bytes, headers: Mapping[str, str] | None = None
    ) -> Request:
        request = Request(time.time(), operation, path, run, body)
        request.headers = {name: value for name, value in (headers or {}).items() if name.lower() != "authorization"}
        with self._lock:
            self._requests.append(request)
            self._raw.append(raw)
        return request

    def requests(self, operation: str | None = None, run: str | None = None) -> list[Request]:
        with self._lock:
            return [r for r in self._requests if operation in (None, r.operation) and run in (None, r.run)]

    def as_json(self, operation: str | None = None, run: str | None = None) -> list[dict[str, Any]]:
        return [asdict(r) for r in self.requests(operation, run)]

    def contains(self, secret: str) -> list[str]:
        """Operations whose path or body held `secret`: for tests that something never leaves the machine."""
        needle = secret.encode()
        with self._lock:
            return [
                r.operation
                for r, raw in zip(self._requests, self._raw, strict=True)
                if needle in raw or secret in r.path or any(secret in value for value in r.headers.values())
            ]
