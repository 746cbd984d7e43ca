from __future__ import annotations

import errno
import fcntl
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import engine
from engine.config import load_config
from engine.output_dir import OutputLock
from utils.errors import ConfigError

ROOT = Path(__file__).parents[2]
# Takes the lock of a folder; a child, as a loader's worker is one, outlives it.
HOLDER = """
import os, sys, time
from pathlib import Path
from engine.output_dir import OutputLock
lock = OutputLock(Path(sys.argv[1]))
lock.take([])
if os.fork():
    print(os.getpid(), flush=True)
time.sleep(60)
"""


def test_one_training_at_a_time_uses_a_folder_and_a_killed_one_frees_it(small_config: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True) as holder:
        try:
            assert holder.stdout is not None
            pid = int(holder.stdout.readline())
            cfg = load_config(str(small_config), ["OUTPUT_DIR", str(tmp_path)])
            with pytest.raises(ConfigError) as caught:
                engine.train(cfg)
            (told,) = str(caught.value).splitlines()
            place = (
                f"OUTPUT_DIR: {tmp_path} is in use by another training (process {pid} on {socket.gethostname()}, since "
            )
            assert told.startswith(place)
            assert os.listdir(tmp_path) == [".training.lock"]
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            with OutputLock(tmp_path) as lock:
                lock.take([])
                assert lock.taken
        finally:
            os.killpg(pid, signal.SIGKILL)


def test_a_folder_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with OutputLock(tmp_path / "out") as lock:
        lock.take([])
        assert not lock.taken
    assert os.listdir(tmp_path) == []


def test_a_file_system_without_locks_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "lockf", fail)
    lines: list[str] = []
    with OutputLock(tmp_path) as lock:
        lock.take(lines)
        assert lock.taken
    (line,) = lines
    assert line.startswith(f"OUTPUT_DIR: {tmp_path} is on a file system without locks (No locks available); ")
