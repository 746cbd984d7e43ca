"""The launcher's and the agents' ends of the preload server (`preload.py`).

The launcher starts the server before the first agent and makes the pair of sockets by which agents ask it for their
guards. Agents inherit their end; it has no name to connect to. Where there is no server, or it has no answer, an agent
starts a guard of its own and trials start by exec.
"""

from __future__ import annotations

import array
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from ..base.processes import MARKER, how_ended
from ..trainers.profile import PYTHON, TrainerProfile
from .inside import preload
from .inside.guard import is_zombie
from .process import Guard

RESTARTS = 3  # of a server that had been serving
FIRST_WAIT = 120.0  # seconds the first trial waits for imports that it would otherwise do itself
LATER_WAIT = 0.2  # seconds a later trial waits for a server that is starting again
EXEC = "trials start as fresh processes"


class Preloader:
    """Runs the server on a thread of its own and starts it again when it dies."""

    def __init__(
        self,
        python: str,
        modules: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        log: Path,
        say: Callable[[str], None],
    ) -> None:
        """
        Args:
            env: the environment trials get.
            log: what the imports print goes there.
            say: shows the user a line.
        """
        self.python, self.modules, self.cwd, self.env, self.log, self.say = python, modules, cwd, env, log, say
        self.process: subprocess.Popen[bytes] | None = None
        self.ready = threading.Event()
        self._lock = threading.Lock()
        self._closing = False
        # Agents ask at the first. The second is every server's in turn: what was asked of one that died waits there.
        self.requests, self._served = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._thread = threading.Thread(target=self._work, name="preloader", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends the server; guards that it forked live as long as their agents."""
        with self._lock:
            self._closing = True
            if self.process is not None:
                self.process.kill()
        self._thread.join()
        self.requests.close()

    def _work(self) -> None:
        # The server's parent-death signal follows the thread that started it: all starts happen on this one.
        for left in reversed(range(RESTARTS + 1)):
            ours, theirs = socket.socketpair()
            unread, output = os.pipe()  # until the server has opened its log
            with ours, theirs, os.fdopen(unread, "rb") as early:
                if not self._start(theirs, output):
                    break
                theirs.close()
                answered = self._listen(ours)
                how = how_ended(self.process.wait()) if self.process else "not started"
                if self._closing:
                    break
                if not answered:
                    words = self._last_words(early)
                    self.say(f"preloading: the server ended at once ({how}: {words}); {EXEC}")
                    break
                self.say(
                    f"preloading: the server died ({how}); "
                    + ("it is started again" if left else f"no more restarts, {EXEC}")
                )
        self._served.close()  # agents that still wait are told by that

    def _start(self, theirs: socket.socket, output: int) -> bool:
        log = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        descriptors = [self._served.fileno(), theirs.fileno(), log]
        settings = {
            **dict(zip(("requests", "control", "log"), descriptors, strict=True)),
            "python": self.python,
            "modules": list(self.modules),
            "marker": MARKER,
        }
        try:
            with self._lock:
                if self._closing:
                    return False
                self.process = subprocess.Popen(
                    [self.python, preload.__file__, json.dumps(settings)],
                    cwd=self.cwd,
                    env={**self.env, MARKER: uuid.uuid4().hex},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    pass_fds=descriptors,
                    start_new_session=True,
                )
        except OSError as error:
            self.say(f"preloading: cannot start {self.python}: {error.strerror}; {EXEC}")
            return False
        finally:
            os.close(log)
            os.close(output)
        return True

    def _listen(self, control: socket.socket) -> bool:
        """Until the server is gone; whether it ever got as far as an answer."""
        answered = False
        with control.makefile("rb") as lines:
            while line := _line(lines):
                answered = True
                message = json.loads(line)
                if "refused" in message:
                    self.say(f"preloading: {message['refused']}; {EXEC}")
                else:
                    self.ready.set()
        return answered

    def _last_words(self, early: object) -> str:
        text = early.read().decode(errors="replace")  # type: ignore[attr-defined]
        with contextlib.suppress(OSError):
            text += self.log.read_text(errors="replace")
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return lines[-1] if lines else "no message"


def _line(lines: object) -> bytes:
    try:
        return bytes(lines.readline())  # type: ignore[attr-defined]
    except OSError:
        return b""


@contextlib.contextmanager
def preloading(
    profile: TrainerProfile,
    python: str | None,
    *,
    wanted: bool,
    env: Mapping[str, str],
    log: Path,
    say: Callable[[str], None],
) -> Iterator[int | None]:
    """Runs a server; yields the descriptor at which agents ask it for guards, None when nothing is preloaded."""
    problem = None
    if not wanted or not profile.preload:
        yield None
        return
    words = [*profile.command, ""]
    if not sys.platform.startswith("linux"):
        problem = "needs Linux"
    elif why := preload.form(words, PYTHON):
        problem = why
    if problem:
        say(f"preloading: {problem}; {EXEC}")
        yield None
        return
    preloader = Preloader(profile.interpreter(python), profile.preload, cwd=profile.cwd, env=env, log=log, say=say)
    try:
        yield preloader.requests.fileno()
    finally:
        preloader.close()


class AdoptedProcess:
    """A process that is not our child, in the words of `subprocess.Popen`."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(self.pid, signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> int | None:
        """Returns when it runs no more; raises subprocess.TimeoutExpired."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while not is_zombie(self.pid):
            if deadline is not None and timeout is not None and time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(str(self.pid), timeout)
            time.sleep(0.005)
        return None


class _NoGuard(Exception):
    """The server gives none: `final` when it never will."""

    def __init__(self, *, final: bool) -> None:
        super().__init__()
        self.final = final


class Guards:
    """The guard of an agent's next trial: one that the server forked where that can be had, else one of its own."""

    def __init__(
        self,
        requests: socket.socket | None = None,
        *,
        token: str | None = None,
        note: Callable[[str], None] = lambda text: None,
        stopping: Callable[[], bool] = lambda: False,
        cores: Sequence[int] = (),
        first: Guard | None = None,
    ) -> None:
        """
        Args:
            cores: the trials are kept on these; empty: on none in particular.
            first: one that is there already.
            requests: the socket at which the server is asked; None: there is no server.
            token: marks the environment of every process of the trials.
            note: shows the user a line.
            stopping: asked while the server is waited for; True ends the waiting.
        """
        self.requests, self.token, self.note, self.stopping, self.cores = requests, token, note, stopping, cores
        self.current: Guard | None = None
        self._preloaded = False
        self._wait = FIRST_WAIT
        self._told: set[str] = set()
        if first is not None:
            self._adopt(first)

    def get(self) -> Guard:
        """The guard to start the next trial with."""
        if self.requests is not None and not self._preloaded:
            self._ask()
        if self.current is None:
            self._adopt(Guard(token=self.token))
        assert self.current is not None
        return self.current

    def _adopt(self, guard: Guard) -> None:
        self.current = guard
        if self.cores and hasattr(os, "sched_setaffinity"):
            with contextlib.suppress(OSError):  # gone already, or the cores have been taken from us
                os.sched_setaffinity(guard.pid, self.cores)

    def drop(self) -> None:
        """The current guard is lost."""
        self.current, self._preloaded = None, False

    def started(self) -> None:
        """A trial has been started: tells the user when it was not forked, and why."""
        if self.current is None or self.current.executed is None:
            return
        kind, text = self.current.executed
        if kind == "stale":
            self._preloaded = False  # the server is asked again, and does its imports again
        if text not in self._told:
            self._told.add(text)
            self.note(f"preloading: {text}; the trial starts as a fresh process")

    def close(self) -> None:
        if self.current is not None:
            self.current.close()

    def _ask(self) -> None:
        try:
            guard = Guard(token=self.token, start=self._request)
        except _NoGuard as reply:
            if reply.final:
                self.requests = None
            return
        finally:
            self._wait = LATER_WAIT
        if self.current is not None:
            self.current.close()
        self._adopt(guard)
        self._preloaded = True

    def _request(self, end: socket.socket, token: str) -> AdoptedProcess:
        assert self.requests is not None
        try:
            ours, theirs = socket.socketpair()
            with ours:
                with theirs:
                    descriptors = array.array("i", [end.fileno(), theirs.fileno()])
                    ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)]
                    # Does not wait for room: a server that takes nothing is not to keep the trial from its start.
                    self.requests.sendmsg([json.dumps({"token": token}).encode()], ancillary, socket.MSG_DONTWAIT)
                reply = self._reply(ours)
        except ConnectionError:  # the launcher has given the server up
            raise _NoGuard(final=True) from None
        except OSError:
            raise _NoGuard(final=False) from None
        if "pid" in reply:
            return AdoptedProcess(int(str(reply["pid"])))
        raise _NoGuard(final="refused" in reply)

    def _reply(self, connection: socket.socket) -> dict[str, object]:
        deadline = time.monotonic() + self._wait
        connection.settimeout(0.1)
        while not self.stopping():
            try:
                data = connection.recv(1 << 12)
            except TimeoutError:
                if time.monotonic() > deadline:
                    break
                continue
            return dict(json.loads(data)) if data else {}
        return {}
