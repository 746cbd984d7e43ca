"""Runs a script as ``__main__`` in a process that was forked from one with its libraries imported (`preload.py`).

Standard library only and Python 3.7 syntax: this is the trainer's interpreter. What the script sees, and how its
process ends, is what ``python script.py`` and ``python -m module`` give.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import io
import os
import signal
import sys
import types


def reseed() -> None:
    """Seeds random generators that a fresh process would seed; `random` reseeds itself after a fork."""
    numpy_random = getattr(sys.modules.get("numpy"), "random", None)
    if numpy_random is not None:
        numpy_random.seed()
    torch_random = getattr(sys.modules.get("torch"), "random", None)
    if torch_random is not None:
        torch_random.default_generator.seed()
    processes = sys.modules.get("multiprocessing.process")
    if processes is not None:
        processes.current_process().authkey = os.urandom(32)


def default_signals() -> None:
    """Sets signal handlers as the interpreter does at its start."""
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def make_main(script: str | None) -> types.ModuleType:
    """Makes a fresh ``__main__`` with the names that the interpreter gives it."""
    module = types.ModuleType("__main__")
    names = module.__dict__
    names["__builtins__"] = sys.modules["builtins"]
    if sys.version_info < (3, 14):
        names["__annotations__"] = {}
    if script is not None:
        from importlib.machinery import SourceFileLoader

        path = script
        if sys.version_info >= (3, 9):
            path = os.path.join(os.getcwd(), script)
        names.update(__file__=path, __cached__=None, __loader__=SourceFileLoader("__main__", path))
    sys.modules["__main__"] = module
    return module


def hide_own_frames() -> None:
    """Hides the launcher's frames in the traceback of an uncaught exception."""
    shown, folder = sys.excepthook, os.path.dirname(__file__)

    def hook(kind: type[BaseException], error: BaseException, trace: types.TracebackType | None) -> None:
        while trace is not None and os.path.dirname(trace.tb_frame.f_code.co_filename) == folder:
            trace = trace.tb_next
        shown(kind, error.with_traceback(trace), trace)

    sys.excepthook = hook


def write_files() -> None:
    """Flushes the files that were opened after the imports and are still open."""
    for thing in gc.get_objects():  # objects from before the fork are frozen, and not in this list
        if isinstance(thing, (io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom)):
            try:
                thing.flush()
            except (OSError, ValueError):
                pass  # closed, or no longer writable: the interpreter would not report it either


class InterpreterExit:
    """Ends the trial's interpreter at once after its exit handlers, with the exit status that the script gave.

    Deleting the libraries' hundred thousands of objects takes seconds, more in a fork than elsewhere, because each page
    they share with the server is copied. Only the part that matters to a trainer is done here: its main module is emptied,
    and files it left open are flushed.
    """

    status: int | None = None  # None: not a trial

    @classmethod
    def note(cls, error: BaseException) -> None:
        """Keeps the exit status that the interpreter gives an uncaught exception."""
        cls.status = 1
        if isinstance(error, KeyboardInterrupt) and sys.version_info >= (3, 8):
            cls.status = -signal.SIGINT
        elif isinstance(error, SystemExit) and (error.code is None or isinstance(error.code, int)):
            cls.status = (error.code or 0) & 0xFF

    @classmethod
    def finish(cls) -> None:
        """Ends the process; registered as the last exit handler."""
        if cls.status is None:
            return
        status = cls.status
        write_files()
        names = sys.modules["__main__"].__dict__
        for name in [name for name in names if name != "__builtins__"]:
            names[name] = None
        gc.collect()
        write_files()
        for stream in (sys.stdout, sys.stderr):
            try:
                if stream is not None and not stream.closed:
                    stream.flush()
            except (AttributeError, OSError, ValueError):
                status = 120  # the interpreter's status for output that cannot be flushed
        ctypes.CDLL(None).fflush(None)
        if status < 0:
            signal.signal(-status, signal.SIG_DFL)
            os.kill(os.getpid(), -status)
        os._exit(status)


def run_as_main(argv: list[str], env: dict[str, str], late: tuple[str, ...]) -> None:
    """Runs the command in this process as ``python script.py`` or ``python -m module`` would.

    Args:
        late: variables whose values may differ from those at the time of the imports.
    """
    signal.set_wakeup_fd(-1)
    default_signals()
    for name in late:  # the others have their values already, or values that imports have set
        if name in env:
            os.environ[name] = env[name]
        else:
            os.environ.pop(name, None)
    reseed()
    importlib.invalidate_caches()
    if hasattr(sys, "orig_argv"):
        sys.orig_argv = list(argv)
    module_name = argv[2] if argv[1] == "-m" else None
    safe_path = getattr(sys.flags, "safe_path", False)
    InterpreterExit.status = 0
    main = make_main(None if module_name else argv[1])
    try:
        if module_name:
            import runpy

            sys.argv = ["-m", *argv[3:]]
            if not safe_path:
                sys.path.insert(0, os.getcwd())
            runpy._run_module_as_main(module_name)  # type: ignore[attr-defined]  # what the interpreter itself calls
        else:
            sys.argv = argv[1:]
            if not safe_path:
                sys.path.insert(0, os.path.dirname(os.path.realpath(argv[1])))
            with open(argv[1], "rb") as file:
                source = file.read()
            path = main.__dict__["__file__"]
            exec(compile(source, path, "exec", dont_inherit=True), main.__dict__)
    except BaseException as error:
        InterpreterExit.note(error)
        if not isinstance(error, SystemExit):
            hide_own_frames()
        raise
