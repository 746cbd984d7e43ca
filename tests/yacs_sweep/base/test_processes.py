"""What is asked of processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from yacs_sweep.base.processes import catches, with_programs_of

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


@pytest.mark.parametrize(
    ("mark", "path", "expected", "variables"),
    [
        ("pyvenv.cfg", "/usr/bin", "BIN:/usr/bin", {"VIRTUAL_ENV": "ROOT"}),
        ("pyvenv.cfg", "/usr/bin:BIN", "BIN:/usr/bin:BIN", {"VIRTUAL_ENV": "ROOT"}),
        ("pyvenv.cfg", "BIN:/usr/bin", "BIN:/usr/bin", {"VIRTUAL_ENV": "ROOT"}),
        ("conda-meta/", "/usr/bin:BIN", "BIN:/usr/bin:BIN", {"PYTHONHOME": "/p"}),
        (None, "/usr/bin", "BIN:/usr/bin", {"PYTHONHOME": "/p"}),
        (
            None,
            "/usr/local/bin:BIN",
            "/usr/local/bin:BIN",
            {"PYTHONHOME": "/p"},
        ),  # such as /usr/bin: other programs, too
    ],
)
def test_an_interpreter_s_programs_are_found_first(  # F12
    tmp_path: Path, mark: str | None, path: str, expected: str, variables: dict[str, str]
) -> None:
    folder = tmp_path / "bin"
    if mark is not None and mark.endswith("/"):
        (tmp_path / mark).mkdir()
    elif mark is not None:
        (tmp_path / mark).touch()
    names = {"BIN": str(folder), "ROOT": str(tmp_path)}

    def filled(text: str) -> str:
        return text.replace("BIN", names["BIN"]).replace("ROOT", names["ROOT"])

    given = {"PATH": filled(path), "VIRTUAL_ENV": "/another", "PYTHONHOME": "/p", "OTHER": "x"}
    found = with_programs_of(str(folder / "python"), given)
    assert found == {"PATH": filled(expected), "OTHER": "x", **{key: filled(v) for key, v in variables.items()}}


def test_without_a_path_of_the_interpreter_nothing_changes() -> None:
    given = {"PATH": "/usr/bin", "VIRTUAL_ENV": "/another"}
    assert with_programs_of(None, given) == given
    assert with_programs_of("python3", given) == given
    assert with_programs_of("/opt/py/bin/python", {})["PATH"] == f"/opt/py/bin:{os.defpath}"
