"""Runs the tests of one mutant after another, each time in a forked process that has the libraries already.

    python serve_tests.py LIBRARY …

Imports the libraries and pytest once. For each JSON line on standard input, ``{"tests": [path, …], "seconds": limit}``, forks a
process that runs pytest in the current folder, and answers with a line ``{"status": pytest's exit status or null after the
limit, "seconds": processor time, "tail": the last lines of pytest's output}``. The limit is of processor time, since a
machine may be busy. The modules under test are imported by the forked process only, so that each run reads them again.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import math
import os
import resource
import signal
import sys
import tempfile
import time

import pytest
from _pytest.config import default_plugins

MEMORY = 6 << 30  # bytes; a mutant may compute without end
WAIT = 300  # seconds; a mutant may wait without end
# Plugins of other packages and rewritten assertions take longer than most of the tests.
PYTEST = ("-x", "-q", "--no-header", "--assert=plain", "-p", "no:cacheprovider", "--disable-warnings")


def run(tests: list[str], seconds: float) -> dict[str, object]:
    """Runs pytest in a forked process and returns the answer."""
    with tempfile.TemporaryFile() as output:
        child = os.fork()
        if child == 0:
            status = 3
            try:
                os.setsid()
                os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
                os.dup2(output.fileno(), 1)
                os.dup2(output.fileno(), 2)
                resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
                resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(seconds), math.ceil(seconds) + 1))
                status = int(pytest.main([*PYTEST, *tests]))
                sys.stdout.flush()
            finally:
                os._exit(status)
        ended, used = wait(child)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)  # what the tests have started
        output.seek(0)
        tail = "\n".join(output.read().decode(errors="replace").splitlines()[-15:])
    late = ended in (-signal.SIGXCPU, -signal.SIGKILL)
    return {"status": None if late else ended, "seconds": used, "tail": tail}


def wait(child: int) -> tuple[int, float]:
    """Waits for a process, at most `WAIT` seconds, and returns its exit status and processor time."""
    end = time.monotonic() + WAIT
    killed = False
    while True:
        done, status, usage = os.wait4(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime
        if time.monotonic() > end and not killed:
            os.killpg(child, signal.SIGKILL)
            killed = True
        time.sleep(0.005)


def main() -> None:
    sys.path[0] = os.getcwd()
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    for library in (*(f"_pytest.{name}" for name in default_plugins), *sys.argv[1:]):
        importlib.import_module(library)
    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        order = json.loads(line)
        print(json.dumps(run(order["tests"], order["seconds"])), file=answers, flush=True)
    os._exit(0)  # some libraries complain when they are taken down


if __name__ == "__main__":
    main()
