"""A question to a process of its own: what it answers, and every way in which it does not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.sweeping import ROOT
from yacs_sweep.base.ask_process import NoAnswer, TimedOut, ask_process

DOUBLE = "import json, sys; print('noise'); print(json.dumps({'twice': 2 * json.load(sys.stdin)}))"


def ask(code: str, request: object = None, *, timeout: float = 30.0, **more: Any) -> dict[str, Any]:
    return ask_process([sys.executable, "-c", code], request, environment=os.environ, timeout=timeout, **more)


def test_the_answer_is_the_last_line() -> None:
    assert ask(DOUBLE, 21) == {"twice": 42}
    assert ask(DOUBLE, "a\u2028b") == {"twice": "a\u2028ba\u2028b"}


def test_without_a_request_standard_input_is_empty() -> None:
    assert ask("import json, sys; print(json.dumps({'given': sys.stdin.read()}))") == {"given": ""}


def test_a_large_request_and_a_large_answer_pass(tmp_path: Path) -> None:
    text = "x" * 5_000_000
    assert ask(DOUBLE, text, cwd=tmp_path) == {"twice": text + text}


def test_an_answer_counts_whatever_follows() -> None:
    assert ask("import os; print('{}', flush=True); os.abort()") == {}


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("", "exit status 0"),
        ("print('not JSON')", "exit status 0"),
        ("print('[1]')", "exit status 0"),
        ("print('[' * 200000)", "exit status 0"),
        ("raise SystemExit(3)", "exit status 3"),
        ("raise SystemExit('first\\nlast line\\n')", "last line"),
        ("import os; os.write(2, b'\\xff\\n')", "\ufffd"),
        ("import os, signal; print('x'); os.kill(os.getpid(), signal.SIGKILL)", "ended by SIGKILL"),
        ("raise SystemExit('cannot reach http://alice:p@ss/w@h:1/x')", "cannot reach http://h:1/x"),
        ("raise SystemExit('x' * 5000)", "x" * 300),
    ],
)
def test_the_reason_why_there_is_no_answer(code: str, reason: str) -> None:
    with pytest.raises(NoAnswer) as caught:
        ask(code)
    assert str(caught.value) == reason
    assert not isinstance(caught.value, TimedOut)


def test_a_command_that_cannot_be_started(tmp_path: Path) -> None:
    with pytest.raises(NoAnswer, match=r"^No such file or directory: /none/python$"):
        ask_process(["/none/python"], environment={}, timeout=5)
    with pytest.raises(NoAnswer, match=r"^No such file or directory: .*/gone$"):
        ask("", cwd=tmp_path / "gone")


def test_what_never_answers_is_killed_in_time_with_all_it_started(tmp_path: Path) -> None:
    code = (
        "import os, subprocess, time\n"
        "subprocess.Popen(['sleep', '600'])\n"
        "open('pid', 'w').write(str(os.getpid()))\n"
        "time.sleep(600)\n"
    )
    began = time.monotonic()
    with pytest.raises(TimedOut):
        ask(code, timeout=1.5, cwd=tmp_path)
    assert time.monotonic() - began < 10
    assert_gone(int((tmp_path / "pid").read_text()))


def test_a_descendant_that_keeps_the_output_open_delays_nothing(tmp_path: Path) -> None:
    code = "import os, subprocess; subprocess.Popen(['sleep', '600']); print('{\"pid\": %d}' % os.getpid())"
    began = time.monotonic()
    answer = ask(code)
    assert time.monotonic() - began < 10
    assert_gone(answer["pid"])


def assert_gone(group: int) -> None:
    """Fails when a process group still has a member after a minute."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        listing = subprocess.run(["ps", "-A", "-o", "pgid=,stat="], capture_output=True, text=True, check=True).stdout
        lines = [line.split() for line in listing.splitlines()]
        if not any(int(pgid) == group and not state.startswith("Z") for pgid, state in lines):
            return
        time.sleep(0.02)
    raise AssertionError(f"process group {group} still runs")


def test_whoever_waits_for_long_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    ask(DOUBLE, 1, notice=(20.0, "waiting"))
    assert capfd.readouterr().err == ""
    assert ask("import time; time.sleep(1); print('{}')", notice=(0.2, "waiting")) == {}
    assert capfd.readouterr().err == "waiting\n"


ASKER = """
import os, signal, sys
sys.path.insert(0, {root!r})
from yacs_sweep.base.ask_process import ask_process
if sys.argv[2] == "handled":
    signal.signal(signal.SIGTERM, lambda number, frame: print("handled", flush=True))
code = "import os, time; open('part', 'w').write(str(os.getpid())); os.rename('part', 'pid'); time.sleep(3); print('{{}}')"
try:
    print(ask_process([sys.executable, "-c", code], environment=os.environ, timeout=60))
except KeyboardInterrupt:
    print("interrupted")
assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL
"""


@pytest.mark.parametrize(
    ("number", "handled", "said"),
    [
        (signal.SIGINT, False, "interrupted\n"),
        (signal.SIGTERM, False, "interrupted\n"),
        (signal.SIGHUP, False, "interrupted\n"),
        (signal.SIGTERM, True, "handled\n{}\n"),
    ],
)
def test_a_signal_ends_the_process_that_is_asked(
    tmp_path: Path, number: signal.Signals, handled: bool, said: str
) -> None:
    words = [sys.executable, "-c", ASKER.format(root=str(ROOT)), str(tmp_path), "handled" if handled else ""]
    asker = subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    deadline = time.monotonic() + 120
    while not (tmp_path / "pid").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    asker.send_signal(number)
    out, _ = asker.communicate(timeout=180)
    assert out == said
    assert_gone(int((tmp_path / "pid").read_text()))


def test_a_signal_while_the_process_is_started_ends_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[int] = []

    def starting(*words: Any, **settings: Any) -> subprocess.Popen[bytes]:
        child = start(*words, **settings)
        started.append(child.pid)
        os.kill(os.getpid(), signal.SIGTERM)
        return child

    start = subprocess.Popen
    monkeypatch.setattr("yacs_sweep.base.ask_process.subprocess.Popen", starting)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        ask("import time; time.sleep(60)", 1)
    monkeypatch.undo()
    assert_gone(started[0])
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_thread_may_ask() -> None:
    answers: list[dict[str, Any]] = []
    thread = threading.Thread(target=lambda: answers.append(ask(DOUBLE, 4)))
    thread.start()
    thread.join(20)
    assert answers == [{"twice": 8}]
