"""The guard: a small process between an agent and its trials that never lets one of their processes survive.

Standard library only and Python 3.7 syntax: it is run as a script, by the trainer's interpreter.

The guard is the parent of every trial it starts and the *child subreaper* (``prctl(2)``) of all their descendants: a
process that forks, calls ``setsid`` and lets its parent die becomes the guard's child, so "the processes of the trial" is
simply "everything below the guard", whatever its session or group. When the agent goes away, however it goes, the
guard reads end-of-file, ends the trial and leaves. When the guard itself is killed, the kernel kills the trial's
first process (parent-death signal).

Protocol: one JSON object per line over a Unix stream socket whose descriptor is ``argv[1]``.

    agent → guard   {"op": "start", "argv": […], "env": {…}, "cwd": "…"} with one descriptor (SCM_RIGHTS): stdout+stderr
                    {"op": "stop", "grace": 15.0}   SIGTERM, the grace period in seconds, SIGKILL
    guard → agent   {"event": "ready"}
                    {"event": "started", "pid": 123} or {"event": "refused", "errno": 2, "error": "…"}
                    {"event": "exited", "status": 0}    as subprocess counts: -15 is "killed by SIGTERM"
                    {"event": "clear", "killed": 1, "left": []}   no process of the trial exists any more
"""

from __future__ import annotations

import array
import ctypes
import errno
import json
import os
import select
import signal
import socket
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
AGENT_LOST_GRACE = 3.0  # seconds between SIGTERM and SIGKILL when the agent is gone: the promise is 5 s in all
LEFTOVER_GRACE = 1.0  # what a finished trial's forgotten processes get between SIGTERM and SIGKILL
SETTLE = 0.2  # data-loader workers need a moment to follow their parent; no signal before that
UNKILLABLE = 10.0  # after this long a process that survives SIGKILL (uninterruptible I/O) is reported, not awaited


def _prctl(option: int, value: int) -> None:
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def _parents() -> dict[int, int]:
    """{pid: parent} of every process that still runs, for kernels without /proc/…/children."""
    parents = {}
    if os.path.isdir("/proc/self"):
        for name in os.listdir("/proc"):
            if name.isdigit():
                try:
                    with open("/proc/%s/stat" % name, "rb") as file:
                        state, parent = file.read().rpartition(b")")[2].split()[:2]
                except (OSError, ValueError):
                    continue
                if state not in (b"Z", b"X"):
                    parents[int(name)] = int(parent)
        return parents
    import subprocess  # where there is a /proc, every guard does without

    listing = subprocess.run(["ps", "-axo", "pid=,ppid=,stat="], stdout=subprocess.PIPE, check=False).stdout
    for line in listing.split(b"\n"):
        words = line.split()
        if len(words) == 3 and not words[2].startswith(b"Z"):
            parents[int(words[0])] = int(words[1])
    return parents


def _children_from_proc(pid: int) -> list[int]:
    found: list[int] = []
    try:
        for task in os.listdir("/proc/%d/task" % pid):
            with open("/proc/%d/task/%s/children" % (pid, task), "rb") as file:
                found.extend(int(word) for word in file.read().split())
    except OSError:
        pass  # it ended while it was being read
    return found


