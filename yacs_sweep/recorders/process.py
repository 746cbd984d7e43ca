"""Starts a recorder's process beside a launch, shows what it has to say, and waits for it at the end."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ..base.processes import MARKER
from ..base.shipped import IMPORT_ROOT
from ..records.folder import SweepPaths
from .targets import UPLOADS, WANDB, Target

CODE = "import sys; sys.path[:] = [{root!r}, *filter(None, sys.path)]; from yacs_sweep.recorders.follower import main; main()"
PATIENCE = 15.0  # seconds a recorder gets for the rest at the end of a launch,
INTERRUPTED_PATIENCE = 3.0  # after an interrupt,
FILES_PATIENCE = 1800.0  # and more for the best trial's files, once it has the rest
LATE = 2.0  # seconds beyond its patience until a recorder is killed
TELL = 3.0  # seconds until the user is told what is waited for


@dataclass(frozen=True)
class Ending:
    """Says how a launch has ended."""

    interrupted: bool = True
    best: str | None = None  # the best trial's name
    files: bool = False  # whether the recorders that take files get the best trial's

    @property
    def patience(self) -> float:
        """Seconds that a recorder gets for the rest."""
        return INTERRUPTED_PATIENCE if self.interrupted else PATIENCE


class RecorderProcess:
    """Runs one recorder."""

    def __init__(self, paths: SweepPaths, target: Target, project: str | None, say: Callable[[str], None]) -> None:
        """Starts the process; it records from here on. Raises OSError."""
        self.target, self._say = target, say
        self._uploads = threading.Event()  # whether it uploads files
        environment = {name: value for name, value in os.environ.items() if name != MARKER}
        self._process = subprocess.Popen(
            [sys.executable, "-c", CODE.format(root=str(IMPORT_ROOT))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C reaches the launcher alone, which ends things in order
            env=environment,
        )
        sweep = {"base": str(paths.base), "sweep_id": paths.sweep_id, "project": project}
        self._send({**sweep, "name": target.name, "uri": target.uri})
        self._listener = threading.Thread(target=self._listen, name=f"record {target.name}", daemon=True)
        self._listener.start()

    def _send(self, content: dict[str, object]) -> None:
        """Sends a line, unless the process is gone."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError, ValueError):
            self._process.stdin.write(json.dumps(content).encode() + b"\n")
            self._process.stdin.flush()

    def _listen(self) -> None:
        """Shows the lines of the process, on a thread of its own."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if (text := line.decode(errors="replace").strip()) == UPLOADS:
                self._uploads.set()
            else:
                self._say(f"warning: {text}")

    def finish(self, ending: Ending) -> None:
        """Tells the process that the launch has ended."""
        content = {"interrupted": ending.interrupted, "best": ending.best, "files": ending.files}
        self._send({**content, "patience": ending.patience})
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()

    def wait(self, patience: float) -> None:
        """Waits until the process has ended; kills it after `patience` seconds."""
        name = self.target.name
        try:
            if self._ends_within(min(TELL, patience)):
                return
            if patience > TELL:
                self._say(f"waiting for {name} to take the rest, {patience:.0f} s at most")
            if self._ends_within(max(0.0, patience - TELL) + LATE):
                return
            if self._uploads.is_set():
                self._say(f"waiting for {name} to take the best trial's files, {FILES_PATIENCE:.0f} s at most")
                if self._ends_within(FILES_PATIENCE):
                    return
            self._say(f"warning: {name} has not taken everything in time; resuming the sweep records the rest")
        finally:
            if self._process.poll() is None:
                self._process.kill()
                self._process.wait()
            self._listener.join(1.0)

    def _ends_within(self, seconds: float) -> bool:
        """Tells whether the process ends within so many seconds; says it where it has not ended by itself."""
        try:
            status = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        if status:
            name = self.target.name
            self._say(f"warning: the recorder of {name} ended early; resuming the sweep records what it lacks")
        return True


@contextlib.contextmanager
def recording(
    paths: SweepPaths,
    targets: Sequence[Target],
    project: str | None,
    *,
    say: Callable[[str], None],
    ending: Callable[[], Ending],
) -> Iterator[None]:
    """Records the sweep while the block runs, and waits then until the recorders have everything.

    Args:
        targets: W&B's is left out: agents record there.
        ending: says how the launch has ended; asked after a block that raised nothing.
    """
    running = []
    for target in targets:
        if target.name == WANDB:
            continue
        try:
            running.append(RecorderProcess(paths, target, project, say))
        except OSError as error:
            say(
                f"warning: the recorder of {target.name} cannot be started: {error.strerror}; resuming the sweep records it"
            )
    how = Ending()
    try:
        yield
        how = ending()
    finally:
        for process in running:
            process.finish(how)
        deadline = time.monotonic() + how.patience
        for process in running:
            process.wait(max(0.0, deadline - time.monotonic()))
