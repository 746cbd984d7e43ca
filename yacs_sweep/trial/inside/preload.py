"""Imports a trainer's libraries once, as the preload server, and forks guards whose trials then start at once.

Standard library only and Python 3.7 syntax: it is run as a script, by the trainer's interpreter, with the environment
and the folder its trials get. Linux only: forking after such imports is not safe elsewhere.

    agent ─ "start" → guard (guard.py), forked from the server ─ fork → trial, which finds its libraries imported

A guard that was forked here is like one that was executed, and can start a trial in two ways: by exec, or by a fork of
itself that runs the script as ``__main__``. What cannot be the same in a fork makes it exec, with a line that says why.

The server is given ``argv[1]``, JSON: requests and control (descriptors: one end of a pair of packet sockets, and a
stream to the launcher), log (descriptor: where its own output goes), python, modules, marker (name of the environment
variable that says whose a process is). It starts commands for whoever can write to the other end of `requests`. That end
has no name, so that nobody can connect to it: the launcher made it, and agents inherit it. An agent sends one packet
with two descriptors: the guard's end of a socket pair, and the end of another pair for the answer.

    agent → server      {"token": "…"}       value of the marker for the guard and its trials
    server → agent      {"pid": 123} or {"refused": "why nothing can be preloaded"} or {"loading": true}
    server → launcher   {"ready": 6.4} (seconds), or {"refused": "…"}
"""

from __future__ import annotations

import sys

if __name__ == "__main__" and not getattr(sys.flags, "safe_path", False):
    del sys.path[0]  # the launcher's own folder, whose modules no trainer must find

import array
import atexit
import ctypes
import gc
import importlib
import importlib.util
import json
import os
import select
import signal
import socket
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from . import as_main, guard
else:

    def _beside(name):
        """Loads a module of this folder under a private name: a trainer may have a module `guard` itself."""
        path = os.path.join(os.path.dirname(os.path.abspath(__file__)), name + ".py")
        spec = importlib.util.spec_from_file_location("_yacs_sweep_" + name, path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    as_main, guard = _beside("as_main"), _beside("guard")

# Variables that are read after the fork: by the CUDA driver when it starts, and when the trainer opens a W&B run.
LATE = ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "YACS_SWEEP_CALLS")


# -- what can be preloaded, and what cannot be forked ---------------------------------------------------------------


def command_problem(argv: list[str], python: str) -> str | None:
    """Says why a command is neither ``python script.py …`` nor ``python -m module …``; None when it is. Pure."""
    if argv[0] != python:
        return "the command does not start with %s" % python
    if len(argv) > 2 and argv[1] == "-m":
        return None
    if len(argv) > 1 and argv[1].endswith(".py") and not argv[1].startswith("-"):
        return None
    return "the command is neither `python SCRIPT.py …` nor `python -m MODULE …`"


def environment_difference(ours: dict[str, str], theirs: dict[str, str], marker: str) -> str | None:
    """Names a variable that libraries may have read with another value than the trial's; None without one. Pure."""
    names = [name for name in {**ours, **theirs} if ours.get(name) != theirs.get(name)]
    names = sorted(name for name in names if name != marker and name not in LATE)
    if not names:
        return None
    shown = names[0] if len(names) == 1 else "%s and %d more" % (names[0], len(names) - 1)
    return "the trial's environment differs in %s, which libraries may have read while they were preloaded" % shown


def hidden_module(folder: str, preloaded: set[str]) -> str | None:
    """Names a module of the trainer's that the script would import in place of a preloaded one; None without one."""
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return None
    for name in names:
        stem = name.split(".", 1)[0]
        path = os.path.join(folder, name)
        module = name.endswith((".py", ".so", ".pyc")) or os.path.isfile(os.path.join(path, "__init__.py"))
        if stem in preloaded and module:
            return "%s hides the preloaded module %s" % (path, stem)
    return None


def source_files() -> dict[str, tuple[int, int]]:
    """Maps the file of every imported module to its modification time (ns) and size."""
    files = {}
    for module in list(sys.modules.values()):
        path = getattr(module, "__file__", None)
        if isinstance(path, str) and os.path.isabs(path):
            try:
                status = os.stat(path)
            except OSError:
                continue
            files[path] = (status.st_mtime_ns, status.st_size)
    return files


def changed_file(files: dict[str, tuple[int, int]]) -> str | None:
    """Names a file whose time or size has changed; None without one."""
    for path, known in files.items():
        try:
            status = os.stat(path)
        except OSError:
            return path
        if (status.st_mtime_ns, status.st_size) != known:
            return path
    return None


