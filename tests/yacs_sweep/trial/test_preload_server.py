"""Tests what the preload server refuses, when it restarts, and that none of its processes is left."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sweeping import GRID, ROOT, start, sweep, write_sweep
from tests.yacs_sweep.trial.preload_case import Case, serving, until
from yacs_sweep.trial import preloader
from yacs_sweep.trial.inside.guard import descendants

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


def test_imports_that_hang_are_said_and_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preloader, "SLOW", 0.3)
    libraries = tmp_path / "libraries"
    libraries.mkdir()
    (libraries / "library.py").write_text("import time; time.sleep(60)")
    with serving(tmp_path, "library", PYTHONPATH=str(libraries)) as case:
        case.guards._wait = 1.0
        said: list[str] = []
        case.guards.note = said.append
        case.script("loaded.py", LOADED)
        assert case.run("loaded.py")[1] == "False\n"
        assert "preloading: library still being imported after 0 s; trials start without that after 1 s" in said[0]
        assert said[1] == "preloading: the imports have not ended in 1 s; trials start as fresh processes"


def test_a_server_without_libraries_has_a_name_in_the_line() -> None:
    """A sweep of a Python function that names no library has such a server."""
    guards = preloader.Guards(None, token="t", note=print, stopping=lambda: False, modules=())
    assert guards.modules == "the interpreter"


def test_guards_share_the_libraries(tmp_path: Path) -> None:
    """Several agents' guards come of one server, each with its own mark."""
    with serving(tmp_path, "decimal") as case, serving(tmp_path, "decimal") as other:
        other.guards.requests = case.guards.requests
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


def test_what_is_no_request_gets_no_answer(tmp_path: Path) -> None:
    """It is dropped with whatever came with it, and the server lives on."""
    with serving(tmp_path, "decimal") as case:
        assert case.preloader.ready.wait(120)
        server = case.preloader.process
        assert server is not None
        before = len(os.listdir(f"/proc/{server.pid}/fd"))
        for data in (b"{}", b"no JSON", b"[]", b'{"token": 7}', b'{"token": "x"}', b"\xff" * 5000):
            for count in (0, 1, 2):
                ours, theirs = socket.socketpair()
                with ours:
                    with theirs:
                        if data == b'{"token": "x"}' and count == 2:
                            continue  # a request, of a token that marks nothing
                        socket.send_fds(case.preloader.requests, [data], [theirs.fileno()] * count)
                    ours.settimeout(20)
                    assert ours.recv(100) == b""
        case.script("loaded.py", LOADED)
        assert case.run("loaded.py")[1] == "True\n"
        assert running(case)
        assert len(os.listdir(f"/proc/{server.pid}/fd")) == before


def test_a_request_whose_agent_has_gone_starts_nothing(tmp_path: Path) -> None:
    with serving(tmp_path, "decimal") as case:
        assert case.preloader.ready.wait(120)
        server = case.preloader.process
        assert server is not None
        server.send_signal(signal.SIGSTOP)
        ours, theirs = socket.socketpair()
        waiting, answers = socket.socketpair()
        socket.send_fds(
            case.preloader.requests, [b'{"token": "%s"}' % (b"a" * 32)], [theirs.fileno(), answers.fileno()]
        )
        for sock in (theirs, answers, waiting):
            sock.close()
        server.send_signal(signal.SIGCONT)
        with ours:
            ours.settimeout(20)
            assert ours.recv(100) == b""  # a guard would say that it is ready
        assert descendants(server.pid) == []


def test_a_server_that_takes_no_requests_keeps_no_trial_from_its_start(tmp_path: Path) -> None:
    """However many agents have asked it in vain: asking does not wait for room in its queue."""
    with serving(tmp_path, "decimal") as case:
        assert case.preloader.ready.wait(120)
        server = case.preloader.process
        assert server is not None
        server.send_signal(signal.SIGSTOP)
        case.guards.stopping = lambda: True  # no answer is waited for
        for _ in range(2000):
            case.guards.get()
            case.guards._preloaded = False
        case.script("loaded.py", LOADED)
        assert case.run("loaded.py")[1] == "False\n"
        server.send_signal(signal.SIGCONT)
        case.guards.stopping, case.guards.current = (lambda: False), None
        assert until(lambda: case.run("loaded.py")[1] == "True\n")


