"""The trainer's log."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from utils.logger import close_log, early_log, open_log

ROOT = Path(__file__).parents[2]
CODE = """
import sys
from pathlib import Path
from utils.logger import close_log, open_log
log = open_log(Path(sys.argv[1]))
for number in range(3):
    log.info("line %d", number)
close_log(log)
"""


def test_a_reader_that_goes_away_costs_the_log_nothing(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [sys.executable, "-c", CODE, tmp_path],
            cwd=ROOT,
            stdout=writing,
            stderr=subprocess.PIPE,
            timeout=180,
            check=False,
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")
    assert [line[-6:] for line in (tmp_path / "log.txt").read_text().splitlines()] == ["line 0", "line 1", "line 2"]


class Failing(io.StringIO):
    """Takes nothing once."""

    error: OSError | None

    def write(self, text: str) -> int:
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        return super().write(text)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EPIPE])
def test_output_that_fails_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    out = Failing()
    out.error = OSError(number, "not now")
    monkeypatch.setattr(sys, "stdout", out)
    log = open_log(tmp_path)
    log.info("line 0")
    log.info("line 1")
    close_log(log)
    assert out.getvalue().endswith("line 1\n")
    assert len((tmp_path / "log.txt").read_text().splitlines()) == 2


@pytest.mark.parametrize("silent", [False, True])
def test_only_the_process_that_writes_the_log_prints(
    silent: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with early_log(silent=silent) as log:
        log.info("early")
        assert ("early" in capsys.readouterr().out) is not silent
        close_log(open_log(tmp_path))
    assert ("early" in (tmp_path / "log.txt").read_text()) is not silent