def descriptors() -> dict[int, str]:
    """Maps each open descriptor to its file."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[int(name)] = os.readlink("/proc/self/fd/" + name)
        except OSError:
            pass  # listdir's own
    return found


def unsafe_state(own: set[int], children: set[int]) -> str | None:
    """Names state of the imports that a fork must not inherit: threads, processes, sockets, CUDA; None without any.

    Args:
        own: descriptors that were open before the imports.
        children: processes below this one that were there before them (guards of a server that started again).
    """
    probe = os.fork()  # OpenBLAS ends its threads before a fork, by pthread_atfork(3): such threads do no harm
    if probe == 0:
        try:
            bad_fork = getattr(getattr(sys.modules.get("torch"), "cuda", None), "_is_in_bad_fork", lambda: False)
            os._exit(1 if bad_fork() else 0)
        finally:
            os._exit(0)
    if os.WEXITSTATUS(os.waitpid(probe, 0)[1]):
        return "the imports initialised CUDA"
    threads = len(os.listdir("/proc/self/task")) - 1
    if threads:
        return "the imports started %d thread%s" % (threads, "s" if threads > 1 else "")
    if set(guard.descendants(os.getpid())) - children:
        return "the imports started a process"
    if getattr(sys.modules.get("wandb"), "run", None) is not None:
        return "the imports started a W&B run"
    for number, target in descriptors().items():
        if number in own:
            continue
        if target.startswith("/dev/nvidia"):
            return "the imports initialised CUDA"
        if target.startswith("socket:"):
            return "the imports opened a socket"
    return None


def set_marker(name: str, token: str) -> bool:
    """Changes a variable where ``/proc/<pid>/environ`` shows it, for this process and what it forks.

    ``os.environ`` is not touched. Returns False when the variable is not there in that length.
    """
    with open("/proc/self/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()
    start, end = int(fields[47]), int(fields[48])  # env_start and env_end, proc(5)
    block = ctypes.string_at(start, end - start)
    head = name.encode() + b"="
    place = 0 if block.startswith(head) else block.find(b"\0" + head) + 1
    value = token.encode()
    if not block.startswith(head, place) or block.find(b"\0", place) != place + len(head) + len(value):
        return False
    ctypes.memmove(start + place + len(head), value, len(value))
    return True


# -- the guard that can fork ----------------------------------------------------------------------------------------


class Server:
    """Holds the settings and the imported state of the server, which guards inherit."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.python: str = settings["python"]
        self.marker: str = settings["marker"]
        self.modules: list[str] = settings["modules"]
        self.argv = [self.python, os.path.abspath(__file__), json.dumps(settings)]
        self.requests = socket.socket(fileno=settings["requests"])
        self.control = socket.socket(fileno=settings["control"])
        for sock in (self.requests, self.control):
            os.set_inheritable(sock.fileno(), False)
        self.cwd = os.getcwd()
        with open("/proc/self/environ", "rb") as file:  # as it was given: imports may change os.environ
            words = [word.partition(b"=") for word in file.read().split(b"\0") if word]
        self.environment = {os.fsdecode(name): os.fsdecode(value) for name, _, value in words}
        self.files: dict[str, tuple[int, int]] = {}
        self.library_descriptors: set[int] = set()

    def load(self) -> str | None:
        """Imports the modules; returns why they cannot serve trials."""
        before, children = set(descriptors()), set(guard.descendants(os.getpid()))
        for name in self.modules:
            try:
                importlib.import_module(name)
            except Exception as error:
                text = " ".join(str(error).split())
                return "importing %s: %s: %s" % (name, type(error).__name__, text)
        self.library_descriptors = set(descriptors()) - before
        if not set_marker(self.marker, self.environment[self.marker]):
            return "%s is not where this system shows a process's environment" % self.marker
        return unsafe_state(before, children)

    def stale(self) -> str | None:
        """Names a source file that has changed since it was imported; None without one."""
        return changed_file(self.files)


class ForkingGuard(guard.Guard):
    """Starts a trial by a fork of itself where the result is the same as by exec."""

    def __init__(self, connection: socket.socket, server: Server) -> None:
        super().__init__(connection)
        self.server = server

    def cannot_fork(self, argv: list[str], env: dict[str, str], cwd: str) -> str | None:
        """Says why a trial cannot be a fork; None when it can."""
        server = self.server
        why = command_problem(argv, server.python) or environment_difference(server.environment, env, server.marker)
        if why:
            return why
        if not os.path.isdir(cwd) or not os.path.samefile(cwd, server.cwd):
            return "it runs in another folder, %s" % cwd
        folders = [cwd]
        if argv[1] != "-m":
            script = os.path.join(cwd, argv[1])
            if not os.path.isfile(script):
                return "there is no script %s" % argv[1]
            folders.append(os.path.dirname(os.path.realpath(script)))
        preloaded = {name.partition(".")[0] for name in sys.modules} - set(sys.builtin_module_names)
        hidden = [hidden_module(folder, preloaded) for folder in dict.fromkeys(folders)]
        return next(filter(None, hidden), None)

    def fork_instead(self, argv: list[str], env: dict[str, str], cwd: str) -> bool:
        """Returns whether the trial can be a fork; tells the agent why not."""
        changed = self.server.stale()
        if changed:
            self.send(event="stale", text="%s has changed since it was preloaded" % changed)
            return False
        why = self.cannot_fork(argv, env, cwd)
        if why:
            self.send(event="executed", text=why)
        return why is None

    def become(self, argv: list[str], env: dict[str, str]) -> NoReturn:
        """Closes the server's descriptors in the forked trial, and leaves the guard's code."""
        self.connection.close()
        keep = self.server.library_descriptors | {0, 1, 2}
        for number in descriptors():
            if number not in keep:
                try:
                    os.close(number)
                except OSError:
                    pass
        raise guard.Forked(argv, env)


