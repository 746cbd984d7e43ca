"""Asks a process of its own: a JSON request in, a JSON answer out, within a bounded time, no process left behind.

For code that may hang, crash, print or start processes: W&B's client, a trainer's modules.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NoReturn, Protocol

from .errors import SweepError
from .processes import signal_name
from .signals import handled
from .streams import print_error
from .wording import without_password

KILL_WAIT = 5.0  # seconds a killed process gets to be gone; one that waits for a broken disk stays longer
REASON_LENGTH = 300  # characters of a foreign line that are shown
_TAIL = 1 << 16  # bytes of standard error that are looked at


class NoAnswer(SweepError):
    """The process gave no answer; the text is the reason in one line, without passwords."""


class Child(Protocol):
    """Names what is needed of the process that is asked, in the words of `subprocess.Popen`."""

    @property
    def pid(self) -> int: ...

    @property
    def returncode(self) -> int: ...

    def wait(self) -> int: ...


# Starts the process another way, as the leader of a session; given are its standard streams and environment. None: it
# cannot, so the command is executed.
StartChild = Callable[[IO[bytes], IO[bytes], IO[bytes], Mapping[str, str]], Child | None]


class TimedOut(NoAnswer):
    """The process gave no answer in time and was killed."""


def ask_process(
    command: Sequence[str],
    request: object = None,
    *,
    environment: Mapping[str, str],
    timeout: float,
    cwd: Path | None = None,
    notice: tuple[float, str] | None = None,
    start: StartChild | None = None,
) -> dict[str, Any]:
    """Starts `command`, gives it `request` as JSON on standard input, returns the JSON object of its last line.

    The process leads a session of its own. With its end, the end of its time, Ctrl-C, SIGTERM or SIGHUP its whole
    process group is killed. The answer counts whatever the exit status is.

    Args:
        environment: the process's environment, complete.
        timeout: seconds for everything.
        notice: seconds of silence, and the line that standard error gets after them.
        start: starts the process instead of executing `command`, where it can.

    Raises:
        TimedOut: the time is over.
        NoAnswer: the command cannot be started, or ends without an answer.
        KeyboardInterrupt: Ctrl-C, SIGTERM or SIGHUP, unless the program handles the latter two itself.
    """
    try:
        with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            if request is not None:
                given.write(json.dumps(request).encode())
                given.seek(0)
            interrupt = _Interrupt()
            with handled(dict.fromkeys(interrupt.signals, interrupt)):
                child = start(given, out, err, environment) if start is not None else None
                child = child or subprocess.Popen(
                    command, stdin=given, stdout=out, stderr=err, env=environment, cwd=cwd, start_new_session=True
                )
                status = _wait_and_kill(child, timeout, notice, interrupt)
            return _read_answer(out, err, status)
    except OSError as error:
        raise NoAnswer(": ".join(str(part) for part in (error.strerror, error.filename) if part)) from None


def try_process(
    command: Sequence[str], *, environment: Mapping[str, str], timeout: float, cwd: Path, notice: tuple[float, str]
) -> tuple[int, str]:
    """Runs `command` as `ask_process` does; returns its exit status and the end of what it printed on both streams.

    Raises:
        TimedOut: the time is over.
        NoAnswer: the command cannot be started.
    """
    try:
        with tempfile.TemporaryFile() as out:
            interrupt = _Interrupt()
            with handled(dict.fromkeys(interrupt.signals, interrupt)):
                child = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    env=environment,
                    cwd=cwd,
                    start_new_session=True,
                )
                status = _wait_and_kill(child, timeout, notice, interrupt)
            out.seek(max(0, out.seek(0, os.SEEK_END) - _TAIL))
            return status, out.read().decode(errors="replace")
    except OSError as error:
        raise NoAnswer(": ".join(str(part) for part in (error.strerror, error.filename) if part)) from None


class _Interrupt:
    """Raises KeyboardInterrupt on SIGTERM and SIGHUP, unless the program handles them, so that the process is killed.

    A signal that comes while the process is being started raises at `arm`, when the process is known.
    """

    def __init__(self) -> None:
        wanted = (signal.SIGTERM, signal.SIGHUP)
        self.signals = [number for number in wanted if signal.getsignal(number) is signal.SIG_DFL]
        self._armed = self._came = False

    def __call__(self) -> None:
        self._came = True
        if self._armed:
            raise KeyboardInterrupt

    def arm(self) -> None:
        """Raises from here on, at once if a signal has come already."""
        self._armed = True
        if self._came:
            raise KeyboardInterrupt


def _wait_and_kill(child: Child, timeout: float, notice: tuple[float, str] | None, interrupt: _Interrupt) -> int:
    """Waits for the process's end and kills what is left of its group; returns its exit status.

    Files take the output, not pipes: a descendant that keeps a pipe open would delay the answer.
    """
    ended = threading.Event()

    def wait() -> None:
        child.wait()
        ended.set()

    threading.Thread(target=wait, daemon=True).start()  # blocks; a wait with a timeout would poll
    try:
        interrupt.arm()
        silent, line = notice or (0.0, "")
        silent = min(silent, timeout)
        if line and not ended.wait(silent):
            print_error(line)
        if not ended.wait(timeout - silent):
            raise TimedOut(f"no answer within {timeout:g} s")
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
        ended.wait(KILL_WAIT)
    return child.returncode


def _read_answer(out: IO[bytes], err: IO[bytes], status: int) -> dict[str, Any]:
    """Parses the last line of the output; NoAnswer with the last line of the errors where that is no object."""
    out.seek(0)
    last = out.read().rstrip(b"\n").rpartition(b"\n")[2]  # not splitlines: texts hold other separators
    try:
        answer = json.loads(last)
    except (ValueError, RecursionError):
        answer = None
    if isinstance(answer, dict):
        return answer
    if status < 0:
        raise NoAnswer(f"ended by {signal_name(-status)}")
    err.seek(max(0, err.seek(0, os.SEEK_END) - _TAIL))
    lines = err.read().decode(errors="replace").strip().splitlines()
    raise NoAnswer(without_password(lines[-1])[:REASON_LENGTH] if lines else f"exit status {status}")


def answer_request(answer: Callable[[Any], Mapping[str, Any]]) -> NoReturn:
    """Answers the request on standard input with `answer(request)` on standard output, and ends this process.

    What libraries print goes to standard error. Exit handlers do not run: a client's own can wait for a server that
    does not answer.
    """
    answer_to = os.dup(1)
    os.dup2(2, 1)
    request = json.loads(sys.stdin.buffer.read())
    data = memoryview(json.dumps(answer(request), default=str).encode() + b"\n")
    while data:
        data = data[os.write(answer_to, data) :]
    os._exit(0)
