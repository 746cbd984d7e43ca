"""The launcher on a terminal: a pseudo-terminal on one end, an emulator that reads what is on its screen on the other."""

from __future__ import annotations

import json
import os
import signal
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.sweeping import GRID, command, processes_with, write_sweep
from tests.terminals import Terminal


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    started: list[Terminal] = []

    def begin(*words: str, env: dict[str, str] | None = None) -> Terminal:
        spec = write_sweep(tmp_path, {**GRID, "name": "toy"})
        all_words = command(
            "--sweep-config", spec, "--wandb-mode", "disabled", "--controller", "local", *words, verbose=False
        )
        started.append(Terminal(all_words, tmp_path, **(env or {})))
        return started[0]

    yield begin
    for terminal in started:
        terminal.process.kill()
        terminal.process.wait(60)


def summary(folder: Path) -> dict[str, Any]:
    (path,) = folder.glob("log/sweep/sweep/*/summary.json")
    content: dict[str, Any] = json.loads(path.read_text())
    return content


SLOW = ("TOY.SECONDS", "0.3", "TOY.ITERATIONS", "3", "SOLVER.MAX_EPOCHS", "3")


def test_one_calm_screen_that_bears_resizing_and_stopping_and_leaves_the_terminal_as_it_was(
    tmp_path: Path, start: Callable[..., Terminal]
) -> None:
    terminal = start("--workers", "2", *SLOW)
    lines = terminal.wait(
        lambda lines: (
            any(line.startswith("trial ") and "val/mAP" in line for line in lines)
            and any(line.startswith("trial-0000") for line in lines)
        )
    )
    table = next(place for place, line in enumerate(lines) if line.startswith("trial "))
    assert lines[table - 5].startswith("toy  ") and lines[table - 5].endswith(summary(tmp_path)["sweep_id"])
    assert "0/3" in lines[table - 4]
    assert any(line.startswith("trial-0000") and "base_lr=0.0001" in line for line in lines[table:])
    terminal.resize(60, 20)  # the kernel sends SIGWINCH
    with terminal._lock:
        terminal.screen.resize(20, 60)
    os.kill(terminal.process.pid, signal.SIGSTOP)
    time.sleep(0.5)
    before = len(terminal.written)
    time.sleep(1.5)
    assert len(terminal.written) == before
    os.kill(terminal.process.pid, signal.SIGCONT)
    terminal.wait(lambda lines: any("1/3" in line or "2/3" in line for line in lines))
    assert all(len(line) < 60 for line in terminal.lines() if "/3" in line)
    assert terminal.end() == 0
    lines = terminal.lines()
    assert b"3 finished; results in" in terminal.written  # above what is on the screen now
    assert not any("━" in line or ("─" in line and "/3" in line) for line in lines[-10:])  # the frame is gone
    assert b"Iteration[" not in terminal.written  # trainers' lines are in their files
    assert b"\xe2\x9c\x93 trial-0000 finished" in terminal.written
    assert b"\x1b[?1049" not in terminal.written and b"\x1b[?25" not in terminal.written
    assert termios.tcgetattr(terminal.slave) == terminal.modes
    assert summary(tmp_path)["counts"] == {"finished": 3}
    terminal.hang_up()


def test_a_terminal_that_goes_away_does_not_end_the_sweep(tmp_path: Path, start: Callable[..., Terminal]) -> None:
    terminal = start(*SLOW)
    terminal.wait(lambda lines: any(line.startswith("trial-0000") for line in lines))
    terminal.hang_up()
    assert terminal.process.wait(60) == 0
    assert summary(tmp_path)["counts"] == {"finished": 3}
    assert not processes_with(str(tmp_path))


def test_ctrl_c_ends_the_trial_and_says_how_to_go_on(tmp_path: Path, start: Callable[..., Terminal]) -> None:
    terminal = start("--verbose", *SLOW)
    terminal.wait(lambda lines: any("Epoch[1] Iteration[2/3]" in line for line in lines))  # above the frame
    terminal.wait(lambda lines: any(line.startswith("trial-0000") for line in lines))
    os.write(terminal.master, b"\x03")
    assert terminal.end() == 130
    text = "".join("".join(terminal.lines()).split())  # a command that is too long stands on lines of its own
    assert "[sweep]resumewith:" in text and f"--sweep_id{summary(tmp_path)['sweep_id']}" in text.replace("\\", "")
    assert summary(tmp_path)["counts"] == {"killed": 1}
    assert termios.tcgetattr(terminal.slave) == terminal.modes
    terminal.hang_up()


def test_a_terminal_that_cannot_draw_gets_lines(tmp_path: Path, start: Callable[..., Terminal]) -> None:
    terminal = start("SOLVER.MAX_EPOCHS", "2", env={"TERM": "dumb"})
    assert terminal.end() == 0
    assert b"\x1b" not in terminal.written
    text = terminal.written.decode()
    assert "▶ trial-0000: base_lr=0.0001" in text
    assert text.index("· trial-0000 epoch 1: val/mAP 23.2") < text.index("· trial-0000 epoch 2: val/mAP 46.4")
    terminal.hang_up()
