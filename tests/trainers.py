"""Trainers of a few lines, written where a test needs one, and the processes of a launcher."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import yaml

from tests.chaos.chaos import living, role_of
from yacs_sweep.base.processes import marked_processes

__all__ = ["NASTY", "await_marked", "kill_all", "living", "role_of", "roles", "wait_until", "write_trainer"]

# Ignores SIGTERM, and has a stopped, deaf grandchild in a session of its own and a daemon that holds the output.
NASTY = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.kill(os.getpid(), signal.SIGSTOP)
    os._exit(0)
if os.fork() == 0:
    os.setsid()
    os.execvp("sleep", ["sleep", "1000"])
time.sleep(0.1)
print("up", flush=True)
time.sleep(1000)
"""


def write_trainer(folder: Path, code: str) -> Path:
    """A trainer in Python and its profile. `code` finds its output folder in `out` and the sweep's in `out.parent`; a
    line "mAP: 1.5%" is its metric."""
    head = "import os, sys\nfrom pathlib import Path\nout = Path(sys.argv[1])\n"
    (folder / "train.py").write_text(head + code)
    profile = {
        "command": ["python", "train.py", "{output_dir}"],
        "cwd": ".",
        "overrides": "argparse",
        "metrics": [
            {"pattern": "mAP: (?P<value>{number})%", "log": {"val/mAP": "value"}},
            {"pattern": "loss: (?P<value>{number})", "log": {"train/loss": "value"}},
        ],
    }
    path = folder / "trainer.yaml"
    path.write_text(yaml.safe_dump(profile))
    return path


def kill_all(home: Path) -> None:
    """For a test's end, however it ended."""
    for pid in living(home):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def wait_until(true: Callable[[], object], seconds: float) -> float:
    """Waits for `true()`, at most so many seconds; returns how long it took."""
    started = time.monotonic()
    while not true():
        assert time.monotonic() - started < seconds, f"not within {seconds:g} s"
        time.sleep(0.02)
    return time.monotonic() - started


def await_marked(token: str, seconds: float) -> bool:
    """Waits until no process carries `token`; False if some still do after so many seconds."""
    deadline = time.monotonic() + seconds
    while marked_processes(token):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def roles(home: Path) -> dict[str, list[int]]:
    """The processes a launcher started with this HOME has started, by what they are to it."""
    found: dict[str, list[int]] = {}
    for pid in living(home):
        with contextlib.suppress(ProcessLookupError):
            if (role := role_of(pid)) is not None and (role != "child" or os.getsid(pid) == pid):
                found.setdefault(role, []).append(pid)
    return found
