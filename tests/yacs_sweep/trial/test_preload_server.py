"""The preload server's own life: what it refuses, when it starts again, and that nothing of it is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sweeping import GRID, ROOT, sweep, write_sweep
from tests.yacs_sweep.trial.preload_case import Case, serving, until

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="preloading needs Linux")

LOADED = "import sys; print('decimal' in sys.modules)"

REFUSED = {
    "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()": "started 1 thread",
    "import socket\nkept = socket.socket()": "opened a socket",
    "import subprocess\nkept = subprocess.Popen(['sleep', '60'], stdout=subprocess.DEVNULL)": "started a process",
    "raise ValueError('wrong CUDA')": "importing library: ValueError: wrong CUDA",
    "import sys, types\nsys.modules['wandb'] = types.ModuleType('wandb')\nsys.modules['wandb'].run = 1": "a W&B run",
    "import os\nos.write(2, b'bad weather\\n')\nos._exit(3)": "the server ended at once (exit code 3: bad weather)",
    "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)": "SIGSEGV",
}


@pytest.mark.parametrize("library", REFUSED)
def test_what_cannot_be_forked_is_refused_with_one_line(tmp_path: Path, library: str) -> None:
    libraries = tmp_path / "libraries"
    libraries.mkdir()
    (libraries / "library.py").write_text(library)
    with serving(tmp_path, "decimal", "library", PYTHONPATH=str(libraries)) as case:
        case.script("loaded.py", LOADED)
        for _ in range(2):
            assert case.run("loaded.py")[1] == "False\n"
        assert until(lambda: bool(case.said))
        (line,) = case.said
        assert REFUSED[library] in line and line.endswith("trials start as fresh processes")


def test_interpreter_that_cannot_run_it(tmp_path: Path) -> None:
    with serving(tmp_path, "decimal", python="/bin/false") as case:
        case.guards.get()
        assert until(lambda: bool(case.said))
        assert "ended at once (exit code 1" in case.said[0]


def test_changed_library_is_noticed_and_loaded_again(tmp_path: Path) -> None:
    libraries = tmp_path / "libraries"
    libraries.mkdir()
    library = libraries / "library.py"
    library.write_text("VALUE = 1")
    with serving(tmp_path, "library", PYTHONPATH=str(libraries)) as case:
        look = "import sys; loaded = 'library' in sys.modules"
        case.script("show.py", f"{look}\nimport library; print(loaded, library.VALUE)")
        assert case.run("show.py")[1] == "True 1\n"
        library.write_text("VALUE = 222")
        assert case.run("show.py")[1] == "False 222\n"
        (line,) = case.said
        assert f"{library} has changed since it was preloaded" in line
        assert until(lambda: case.run("show.py")[1] == "True 222\n")
        assert len(case.said) == 1


def test_dead_server_is_started_again_and_costs_no_trial(tmp_path: Path) -> None:
    with serving(tmp_path, "decimal") as case:
        case.script("loaded.py", LOADED)
        assert case.run("loaded.py")[1] == "True\n"
        server, guard = case.preloader.process, case.guards.current
        assert server is not None and guard is not None
        server.kill()
        assert case.run("loaded.py")[1] == "True\n"  # the guard goes on alone
        os.kill(guard.pid, signal.SIGKILL)
        guard.lost()
        case.guards.drop()
        for _ in range(3):
            assert case.run("loaded.py")[0].status == 0  # by exec, while the server starts
        assert until(lambda: case.run("loaded.py")[1] == "True\n")
        assert case.said == ["preloading: the server died (SIGKILL); it is started again"]


def test_no_server_any_more_means_exec(tmp_path: Path) -> None:
    with serving(tmp_path, "decimal") as case:
        case.script("loaded.py", LOADED)
        case.preloader.close()
        assert case.run("loaded.py")[1] == "False\n"


def test_first_trial_waits_no_longer_than_it_is_asked_to(tmp_path: Path) -> None:
    libraries = tmp_path / "libraries"
    libraries.mkdir()
    (libraries / "library.py").write_text("import time; time.sleep(60)")
    with serving(tmp_path, "library", PYTHONPATH=str(libraries)) as case:
        case.guards.stopping = lambda: True  # Ctrl-C
        case.script("loaded.py", LOADED)
        assert case.run("loaded.py")[1] == "False\n"


def test_guards_share_the_libraries(tmp_path: Path) -> None:
    """Several agents' guards come of one server, each with its own mark."""
    with serving(tmp_path, "decimal") as case, serving(tmp_path, "decimal") as other:
        other.guards.address = case.guards.address
        case.script("loaded.py", "import os, sys; print('decimal' in sys.modules, os.getppid())")
        said = {run.run("loaded.py")[1] for run in (case, other)}
        assert len(said) == 2 and all(line.startswith("True") for line in said)
        parents = {int(line.split()[1]) for line in said}
        assert parents == {case.guards.get().pid, other.guards.get().pid}