# -- the server -----------------------------------------------------------------------------------------------------


class Request:
    """One agent's request for a guard, with the sockets that came with the request."""

    def __init__(self, data: bytes, descriptors: list[int]) -> None:
        self.token: str | None = None  # None: the packet is not a request
        self.sockets = [socket.socket(fileno=descriptor) for descriptor in descriptors]
        for sock in self.sockets:
            os.set_inheritable(sock.fileno(), False)
        try:
            token = json.loads(data)["token"]
        except (ValueError, KeyError, TypeError):
            return
        if len(self.sockets) == 2 and isinstance(token, str):
            self.guarded, self.answers = self.sockets
            self.token = token

    @classmethod
    def receive(cls, requests: socket.socket) -> Request | None:
        """Reads one request; None when neither an agent nor the launcher is left."""
        data, ancillary, _, _ = requests.recvmsg(1 << 12, socket.CMSG_SPACE(8))
        received = array.array("i")
        for level, kind, payload in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                received.frombytes(payload[: len(payload) - len(payload) % received.itemsize])
        return cls(data, list(received)) if data else None

    def waiting(self) -> bool:
        """Returns whether the agent still waits for the answer."""
        look = select.poll()
        look.register(self.answers, 0)  # a socket whose other end is closed is reported in any case
        return not look.poll(0)

    def close(self) -> None:
        """Closes the sockets of the request."""
        for sock in self.sockets:
            sock.close()


def answer(connection: socket.socket, **message: Any) -> None:
    """Sends a message as one line."""
    try:
        connection.sendall(json.dumps(message).encode() + b"\n")
    except OSError:
        pass  # the agent did not wait, or the launcher is gone, which the loop notices


def fork_guard(server: Server, request: Request) -> None:
    """Forks a guard and answers the agent; in the guard, returns only by raising `guard.Forked`."""
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        answer(request.answers, pid=pid)
        return
    # Closed as objects: of closed descriptors, the objects would later close numbers that are the trainer's by then.
    for sock in (request.answers, server.requests, server.control):
        sock.close()
    os.setsid()
    if set_marker(server.marker, request.token or ""):
        ForkingGuard(request.guarded, server).run()
    os._exit(0)  # without exit handlers of the libraries, which are meant for the trials


def start_again(server: Server) -> NoReturn:
    """Replaces this process by a new server, as the launcher started this one; requests of agents wait meanwhile."""
    sys.stdout.flush()
    sys.stderr.flush()
    for sock in (server.requests, server.control):
        os.set_inheritable(sock.fileno(), True)
    for descriptor in (1, 2):
        os.dup2(os.pipe()[1], descriptor)
    os.execvpe(server.python, server.argv, server.environment)


def serve(server: Server, refused: str | None) -> None:
    """Answers requests until the launcher is gone."""
    signal.signal(signal.SIGCHLD, lambda *_: None)
    while True:
        ready, _, _ = select.select([server.requests, server.control], [], [], 1.0)
        while True:
            try:
                if os.waitpid(-1, os.WNOHANG)[0] == 0:
                    break
            except ChildProcessError:
                break
        if server.control in ready:
            return
        if server.requests not in ready:
            continue
        request = Request.receive(server.requests)
        if request is None:
            return
        if request.token is not None and request.waiting():
            if refused:
                answer(request.answers, refused=refused)
            elif server.stale():
                answer(request.answers, loading=True)
                request.close()
                start_again(server)
            else:
                fork_guard(server, request)
        request.close()


def serve_trials(settings: dict[str, Any]) -> None:
    """Runs the server, and in its forks the guards; raises Forked in a trial."""
    guard.die_with_parent()
    # The standard streams were opened on a pipe, as a trial's are; only now does their output go to the log.
    for number in (1, 2):
        os.dup2(settings["log"], number)
    started = time.monotonic()
    server = Server(settings)
    refused = server.load()
    server.files = source_files()
    gc.collect()
    gc.freeze()  # the collector would write to, and thus copy, every page that is shared
    if refused:
        answer(server.control, refused=refused)
    else:
        answer(server.control, ready=time.monotonic() - started)
    serve(server, refused)


if __name__ == "__main__":
    _own = sys.modules["__main__"]  # kept alive, though the trial has another module of that name
    _trial = None
    atexit.register(as_main.InterpreterExit.finish)  # before the libraries', so that it runs after theirs
    _settings = json.loads(sys.argv[1])
    try:
        serve_trials(_settings)
    except guard.Forked as _forked:
        _trial = _forked.argv, _forked.env
    if _trial is None:
        os._exit(0)
    as_main.run_as_main(*_trial, late=(*LATE, _settings["marker"]))
