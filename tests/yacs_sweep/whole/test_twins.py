"""A launch of what another launch runs already is told so at its start, with the line that joins."""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sweeping import ROOT, environment, start, sweep, write_sweep
from tests.trainers import write_trainer

WAITS = """import time
end = time.monotonic() + 120
while not Path("go").exists() and time.monotonic() < end:
    time.sleep(0.05)
print("mAP: 5%")
"""
GRID = {"method": "grid", "metric": {"name": "val/mAP"}, "parameters": {"base_lr": {"values": [0.1, 0.2]}}}
QUIET = ("--controller", "local", "--wandb-mode", "disabled", "--no-preload")
TOLD = "[sweep] warning: the same sweep runs already as "


@pytest.fixture
def running(tmp_path: Path) -> Iterator[tuple[Path, str, subprocess.Popen[str]]]:
    """A launch whose first trial runs until there is a file `go`: the folder, the sweep's id, the process."""
    trainer = write_trainer(tmp_path, WAITS)
    words = ("--sweep-config", write_sweep(tmp_path, GRID), *QUIET)
    process = start(tmp_path, *words, trainer=trainer, config=None)
    assert process.stdout is not None
    said = ""
    while "▶" not in said:
        said = process.stdout.readline()
        assert said, "the launcher has ended"
    (folder,) = [path.parent for path in tmp_path.glob("log/sweep/sweep/*/sweep.yaml")]
    yield tmp_path, folder.name, process
    (tmp_path / "go").touch()
    process.communicate(timeout=180)


def test_the_same_launch_is_told_and_the_line_joins(running: tuple[Path, str, subprocess.Popen[str]]) -> None:
    folder, name, process = running
    words = ("--sweep-config", folder / "y.yaml", *QUIET)
    second = start(folder, *words, trainer=folder / "trainer.yaml", config=None)
    assert second.stdout is not None
    lines: list[str] = []
    while not any("▶" in line for line in lines):
        lines.append(second.stdout.readline())
        assert lines[-1], lines
    (told,) = [line for line in lines if line.startswith(TOLD)]
    assert told.startswith(f"{TOLD}{name} (") and f"process {process.pid})" in told
    joins = shlex.split(told.rpartition("join it with: ")[2])
    second.send_signal(signal.SIGINT)
    second.communicate(timeout=180)
    (folder / "go").touch()
    joined = subprocess.run(joins, cwd=folder, env=environment(folder), capture_output=True, text=True, check=False)
    assert joined.returncode == 0 and f"resuming sweep {name}" in joined.stdout, joined.stdout + joined.stderr


def test_another_search_is_not_the_same(running: tuple[Path, str, subprocess.Popen[str]]) -> None:
    folder, _, _ = running
    other = write_sweep(folder, {**GRID, "parameters": {"base_lr": {"values": [0.3]}}}, "other.yaml")
    (folder / "go").touch()
    for words in (("--sweep-config", other), ("--sweep-config", folder / "y.yaml", "--count", "1", "--", "--key=3")):
        ran = sweep(folder, *words, *QUIET, trainer=folder / "trainer.yaml", config=None)
        assert "▶" in ran.out and "the same sweep" not in ran.out, ran.out + ran.err


def test_a_launch_that_has_ended_is_not_told(tmp_path: Path) -> None:
    trainer = write_trainer(tmp_path, "print('mAP: 5%')\n")
    words = ("--sweep-config", write_sweep(tmp_path, GRID), *QUIET)
    for _ in range(2):
        ran = sweep(tmp_path, *words, trainer=trainer, config=None)
        assert ran.code == 0 and "the same sweep" not in ran.out


FUNCTION = """import sys, time
from pathlib import Path
from yacs_sweep import Sweep
def train(params):
    end = time.monotonic() + 120
    while not Path("go").exists() and time.monotonic() < end:
        time.sleep(0.05)
    return 1.0
if __name__ == "__main__":
    space = {"method": "grid", "metric": {"name": "loss"}, "parameters": {"base_lr": {"values": [0.1]}}}
    Sweep(space, train=train, controller="local", wandb_mode="disabled").run()
"""


def test_functions_are_not_compared(tmp_path: Path) -> None:
    """Two programs may search the same points for different functions."""
    (tmp_path / "search.py").write_text(FUNCTION)
    env = environment(tmp_path, PYTHONPATH=str(ROOT))
    both = [
        subprocess.Popen([sys.executable, "search.py"], cwd=tmp_path, env=env, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for process in both:
        assert process.stdout is not None
        while "▶" not in (line := process.stdout.readline()):
            assert line and "the same sweep" not in line
    (tmp_path / "go").touch()
    for process in both:
        assert "the same sweep" not in process.communicate(timeout=180)[0]
