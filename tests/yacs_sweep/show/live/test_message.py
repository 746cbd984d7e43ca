"""Messages on a terminal break between words; what is to be pasted can be."""

from __future__ import annotations

import io
import shlex
import subprocess
import sys

import pytest

from yacs_sweep.base.streams import print_error
from yacs_sweep.base.wording import cells
from yacs_sweep.show.live.terminal import say

LONG = "the trainer's libraries are still being imported after 12 s; 데이터 폴더가 느립니다; trials start without that after 30 s"
COMMAND = "python tools/sweep.py --sweep_id k3v9x2ab --workers 4 --max-failures 100 --retry-failed --timeout 3600"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(params=["80", "120"])
def columns(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setenv("COLUMNS", request.param)
    return int(request.param)


def test_lines_break_between_words(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", out := Terminal())
    say(f"{LONG}\n    {LONG}\x1b[2J")
    lines = out.getvalue().splitlines()
    assert max(map(cells, lines)) < columns and len(lines) > 2
    assert " ".join(out.getvalue().split()) == f"[sweep] {LONG} {LONG}"  # no word is broken
    assert all(line.startswith(("[sweep] ", "        ", "    the")) for line in lines)


def test_a_command_can_be_pasted_whatever_the_width(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", out := Terminal())
    words = ["printf", "%s\\n", "KEY=[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]", 'it\'s a "b"', *["word"] * 40]
    say(LONG, shlex.join(words))
    assert max(map(cells, out.getvalue().splitlines())) < columns
    _, command = out.getvalue().split("after 30 s:\n")
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == words[2:]


def test_errors_break_too_but_not_what_is_quoted_for_typing(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", err := Terminal())
    print_error(f"error: {LONG}; run `{COMMAND[:60]}` first")
    lines = err.getvalue().splitlines()
    assert max(map(cells, lines)) < columns and len(lines) > 1
    assert any(f"`{COMMAND[:60]}`" in line for line in lines)


def test_a_pipe_gets_each_message_on_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", out := io.StringIO())
    monkeypatch.setenv("COLUMNS", "80")
    say(LONG * 3, COMMAND)
    assert out.getvalue() == f"[sweep] {LONG * 3}: {COMMAND}\n"