def is_zombie(pid: int) -> bool:
    """Returns whether a process has ended, or does not exist."""
    try:
        with open("/proc/%d/stat" % pid, "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] in (b"Z", b"X")
    except (OSError, IndexError):
        return True


PROC_CHILDREN = os.path.exists("/proc/self/task/%d/children" % os.getpid())


def descendants(pid: int) -> list[int]:
    """Every process below `pid` that still runs, parents before children; zombies do not count."""
    found: list[int] = []
    queue, seen = [pid], {pid}
    parents = {} if PROC_CHILDREN else _parents()
    while queue:
        above = queue.pop(0)
        below = _children_from_proc(above) if PROC_CHILDREN else [p for p, pp in parents.items() if pp == above]
        for child in below:
            if child not in seen:
                seen.add(child)
                queue.append(child)
                if not (PROC_CHILDREN and is_zombie(child)):
                    found.append(child)
    return found


def send_signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        pass


class Forked(Exception):
    """Raised in a trial that is a fork of its guard (preload.py), and leaves the guard's code behind."""

    def __init__(self, argv: list[str], env: dict[str, str]) -> None:
        super().__init__()
        self.argv, self.env = argv, env


class Guard:
    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.buffer = b""
        self.descriptors: list[int] = []
        self.main: int | None = None  # the trial's first process, until it is reaped
        self.group = 0
        self.busy = False  # a trial, or something it left behind, exists
        self.kill_at: float | None = None  # when SIGTERM becomes SIGKILL (monotonic seconds)
        self.give_up_at: float | None = None
        self.settle_until = 0.0
        self.killed = 0
        self.unkillable: set[int] = set()  # reported as survivors of SIGKILL; no later trial's
        self.orphaned = False

    # -- messages ---------------------------------------------------------------------------------------------------

    def send(self, **message: Any) -> None:
        try:
            self.connection.sendall(json.dumps(message).encode() + b"\n")
        except OSError:
            self.orphaned = True

    def receive(self) -> list[dict[str, Any]]:
        """Messages that have arrived; marks the guard orphaned at end-of-file."""
        try:
            data, ancillary, _, _ = self.connection.recvmsg(1 << 16, socket.CMSG_SPACE(4 * 4))
        except (BlockingIOError, InterruptedError):
            return []
        except OSError:
            data, ancillary = b"", []
        for level, kind, payload in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds = array.array("i")
                fds.frombytes(payload[: len(payload) - len(payload) % fds.itemsize])
                for descriptor in fds:
                    os.set_inheritable(descriptor, False)  # the trial gets it as 1 and 2 and in no other place
                self.descriptors.extend(fds)
        if not data:
            self.orphaned = True
            return []
        lines = (self.buffer + data).split(b"\n")
        self.buffer = lines.pop()
        return [json.loads(line) for line in lines]

    # -- a trial's life ---------------------------------------------------------------------------------------------

    def fork_instead(self, argv: list[str], env: dict[str, str], cwd: str) -> bool:
        """Whether the trial is to be a fork of this process: never, of a guard that has nothing preloaded."""
        return False

    def become(self, argv: list[str], env: dict[str, str]) -> None:
        """In such a fork, just before the trial's own code: raises Forked."""

    def start(self, argv: list[str], env: dict[str, str], cwd: str) -> None:
        """Forks and execs `argv` in a session of its own; an exec that fails is reported with its errno."""
        output = self.descriptors.pop(0)
        fork = self.fork_instead(argv, env, cwd)
        report_read, report_write = os.pipe()  # closed by a successful exec
        guard = os.getpid()
        pid = os.fork()
        if pid == 0:
            try:
                os.setsid()
                _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
                if os.getppid() != guard:  # the guard died before the line above took effect
                    os._exit(127)
                signal.set_wakeup_fd(-1)
                for caught in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
                    signal.signal(caught, signal.SIG_DFL)
                null = os.open(os.devnull, os.O_RDONLY)
                os.dup2(null, 0)
                os.dup2(output, 1)
                os.dup2(output, 2)
                os.chdir(cwd)
                if fork:
                    self.become(argv, env)
                os.execvpe(argv[0], argv, env)
            except Forked:
                raise
            except BaseException as error:
                try:
                    number = getattr(error, "errno", None) or errno.EINVAL
                    # Of a program, execvpe names the last place at which it has looked.
                    text = getattr(error, "strerror", None) if os.path.isdir(cwd) else None
                    os.write(report_write, json.dumps([number, text or str(error)]).encode())
                finally:
                    os._exit(127)
        os.close(report_write)
        os.close(output)
        failure = b""
        while True:
            part = os.read(report_read, 4096)
            if not part:
                break
            failure += part
        os.close(report_read)
        if failure:
            os.waitpid(pid, 0)
            number, text = json.loads(failure)
            self.send(event="refused", errno=number, error=text)
            return
        self.main = self.group = pid
        self.busy = True
        self.killed = 0
        self.kill_at = self.give_up_at = None
        self.send(event="started", pid=pid)

    def stop(self, grace: float) -> None:
        """SIGTERM now, SIGKILL after `grace` seconds; asking again can only bring the end nearer."""
        if not self.busy:
            return
        first = self.kill_at is None
        kill_at = time.monotonic() + grace
        self.kill_at = kill_at if self.kill_at is None else min(self.kill_at, kill_at)
        if first and grace > 0:
            self.signal_all(signal.SIGTERM)

    def signal_all(self, number: int) -> list[int]:
        """To the trial's group in one call, then to everything below the guard that left it; returns what there was."""
        if self.main is not None:
            try:
                os.killpg(self.group, number)
            except (ProcessLookupError, PermissionError):
                pass
        below = self.below()
        for pid in below:
            try:
                in_group = self.main is not None and os.getpgid(pid) == self.group
            except ProcessLookupError:
                continue
            if not in_group or number == signal.SIGKILL:
                send_signal(pid, number)
            if number == signal.SIGTERM:
                send_signal(pid, signal.SIGCONT)  # a stopped process cannot act on SIGTERM
        return below

    def below(self) -> list[int]:
        """Returns the trial's processes; those that earlier trials could not be rid of are not among them."""
        return [pid for pid in descendants(os.getpid()) if pid not in self.unkillable]

    def reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self.unkillable.discard(pid)
            if pid == self.main:
                self.main = None
                code = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
                if self.kill_at is None:
                    self.settle_until = time.monotonic() + SETTLE
                self.send(event="exited", status=code)

    def tick(self) -> float | None:
        """Moves the trial towards its end; returns how many seconds may pass before the next look (None: any)."""
        self.reap()
        if not self.busy:
            return None
        now = time.monotonic()
        if self.main is None:
            below = self.below()
            if not below:
                self.reap()
                self.busy = False
                self.send(event="clear", killed=self.killed, left=[])
                return None
            if self.kill_at is None:
                if now < self.settle_until:
                    return 0.01
                self.killed += len(below)
                self.stop(LEFTOVER_GRACE)
        if self.kill_at is None:
            return None
        if now >= self.kill_at:
            below = self.signal_all(signal.SIGKILL)
            if self.give_up_at is None:
                self.give_up_at = now + UNKILLABLE
            elif now > self.give_up_at:
                self.busy = False
                self.main = None
                self.unkillable.update(below)
                self.send(event="clear", killed=self.killed, left=below)
                return None
            return 0.01
        return min(0.02, self.kill_at - now)

    def run(self) -> None:
        wake_read, wake_write = os.pipe()
        for descriptor in (wake_read, wake_write):
            os.set_blocking(descriptor, False)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        ended: list[bool] = []
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: ended.append(True))
        signal.signal(signal.SIGCHLD, lambda *_: None)
        _prctl(PR_SET_CHILD_SUBREAPER, 1)
        self.connection.setblocking(False)
        watched: list[Any] = [self.connection, wake_read]
        self.send(event="ready")
        while True:
            wait = self.tick()
            if ended:
                self.orphaned = True
            if self.orphaned:
                if not self.busy:
                    return
                self.stop(AGENT_LOST_GRACE)
                watched = [wake_read]
                wait = 0.02 if wait is None else wait
            ready, _, _ = select.select(watched, [], [], wait)
            if wake_read in ready:
                try:
                    os.read(wake_read, 4096)
                except BlockingIOError:
                    pass
            if self.connection in ready:
                for message in self.receive():
                    if message["op"] == "start":
                        self.start(message["argv"], message["env"], message["cwd"])
                    elif message["op"] == "stop":
                        self.stop(message["grace"])


if __name__ == "__main__":
    os.set_inheritable(int(sys.argv[1]), False)  # the agent must see the end of file when the guard dies
    Guard(socket.socket(fileno=int(sys.argv[1]))).run()