LAUNCHER = """
import sys, time
sys.path.insert(0, {root!r})
from pathlib import Path
from tests.yacs_sweep.trial.preload_case import serving
with serving(Path({folder!r}), "decimal") as case:
    print(case.guards.get().pid, case.preloader.process.pid, flush=True)
    time.sleep(60)
"""


def test_nothing_is_left_of_a_killed_launcher(tmp_path: Path) -> None:
    script = LAUNCHER.format(root=str(ROOT), folder=str(tmp_path))
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as launcher:
        assert launcher.stdout is not None
        pids = launcher.stdout.readline().split()
        assert len(pids) == 2
        launcher.kill()
    assert until(lambda: not any(Path(f"/proc/{int(pid)}/fd/1").exists() for pid in pids), 5.0)


def running(case: Case) -> bool:
    return case.preloader.process is not None and case.preloader.process.poll() is None


def test_strangers_get_no_answer(tmp_path: Path) -> None:
    """What is no request is dropped, and the server lives on."""
    import socket

    with serving(tmp_path, "decimal") as case:
        assert case.preloader.ready.wait(20)
        for data in (b"{}", b"no JSON", b'{"token": "x"}'):
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect("\0" + case.preloader.address)
                connection.sendall(data)
                assert connection.recv(100) == b""
        case.script("loaded.py", LOADED)
        assert case.run("loaded.py")[1] == "True\n"
        assert running(case)


PROFILE = """\
command: [{command}]
overrides: yacs
preload: [decimal]
metrics:
  - pattern: 'mAP: (?P<value>{{number}})%'
    log: {{val/mAP: value}}
"""
TRAINER = "import sys; print('LOADED', 'decimal' in sys.modules); print('mAP: 3%')"


@pytest.mark.parametrize(
    ("command", "options", "loaded", "told"),
    [
        ("python, train.py", [], "True", ""),
        ("python, train.py", ["--no-preload"], "False", ""),
        ("python, -u, train.py", [], "False", "preloading: the command is neither"),
    ],
)
def test_through_the_launcher(tmp_path: Path, command: str, options: list[str], loaded: str, told: str) -> None:
    profile = tmp_path / "profile.yaml"
    profile.write_text(PROFILE.format(command=command))
    (tmp_path / "train.py").write_text(TRAINER)
    config = write_sweep(tmp_path, GRID | {"parameters": {"A.B": {"values": [1, 2]}}})
    words = ["--sweep-config", config, "--wandb-mode", "disabled", *options]
    ran = sweep(tmp_path, *words, trainer=profile, config=None, timeout=60)
    assert ran.code == 0, ran.out + ran.err
    trials = ran.summary["trials"]
    logs = [(ran.dir / trial["name"] / "stdout.log").read_text() for trial in trials]
    assert logs == [f"LOADED {loaded}\nmAP: 3%\n"] * 2
    assert [trial["value"] for trial in trials] == [3.0, 3.0]
    assert ("preloading" in ran.out) == bool(told) and told in ran.out
