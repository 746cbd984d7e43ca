"""What becomes of a launch whose output nobody takes, or not every letter of it."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.sweeping import ROOT, SWEEP, environment, write_sweep
from yacs_sweep.base import streams

ONE = {"method": "grid", "metric": {"name": "loss"}, "parameters": {"lr": {"values": [0.5]}}}
SPEAK = f"""import os, sys
sys.path.insert(0, {str(ROOT)!r})
from yacs_sweep.base import streams
streams.protect_streams()
print("\\u25b6", *sys.argv[1:], flush=True)
print("\\u25b6", file=sys.stderr)
opened = os.open(os.devnull, os.O_RDONLY)
sys.exit(7 if opened > 2 and (streams.output_error() is None) == ("well" in sys.argv) else 1)
"""


def spoken(redirection: str, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    """A small program prints, and exits with 7 if all is as it should be."""
    command = ["sh", "-c", f'"$0" "$@" {redirection}', sys.executable, "-S", "-c", SPEAK, *words]
    return subprocess.run(command, env={"PATH": "/usr/bin:/bin", **env}, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("redirection", [">/dev/full", ">/dev/full 2>&1"])
def test_what_cannot_be_written_is_lost(redirection: str) -> None:
    assert spoken(redirection).returncode == 7


def test_a_reader_that_is_gone_is_no_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([sys.executable, "-S", "-c", SPEAK], stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert done.returncode == 7


@pytest.mark.parametrize("redirection", [">&-", "<&- >&- 2>&-"])
def test_what_is_closed_leads_nowhere(redirection: str) -> None:
    assert spoken(redirection, "well").returncode == 7


@pytest.mark.parametrize(
    "env", [{"PYTHONIOENCODING": "ascii"}, {"PYTHONIOENCODING": "latin-1"}, {"LC_ALL": "C", "PYTHONUTF8": "0"}]
)
def test_letters_that_the_encoding_lacks_are_replaced(env: dict[str, str]) -> None:
    done = spoken("", "well", **env)
    assert (done.returncode, done.stdout, done.stderr) == (7, "? well\n", "\\u25b6\n")


def test_a_stream_that_somebody_has_put_there_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = io.StringIO()
    monkeypatch.setattr(sys, "stdout", mine)
    streams.protect_streams()
    assert sys.stdout is mine and streams.output_error() is None


class Full(io.StringIO):
    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


@pytest.mark.parametrize("out", [None, io.TextIOWrapper(io.BytesIO(), "ascii"), Full()])
def test_a_program_of_the_users_may_have_any_standard_output(monkeypatch: pytest.MonkeyPatch, out: Any) -> None:
    monkeypatch.setattr(sys, "stdout", out)
    streams.print_lines("▶")
    assert not streams.is_terminal()


@pytest.mark.parametrize(("redirection", "encoding"), [(">&-", "utf-8"), (">/dev/full 2>&1", "ascii")])
def test_the_result_of_a_sweep_does_not_depend_on_who_reads(tmp_path: Path, redirection: str, encoding: str) -> None:
    (tmp_path / "t.py").write_text("print('loss: 0.5')\n")
    (tmp_path / "p.yaml").write_text("command: [python, t.py]\noverrides: argparse\ncwd: .\n")
    words = ["--controller", "local", "--wandb-mode", "disabled", "--trainer", "p.yaml", "--no-preload"]
    command = ["sh", "-c", f'"$0" "$@" {redirection}', sys.executable, str(SWEEP), *words]
    command += ["--sweep-config", str(write_sweep(tmp_path, ONE))]
    done = subprocess.run(command, cwd=tmp_path, env=environment(tmp_path, PYTHONIOENCODING=encoding), check=False)
    (summary,) = tmp_path.glob("log/sweep/sweep/*/summary.json")
    assert done.returncode == 0 and json.loads(summary.read_text())["counts"] == {"finished": 1}


def test_a_long_wait_is_told_and_a_short_one_is_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(streams, "SILENT_WAIT", 0.2)
    with streams.waiting_for("the driver"):
        time.sleep(0.6)
    with streams.waiting_for("nothing"):
        pass
    time.sleep(0.3)
    assert capsys.readouterr().err == "waiting for the driver\n"
