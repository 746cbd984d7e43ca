"""Runs the preload server (`preload.py`) in the launcher, and asks the server for guards in the agents.

The launcher starts the server before the first agent, and makes the pair of sockets by which agents ask for their guards.
Agents inherit their end, which has no name to connect to. Without a server, or without its answer, an agent starts a guard
of its own, and trials start by exec.
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
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from ..base.files import NEW_FILE
from ..base.processes import MARKER, how_ended
from ..trainers.profile import PYTHON, TrainerProfile
from .inside import preload
from .inside.guard import is_zombie
from .process import Guard

RESTARTS = 3  # of a server that has died after its first answer
FIRST_WAIT = 120.0  # seconds the first trial waits for the server's imports, which it would otherwise do itself
SLOW = 3.0  # seconds of that wait after which the user hears of it
LATER_WAIT = 0.2  # seconds a later trial waits for a server that restarts
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
        """Starts the server.

        Args:
            python: the trainer's interpreter.
            modules: imported once, before the first trial.
            cwd: working folder of the trials.
            env: environment of the trials.
            log: file for the output of the imports.
            say: shows the user one line.
        """
        self.python, self.modules, self.cwd, self.env, self.log, self.say = python, modules, cwd, env, log, say
        self.process: subprocess.Popen[bytes] | None = None
        self.ready = threading.Event()
        self._lock = threading.Lock()
        self._closing = False
        # Agents ask at the first. Each server in turn reads from the second, where requests to a dead one wait.
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
        """Starts the server, and starts it again when it dies."""
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
        self._served.close()  # agents that still wait see end-of-file

    def _start(self, theirs: socket.socket, output: int) -> bool:
        """Starts one server; returns False if that is impossible, or the launcher is closing."""
        log = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, NEW_FILE)
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
                    env={**self.env, MARKER: os.urandom(16).hex()},
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
        """Reads the server's messages until the server is gone; returns whether there was any."""
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
        """Returns the last line of the server's output."""
        text = early.read().decode(errors="replace")  # type: ignore[attr-defined]
        with contextlib.suppress(OSError):
            text += self.log.read_text(errors="replace")
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return lines[-1] if lines else "no message"


def _line(lines: object) -> bytes:
    """Reads a line; empty at the end, or when the connection breaks."""
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
    elif why := preload.command_problem(words, PYTHON):
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
    """Controls a process that is not this one's child, with the methods of `subprocess.Popen`."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def kill(self) -> None:
        """Sends SIGKILL to the process."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(self.pid, signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> int | None:
        """Waits for the process to end; raises subprocess.TimeoutExpired."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while not is_zombie(self.pid):
            if deadline is not None and timeout is not None and time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(str(self.pid), timeout)
            time.sleep(0.005)
        return None


class _NoGuard(Exception):
    """The server gives no guard; `final` if it never will."""

    def __init__(self, *, final: bool) -> None:
        super().__init__()
        self.final = final


class Guards:
    """Gets the guard of an agent's next trial: from the preload server, or else as a fresh process."""

    def __init__(
        self,
        requests: socket.socket | None = None,
        *,
        token: str | None = None,
        note: Callable[[str], None] = lambda text: None,
        stopping: Callable[[], bool] = lambda: False,
        cores: Sequence[int] = (),
        first: Guard | None = None,
        modules: Sequence[str] = (),
    ) -> None:
        """Keeps `first`, if given, as the current guard.

        Args:
            requests: socket at which the server is asked; None: there is no server.
            token: marks the environment of every process of the trials.
            note: shows the user one line.
            stopping: called while the server is waited for; True ends the wait.
            cores: CPU cores the trials are bound to; empty: all.
            first: a guard that runs already.
            modules: those that the server imports, for the line that says what is waited for.
        """
        self.requests, self.token, self.note, self.stopping, self.cores = requests, token, note, stopping, cores
        self.modules = ", ".join(modules) or "the interpreter"  # without modules the server only starts
        self.current: Guard | None = None
        self._preloaded = False
        self._wait = FIRST_WAIT
        self._noted: set[str] = set()  # reasons the user has seen
        if first is not None:
            self._adopt(first)

    def get(self) -> Guard:
        """Returns the guard to start the next trial with."""
        if self.requests is not None and not self._preloaded:
            self._ask()
        if self.current is None:
            self._adopt(Guard(token=self.token))
        assert self.current is not None
        return self.current

    def _adopt(self, guard: Guard) -> None:
        """Makes a guard the current one, bound to the agent's cores."""
        self.current = guard
        if self.cores and hasattr(os, "sched_setaffinity"):
            with contextlib.suppress(OSError):  # gone already, or the cores have been taken from us
                os.sched_setaffinity(guard.pid, self.cores)

    def drop(self) -> None:
        """Forgets the current guard, which was lost."""
        self.current, self._preloaded = None, False

    def replace(self) -> None:
        """Ends the current guard and all its descendants; the next attempt gets another guard."""
        if self.current is not None:
            with contextlib.suppress(OSError):
                self.current.close()
        self.drop()

    def started(self) -> None:
        """Shows the user, after a trial's start, why it was not forked; each reason once."""
        if self.current is None or self.current.executed is None:
            return
        kind, text = self.current.executed
        if kind == "stale":
            self._preloaded = False  # the server is asked again, and does its imports again
        if text not in self._noted:
            self._noted.add(text)
            self.note(f"preloading: {text}; the trial starts as a fresh process")

    def close(self) -> None:
        """Ends the current guard."""
        if self.current is not None:
            self.current.close()

    def _ask(self) -> None:
        """Asks the server for a guard, and keeps the current one if the server gives none."""
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
        """Asks the server to fork a guard, whose end of the connection is `end`.

        Raises:
            _NoGuard: the server gives none.
        """
        assert self.requests is not None
        try:
            ours, theirs = socket.socketpair()
            with ours:
                with theirs:
                    descriptors = array.array("i", [end.fileno(), theirs.fileno()])
                    ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)]
                    # Does not wait for room: a server that reads nothing must not delay the trial.
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
        """Waits for the server's answer; empty when none came in time."""
        started, shown = time.monotonic(), False
        connection.settimeout(0.1)
        while not self.stopping():
            try:
                data = connection.recv(1 << 12)
            except TimeoutError:
                waited = time.monotonic() - started
                if waited > self._wait:
                    break
                if waited > SLOW and not shown:
                    shown = True
                    self.note(
                        f"preloading: {self.modules} still being imported after {SLOW:.0f} s; trials start without that "
                        f"after {self._wait:.0f} s (--no-preload: at once)"
                    )
                continue
            return dict(json.loads(data)) if data else {}
        if self._wait > SLOW and not self.stopping():
            self.note(f"preloading: the imports have not ended in {self._wait:.0f} s; {EXEC}")
        return {}
