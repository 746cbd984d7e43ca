"""Faults to inject: which requests they meet, how often, and what happens to those."""

from __future__ import annotations

import fnmatch
import random
import threading
import time
from dataclasses import dataclass, field, fields
from typing import Any

KINDS = ("status", "delay", "drop", "drop_after")


@dataclass
class Fault:
    """One rule. A request is met when its operation matches and the rule is not used up.

    kind: "status" answers with `status` (and Retry-After), unprocessed; "delay" waits `delay` seconds, then
    processes; "drop" closes the connection unprocessed; "drop_after" processes, then closes it: the answer is lost.
    operation: pattern over the GraphQL operation name, or "file_stream", "upload"; `run` narrows to one run.
    skip and count are numbers of matching requests; start and duration are seconds from when the rule is added;
    probability below 1 draws from a generator seeded by `seed`, so that a soak repeats.
    """

    kind: str = "status"
    operation: str = "*"
    run: str = "*"
    status: int = 503
    retry_after: float | None = None
    delay: float = 0.0
    skip: int = 0
    count: int | None = None
    start: float = 0.0
    duration: float | None = None
    probability: float = 1.0
    seed: int = 0
    used: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"fault kind {self.kind!r}: one of {', '.join(KINDS)}")

    @classmethod
    def parse(cls, text: str) -> Fault:
        """Fault from "kind=status,operation=Heartbeat,status=503,count=3"; ValueError for an unknown key."""
        types = {f.name: str(f.type) for f in fields(cls) if f.init}
        values: dict[str, Any] = {}
        for item in text.split(","):
            key, _, value = item.partition("=")
            if key not in types:
                raise ValueError(f"fault {text!r}: no key {key!r}; keys are {', '.join(types)}")
            number = {"int": int, "float": float}.get(types[key].split(" ")[0], str)
            values[key] = number(value)
        return cls(**values)


class FaultPlan:
    """The active faults; `match` says what happens to a request. Safe for use by many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rules: list[tuple[Fault, float, random.Random]] = []

    def add(self, fault: Fault) -> None:
        with self._lock:
            self._rules.append((fault, time.monotonic(), random.Random(fault.seed)))

    def clear(self) -> None:
        with self._lock:
            self._rules.clear()

    def match(self, operation: str, run: str) -> Fault | None:
        """The first rule that meets this request, counted as used; None for most."""
        now = time.monotonic()
        with self._lock:
            for fault, added, rng in self._rules:
                age = now - added - fault.start
                if age < 0 or (fault.duration is not None and age > fault.duration):
                    continue
                if not (fnmatch.fnmatch(operation, fault.operation) and fnmatch.fnmatch(run, fault.run)):
                    continue
                if fault.skip > 0:
                    fault.skip -= 1
                    continue
                if fault.count is not None and fault.used >= fault.count:
                    continue
                if fault.probability < 1.0 and rng.random() >= fault.probability:
                    continue
                fault.used += 1
                return fault
        return None
