"""What is asked of processes."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from yacs_sweep.base.processes import catches

WAIT = "import signal, sys, time\n{line}\nprint(flush=True)\nsys.stdin.read()"


@pytest.mark.skipif(sys.platform != "linux", reason="/proc says it")
@pytest.mark.parametrize(
    ("line", "handles"),
    [
        ("", False),
        ("signal.signal(signal.SIGTERM, signal.SIG_IGN)", False),
        ("signal.signal(signal.SIGTERM, lambda *_: None)", True),
    ],
)
def test_whether_a_process_handles_sigterm(line: str, handles: bool) -> None:
    words = [sys.executable, "-c", WAIT.format(line=line)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdout.readline()
        assert catches(process.pid, signal.SIGTERM) is handles
        process.stdin.close()
        process.stdout.read()
        while catches(process.pid, signal.SIGTERM) is not None:  # until it is a zombie
            pass
    assert catches(process.pid, signal.SIGTERM) is None
