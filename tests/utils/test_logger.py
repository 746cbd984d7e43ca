"""The trainer's log."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

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
            [sys.executable, "-c", CODE, tmp_path], cwd=ROOT, stdout=writing, stderr=subprocess.PIPE, timeout=60, check=False
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")
    assert [line[-6:] for line in (tmp_path / "log.txt").read_text().splitlines()] == ["line 0", "line 1", "line 2"]
