"""Marks the processes that a launch starts, names them, and finds and kills those left behind."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path

MARKER = "YACS_SWEEP_GUARD"  # environment variable of a guard and of all its descendants; its value is a token

TITLE = "agent server"  # the last word of a process's command line that says what it is: room for the others


def without_wandb(environment: Mapping[str, str]) -> dict[str, str]:
    """Copies an environment without W&B's variables: key, run, sweep and service are no child's."""
    return {key: value for key, value in environment.items() if not key.startswith("WANDB_")}


def with_programs_of(interpreter: str | None, environment: Mapping[str, str]) -> dict[str, str]:
    """Copies an environment so that an interpreter's own programs are found first, as if its environment were active.

    A trainer that starts `python3`, `make` or `ninja` then gets those beside its interpreter. The folder of a system's Python,
    which holds all kinds of programs, stays where PATH has it.

    Args:
        interpreter: its path; None or a name without a folder: nothing is changed.
    """
    found = dict(environment)
    if interpreter is None or not os.path.dirname(interpreter):
        return found
    folder = os.path.dirname(os.path.abspath(interpreter))
    root, path = os.path.dirname(folder), found.get("PATH", os.defpath)
    virtual = os.path.isfile(os.path.join(root, "pyvenv.cfg"))
    own = virtual or os.path.isdir(os.path.join(root, "conda-meta"))
    folders = path.split(os.pathsep)
    if (own and folders[0] != folder) or folder not in folders:
        found["PATH"] = os.pathsep.join([folder, path])
    if virtual:
        found["VIRTUAL_ENV"] = root
        found.pop("PYTHONHOME", None)
    else:
        found.pop("VIRTUAL_ENV", None)  # that of another interpreter
    return found


def set_environment(environment: Mapping[str, str]) -> None:
    """Makes `environment` this process's own; what is the same already is not touched."""
    for name in set(os.environ) - set(environment):
        del os.environ[name]
    os.environ.update({name: value for name, value in environment.items() if os.environ.get(name) != value})


def marked_processes(token: str) -> list[int]:
    """Lists the processes that carry `token`, this one excepted (Linux; empty on other systems).

    Raises:
        OSError: processes cannot be read: this one can open no more files.
    """
    wanted = f"{MARKER}={token}".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
            if wanted in entry.read_bytes().split(b"\0") and int(entry.parent.name) != os.getpid():
                found.append(int(entry.parent.name))
    return found


def kill_marked(token: str, *, wait: float = 5.0) -> int:
    """Kills every process that carries `token`, for at most `wait` seconds; returns how many were found."""
    victims: set[int] = set()
    deadline = time.monotonic() + wait
    while True:
        try:
            pids = marked_processes(token)
        except OSError:
            if time.monotonic() > deadline:
                break
            time.sleep(0.2)
            continue
        for pid in pids:
            victims.add(pid)
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        if not pids or time.monotonic() > deadline:
            break
        time.sleep(0.01)
    return len(victims)


def catches(pid: int, number: int) -> bool | None:
    """Tells whether a process handles a signal itself; False where the signal is ignored or ends it.

    None for a process that has ended; True where that cannot be known (elsewhere than on Linux).
    """
    if not Path("/proc/self/status").exists():
        return True
    try:
        text = Path(f"/proc/{pid}/status").read_text()
        handled = int(text.split("\nSigCgt:")[1].split()[0], 16)
        return None if "\nState:\tZ" in text else bool(handled >> (number - 1) & 1)
    except (OSError, ValueError, IndexError):
        return None


def signal_name(number: int) -> str:
    """Returns the name of a signal, as SIGKILL."""
    try:
        return signal.Signals(number).name
    except ValueError:  # real-time signals have none
        return f"signal {number}"


def how_ended(status: int) -> str:
    """Says how a process ended, by its status as subprocess counts (-9: SIGKILL)."""
    return signal_name(-status) if status < 0 else f"exit code {status}"


def padded(title: str) -> str:
    """Returns a title as the last word of a command line, where another one may take its place."""
    return title.ljust(len(TITLE))


def set_title(title: str) -> None:
    """Writes the title that ps shows over the last word of this process's command line (Linux; elsewhere nothing)."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        fields = Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()
        start = int(fields[46]) - 1 - len(TITLE)  # arg_end, proc(5), is behind the NUL of the last word
        if int(fields[45]) < start and ctypes.string_at(start - 1, 1) == b"\0":
            ctypes.memmove(start, padded(title).encode(), len(TITLE))
