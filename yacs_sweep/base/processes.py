"""The signals that end a launch, noted while it lasts."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType

MARKER = "YACS_SWEEP_GUARD"  # in the environment of the guard and of all it starts: tells whose an orphan is


def without_wandb(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment without anything of W&B's: its key, run, sweep and service are no child's."""
    return {key: value for key, value in environment.items() if not key.startswith("WANDB_")}


def marked_processes(token: str) -> list[int]:
    """Processes whose environment carries `token` (Linux; elsewhere none are found), ourselves excepted."""
    wanted = f"{MARKER}={token}".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if wanted in entry.read_bytes().split(b"\0") and int(entry.parent.name) != os.getpid():
                found.append(int(entry.parent.name))
    return found


def await_marked(token: str, wait: float) -> bool:
    """Waits until no process carries `token`; False if some still do after `wait` seconds."""
    deadline = time.monotonic() + wait
    while marked_processes(token):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def kill_marked(token: str, *, wait: float = 5.0) -> int:
    """Kills every process that carries `token`; returns how many there were. Bounded by `wait` seconds."""
    victims: set[int] = set()
    deadline = time.monotonic() + wait
    while pids := marked_processes(token):
        for pid in pids:
            victims.add(pid)
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            break
        time.sleep(0.01)
    return len(victims)


@contextlib.contextmanager
def noted(received: list[int]) -> Iterator[None]:
    """Appends SIGINT, SIGTERM and SIGHUP to `received` instead of what they do otherwise.

    A thread that is not the main one cannot have them, and whoever runs a sweep there ends it otherwise.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def note(number: int, frame: FrameType | None) -> None:
        received.append(number)

    wanted = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:  # not nohup's, nor a screen's that can do without
        wanted.append(signal.SIGHUP)
    previous = {number: signal.signal(number, note) for number in wanted}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