def socket_names(pids: set[int]) -> set[str]:
    """Returns the names of Unix sockets, and the ports of others, at which processes can be connected to."""
    inodes = set()
    for pid in pids:
        for link in Path(f"/proc/{pid}/fd").glob("*"):
            with contextlib.suppress(OSError):
                target = os.readlink(link)
                if target.startswith("socket:["):
                    inodes.add(target[8:-1])
    found = set()
    for line in Path("/proc/net/unix").read_text().splitlines()[1:]:
        words = line.split()
        if words[6] in inodes and len(words) > 7:
            found.add(words[7])
    for table in ("tcp", "tcp6", "udp", "udp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            words = line.split()
            if words[9] in inodes:
                found.add(f"{table} {words[1]}")
    return found


def test_sockets_with_a_name_are_seen() -> None:
    """`socket_names` finds what it looks for."""
    with socket.socket(socket.AF_UNIX) as named, socket.socket() as port:
        named.bind(f"\0yacs-sweep-test-{os.getpid()}")
        port.bind(("127.0.0.1", 0))
        port.listen()
        found = socket_names({os.getpid()})
    assert f"@yacs-sweep-test-{os.getpid()}" in found
    assert any(name.startswith("tcp ") for name in found)


@pytest.mark.parametrize(("workers", "mode"), [("1", "disabled"), ("2", "disabled"), ("1", "offline")])
def test_no_process_of_a_launch_has_an_address(tmp_path: Path, workers: str, mode: str) -> None:
    """Nobody can connect to any of them: not to what starts commands, nor to what it starts them for.

    A container that shares the host's network sees all names in /proc/net/unix, and ports; there, root has our user id.
    """
    (tmp_path / "profile.yaml").write_text(PROFILE.format(command="python, train.py"))
    (tmp_path / "train.py").write_text("import time\nprint('up', flush=True)\ntime.sleep(60)\n")
    config = write_sweep(tmp_path, GRID | {"parameters": {"A.B": {"values": [1, 2, 3]}}})
    words = ["--sweep-config", config, "--controller", "local", "--wandb-mode", mode, "--workers", workers]
    launcher = start(tmp_path, *words, trainer=tmp_path / "profile.yaml", config=None)
    try:
        assert launcher.stdout is not None
        for _ in range(int(workers)):
            assert any(line.endswith("up\n") for line in launcher.stdout)
        processes = {launcher.pid, *descendants(launcher.pid)}
        roles = b"\n".join(Path(f"/proc/{pid}/cmdline").read_bytes() for pid in processes)
        assert b"preload.py" in roles and b"train.py" not in roles  # trials are forks of the server's guards
        assert len(processes) >= 3 + 2 * int(workers)
        if mode == "offline":  # W&B's client has a service process, at a socket in a folder that is the user's alone
            assert until(lambda: bool(socket_names({launcher.pid, *descendants(launcher.pid)})))
        names = socket_names({launcher.pid, *descendants(launcher.pid)})
        folders = [Path(name).parent.stat() for name in names]
        assert len(names) == (mode == "offline")
        assert all(folder.st_uid == os.getuid() and folder.st_mode & 0o777 == 0o700 for folder in folders)
    finally:
        launcher.terminate()
        launcher.communicate(timeout=180)


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
    ran = sweep(tmp_path, *words, trainer=profile, config=None, timeout=180)
    assert ran.code == 0, ran.out + ran.err
    trials = ran.summary["trials"]
    logs = [(ran.dir / trial["name"] / "stdout.log").read_text() for trial in trials]
    assert logs == [f"LOADED {loaded}\nmAP: 3%\n"] * 2
    assert [trial["value"] for trial in trials] == [3.0, 3.0]
    assert ("preloading" in ran.out) == bool(told) and told in ran.out
