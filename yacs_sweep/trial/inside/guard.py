"""Starts trials for an agent, as a small process of its own, and lets none of their processes outlive them.

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
AGENT_LOST_GRACE = 3.0  # seconds between SIGTERM and SIGKILL when the agent is gone; documented: gone within 5 s
LEFTOVER_GRACE = 1.0  # seconds that processes left behind by a trial get between SIGTERM and SIGKILL
SETTLE = 0.2  # seconds without a signal in which data-loader workers may end after their parent
UNKILLABLE = 10.0  # after this long a process that survives SIGKILL (uninterruptible I/O) is reported, not awaited


def _prctl(option: int, value: int) -> None:
    """Calls prctl(2) on Linux."""
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def die_with_parent() -> None:
    """Has the kernel kill this process when the thread that forked it ends (Linux)."""
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _parents() -> dict[int, int]:
    """Maps every running process to its parent, for kernels without /proc/…/children."""
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
    import subprocess  # not needed where there is a /proc

    listing = subprocess.run(["ps", "-axo", "pid=,ppid=,stat="], stdout=subprocess.PIPE, check=False).stdout
    for line in listing.split(b"\n"):
        words = line.split()
        if len(words) == 3 and not words[2].startswith(b"Z"):
            parents[int(words[0])] = int(words[1])
    return parents


def _children_from_proc(pid: int) -> list[int]:
    """Reads the children of a process, zombies included."""
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
    """Lists the running descendants of a process, parents before children; zombies are left out."""
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
    """Sends a signal to a process that may have ended."""
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        pass


class Forked(Exception):
    """Leaves the guard's code in a trial that is a fork of its guard (preload.py)."""

    def __init__(self, argv: list[str], env: dict[str, str]) -> None:
        super().__init__()
        self.argv, self.env = argv, env


class Guard:
    """Runs one trial at a time on the agent's orders, and reports to the agent."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.buffer = b""
        self.descriptors: list[int] = []
        self.main: int | None = None  # the trial's first process, until it is reaped
        self.group = 0
        self.busy = False  # a trial, or something it left behind, exists
        self.kill_at: float | None = None  # when SIGTERM becomes SIGKILL (monotonic seconds)
        self.give_up_at: float | None = None
        self.settle_until = 0.0  # no signal to orphans before (monotonic seconds)
        self.killed = 0
        self.unkillable: set[int] = set()  # reported as survivors of SIGKILL; no later trial's
        self.orphaned = False  # the agent is gone

    # -- messages ---------------------------------------------------------------------------------------------------

    def send(self, **message: Any) -> None:
        """Sends the agent a message."""
        try:
            self.connection.sendall(json.dumps(message).encode() + b"\n")
        except OSError:
            self.orphaned = True

    def receive(self) -> list[dict[str, Any]]:
        """Reads the messages that have arrived, and keeps open files sent with them; notes that the agent is gone."""
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
        """Returns whether the trial is to be a fork of this process: never, for a guard without preloaded modules."""
        return False

    def become(self, argv: list[str], env: dict[str, str]) -> None:
        """Is called in such a fork before the trial's own code; raises Forked."""

    def start(self, argv: list[str], env: dict[str, str], cwd: str) -> None:
        """Starts a command in a session of its own, by fork and exec; reports an exec that fails with its errno."""
        output = self.descriptors.pop(0)
        fork = self.fork_instead(argv, env, cwd)
        report_read, report_write = os.pipe()  # closed by a successful exec
        guard = os.getpid()
        pid = os.fork()
        if pid == 0:
            try:
                os.setsid()
                die_with_parent()
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
                    # For a missing program, execvpe names the last folder of PATH, which would mislead.
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
        """Sends SIGTERM now, SIGKILL after `grace` seconds; a second call can only shorten the time."""
        if not self.busy:
            return
        first = self.kill_at is None
        kill_at = time.monotonic() + grace
        self.kill_at = kill_at if self.kill_at is None else min(self.kill_at, kill_at)
        if first and grace > 0:
            self.signal_all(signal.SIGTERM)

    def signal_all(self, number: int) -> list[int]:
        """Signals the trial's process group in one call, then the processes outside of it; returns all that were found."""
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
        """Lists the trial's processes, without those of earlier trials that survived SIGKILL."""
        return [pid for pid in descendants(os.getpid()) if pid not in self.unkillable]

    def reap(self) -> None:
        """Collects ended children; reports the end of the trial's first process."""
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
        """Ends orphans and overdue processes; returns the seconds until the next call is due (None: no limit)."""
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
        """Serves the agent until the agent is gone and no process of a trial is left."""
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
